"""The whole measurement in one call: this engine, and the published code beside it in the same run.

    python bench/run.py [--reference PATH] [--layers N] [--sizes tiny full] [-o bench/results/NAME]

Writes NAME.json and NAME.md. On a CPU the published code computes in float32, so ours is measured in float32 and
bfloat16; --layers cuts both networks to the same number of layers, for machines where 30 take too long. The two
programs take turns, so that what else the machine does hits both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from comfyui_matrixgame.measure import measure, note, table
from comfyui_matrixgame.variants import VARIANTS, get_variant

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure, compare, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--reference", type=Path, help="the Matrix-Game-2 folder of the published code")
    arguments.add_argument("--layers", type=int, help="cut both networks to this many layers")
    arguments.add_argument("--sizes", nargs="+", default=["tiny", "full"], choices=["tiny", "full"])
    arguments.add_argument("--variants", nargs="+", default=["universal"], choices=list(VARIANTS))
    arguments.add_argument("--decoders", nargs="+", default=["wan", "tiny"], choices=["wan", "tiny"])
    arguments.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--blocks", type=int, default=2)
    arguments.add_argument("-o", "--output", type=Path, default=HERE / "results" / time.strftime("%Y-%m-%d"))
    args = arguments.parse_args()
    device = torch.device(args.device)
    runs: list[dict[str, Any]] = []
    reference = compare(args, device) if args.reference else None
    for size in args.sizes:
        for variant in args.variants:
            for decoder in args.decoders:
                for dtype in args.dtypes:
                    note(f"{size}, {variant}, {decoder}, {dtype}")
                    layers = args.layers if size == "full" else None
                    runs.append(measure(get_variant(variant), size, dtype, device, decoder, args.blocks, layers))
    write(args.output, runs, reference)


def compare(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Ours and the published code's, each in its own process, in turn."""
    layers = args.layers or 30
    variant = args.variants[0]
    published = run_json(
        str(HERE / "reference.py"), str(args.reference), "--layers", str(layers), "--variant", variant,
        "--device", str(device), "--repeats", "1",
    )  # fmt: skip
    result = {"published": published, "variant": variant, "layers": layers, "ours": {}}
    for dtype in args.dtypes:
        note(f"beside the published code: {dtype}")
        result["ours"][dtype] = run_json(
            str(HERE / "ours.py"),
            "--layers",
            str(layers),
            "--variant",
            variant,
            "--dtype",
            dtype,
            "--device",
            str(device),
        )
    return result


def run_json(*command: str) -> dict[str, Any]:
    """Run python and read the last line it prints."""
    done = subprocess.run([sys.executable, *command], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(output: Path, runs: list[dict[str, Any]], reference: dict[str, Any] | None) -> None:
    """Results as JSON and as a readable table."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps({"runs": runs, "reference": reference}, indent=1) + "\n")
    parts = ["# Measured\n"]
    if reference:
        parts.append(comparison(reference))
    parts += [f"```\n{table(report)}\n```\n" for report in runs]
    output.with_suffix(".md").write_text("\n".join(parts))
    print("\n".join(parts))


def comparison(reference: dict[str, Any]) -> str:
    """The published code and ours, side by side."""
    published = reference["published"]
    lines = [
        f"## Beside the published code: {reference['variant']}, 640x352, {reference['layers']} layers, one run\n",
        "| | one pass | of theirs | decoding a frame of 320x176 (Wan VAE) | of theirs |",
        "|---|---|---|---|---|",
        f"| published code, {published['dtype']} | {published['pass_s']:.2f} s | 1 "
        f"| {published['decode_s_per_frame']:.2f} s | 1 |",
    ]
    for dtype, ours in reference["ours"].items():
        lines.append(
            f"| ours, stored {dtype}, computed {ours['computed']} | {ours['pass_s']:.2f} s "
            f"| {ours['pass_s'] / published['pass_s']:.2f} | {ours['decode_s_per_frame']:.2f} s "
            f"| {ours['decode_s_per_frame'] / published['decode_s_per_frame']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
