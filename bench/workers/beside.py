"""The published code, FastVideo's classes and this engine in one run, taking turns: each in its own process, a ratio
for each pair."""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Iterator
from typing import Any

from comfyui_matrixgame.measure.bench import note
from comfyui_matrixgame.variants import get_variant

from .worker import Worker

PUBLISHED, FASTVIDEO = "published", "FastVideo"


def beside(args: argparse.Namespace, variant: str) -> dict[str, Any]:
    """Times of all, and how many times as fast this engine is: the median of the rounds' ratios.

    args: the options of run.py; where reference or fastvideo is None, it is left out. A program that fails is named,
    and the others go on.
    """
    gpu = args.device.startswith("cuda")
    layers = 30 if gpu or not args.layers else args.layers
    works = ["pass", "decode", *(["block"] if gpu else [])]
    result: dict[str, Any] = {"variant": variant, "layers": layers, "rounds": args.rounds, "programs": {}}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, script, arguments in _programs(args, variant, layers):
            note(f"loading {name}")
            try:
                workers[name] = Worker(name, script, *arguments)
                stack.callback(workers[name].close)
                result["programs"][name] = workers[name].about
            except (OSError, RuntimeError) as error:
                result["programs"][name] = {"failed": str(error)}
        result["works"] = {work: take_turns(workers, work, args.rounds) for work in works}
    passes = get_variant(variant).passes
    for row in result["works"]["pass"].values():
        if row["s"]:
            row["blocks_a_second_of_passes_alone"] = 1 / (passes * row["s"])
    return result


def _programs(args: argparse.Namespace, variant: str, layers: int) -> Iterator[tuple[str, str, list[str]]]:
    """Name, script and options of each."""
    shared = ["--variant", variant, "--layers", str(layers), "--device", args.device]
    shared += ["--threads", str(args.threads)] if args.threads else []
    if args.reference is not None:
        eager = ["--eager-decoder"] if args.eager_decoder else []
        yield PUBLISHED, "reference.py", [str(args.reference), *eager, *shared]
    if args.fastvideo is not None:
        yield FASTVIDEO, "fastvideo_code.py", [str(args.fastvideo), *shared]
    for dtype in args.dtypes:
        yield f"ours, {dtype}", "ours.py", [*shared, "--dtype", dtype]


def take_turns(workers: dict[str, Worker], work: str, rounds: int) -> dict[str, Any]:
    """Times of every program that can do this work, and how its speed compares with the others' in the same turn."""
    times: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for turn in range(rounds):
        for name, worker in workers.items():
            if worker.does(work):
                note(f"{work}, turn {turn + 1} of {rounds}: {name}")
                times[name].append(worker.time(work))
    table = {}
    for name, answers in times.items():
        good = [answer["s"] for answer in answers if "s" in answer]
        table[name] = {"answers": answers, "s": min(good) if good else None}
        if name != PUBLISHED:
            table[name] |= _ratios(times.get(PUBLISHED, []), answers)
        if name not in (PUBLISHED, FASTVIDEO) and (found := _ratios(times.get(FASTVIDEO, []), answers)):
            table[name]["beside_fastvideo"] = found
    return table


def _ratios(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    """How many times as fast ours are as theirs in the same turn; empty where there is no pair."""
    pairs = [a["s"] / b["s"] for a, b in zip(theirs, ours, strict=False) if "s" in a and "s" in b]
    return {"ratios": pairs, "times_as_fast": statistics.median(pairs)} if pairs else {}
