"""The whole measurement in one call: this engine, its parts and limits, and the published code beside it.

    python bench/run.py [--reference PATH] [--fastvideo PATH] [--minutes 8] [-o bench/results/NAME]

Writes NAME.json, NAME.md and, with matplotlib, NAME.png. What is measured suits the device: on a GPU everything at
full size; on a CPU whole rollouts of small networks, and a pass and the decoding of a piece at full size (--layers
cuts the network). What fails or finds no time is named, and the rest goes on.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from report import markdown, plot
from workers.beside import beside

from comfyui_matrixgame.compute.attention import BACKENDS
from comfyui_matrixgame.compute.quantise import EXACT, PRECISIONS
from comfyui_matrixgame.measure.bench import PIECE, measure, measure_pieces, note
from comfyui_matrixgame.measure.check import report_faults
from comfyui_matrixgame.measure.machine import FULL, machine, machine_limits
from comfyui_matrixgame.measure.networks import random_models
from comfyui_matrixgame.measure.reports import report_argument, write_text
from comfyui_matrixgame.measure.rollouts import ENOUGH, time_batches
from comfyui_matrixgame.variants import VARIANTS, get_variant

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure, compare, write."""
    args = options()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    budget = Budget(args.minutes)
    report: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": machine(device)}
    note(f"limits of {device}")
    report["limits"] = machine_limits(device, decoded=FULL if device.type == "cuda" else PIECE)
    report |= {"runs": [], "pieces": [], "batches": None, "beside": None}
    for name, task in tasks(args, device, report["limits"]):
        found = budget.spend(name, task)
        if name in ("batches", "beside"):
            report[name] = found
        else:
            report["pieces" if name.startswith("pieces") else "runs"].append({"name": name, **found})
        report["load_average_after"] = machine(device)["load_average"]
        write(args.output, report)  # after each, so that a kill loses nothing
    print(args.output.with_suffix(".md").read_text())
    for fault in report_faults(report):
        note(f"not to be published: {fault}")


def options() -> argparse.Namespace:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--reference", type=Path, help="the Matrix-Game-2 folder of the published code")
    arguments.add_argument("--fastvideo", type=Path, help="a checkout of FastVideo")
    arguments.add_argument("--eager-decoder", action="store_true", help="do not compile the published decoder")
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--threads", type=int, help="processor threads, of both programs")
    arguments.add_argument("--layers", type=int, help="cut the networks to this many layers where pieces are timed")
    arguments.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    arguments.add_argument("--decoders", nargs="+", default=["wan", "tiny"], choices=["wan", "tiny"])
    arguments.add_argument("--dtypes", nargs="+", help="default: bfloat16 on a GPU, float32 and bfloat16 on a CPU")
    arguments.add_argument(
        "--precisions", nargs="+", choices=list(PRECISIONS), help="default: all on a GPU, exact on a CPU"
    )
    arguments.add_argument("--attention", nargs="+", default=["sdpa"], choices=list(BACKENDS))
    arguments.add_argument("--worlds", nargs="+", type=int, default=[1, 2, 4], help="batches of worlds")
    arguments.add_argument("--blocks", type=int, default=40, help="blocks of a rollout that are timed")
    arguments.add_argument("--rounds", type=int, default=3, help="turns beside the published code")
    arguments.add_argument("--only", nargs="+", choices=["runs", "pieces", "batches", "beside"])
    arguments.add_argument("--minutes", type=float, default=8, help="begin nothing after this long")
    arguments.add_argument(
        "-o",
        "--output",
        type=report_argument(".json", ".md", ".png"),
        default=HERE / "results" / time.strftime("%Y-%m-%d"),
    )
    args = arguments.parse_args()
    args.precisions = args.precisions or (list(PRECISIONS) if args.device.startswith("cuda") else [EXACT])
    args.dtypes = args.dtypes or (["bfloat16"] if args.device.startswith("cuda") else ["float32", "bfloat16"])
    return args


class Budget:
    """Runs tasks until the time is spent; a failure is a result."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def spend(self, name: str, task: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the task found, or why it found nothing under `failed`."""
        if time.monotonic() > self._end:
            return {"failed": "not measured: the time given with --minutes was spent"}
        note(name)
        began = time.monotonic()
        try:
            found = task()
        except Exception as error:
            first = (str(error).splitlines() or [""])[0][:300]
            found = {"failed": f"{type(error).__name__}: {first}"}
            note(f"{name} failed: {found['failed']}")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return {**found, "took_s": round(time.monotonic() - began, 1)}


def tasks(
    args: argparse.Namespace, device: torch.device, limits: dict[str, float]
) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """What is measured, the most wanted first: (name, how)."""
    gpu = device.type == "cuda"
    size = "full" if gpu else "tiny"
    chosen: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    want = args.only or ["runs", "pieces", "batches", "beside"]

    def add_runs(variants: list[str], decoders: list[str], attention: str = "sdpa", precision: str = EXACT) -> None:
        for name in variants:
            for decoder in decoders:
                for dtype in args.dtypes:
                    title = f"{name}, {size} size, {decoder} decoder, {dtype}, {precision}"
                    chosen.append(
                        (
                            title + ("" if attention == "sdpa" else f", {attention}"),
                            lambda name=name, decoder=decoder, dtype=dtype: measure(
                                get_variant(name), size, dtype, device, decoder, args.blocks, limits, attention, gpu,
                                precision,
                            ),
                        )
                    )  # fmt: skip

    first, *others = args.variants
    if "runs" in want:
        add_runs([first], args.decoders)
    if "beside" in want and (args.reference or args.fastvideo):
        chosen.append(("beside", lambda: beside(args, first)))
    if "pieces" in want and not gpu:
        for dtype in args.dtypes:
            chosen.append(
                (
                    f"pieces, {first}, {dtype}",
                    lambda dtype=dtype: measure_pieces(get_variant(first), dtype, device, limits, args.layers),
                )
            )
    if "batches" in want:
        chosen.append(("batches", lambda: batches(args, first, size, device)))
    if "runs" in want:
        for precision in args.precisions:
            if precision != EXACT:
                add_runs([first], args.decoders, precision=precision)
        for attention in args.attention:
            if attention != "sdpa":
                add_runs([first], args.decoders[:1], attention)
        add_runs(others, args.decoders[:1])
    return chosen


def batches(args: argparse.Namespace, variant: str, size: str, device: torch.device) -> dict[str, Any]:
    """Several worlds at once, with the first decoder and the last dtype."""
    dtype, decoder = args.dtypes[-1], args.decoders[0]
    models = random_models(get_variant(variant), size, dtype, device, decoder)
    what = {"variant": variant, "size": size, "stored": dtype, "decoder": decoder}
    return {**what, "rows": time_batches(models, size, args.worlds, ENOUGH)}


def write(output: Path, report: dict[str, Any]) -> None:
    """Results as JSON, as a readable page, and as a picture."""
    output.parent.mkdir(parents=True, exist_ok=True)
    drawn = plot(report, output.with_suffix(".png"))
    write_text(output.with_suffix(".json"), json.dumps(report, indent=1) + "\n")
    write_text(output.with_suffix(".md"), markdown(report, output.name if drawn else None))


if __name__ == "__main__":
    main()
