"""The published code and this engine in one run, taking turns: each in its own process, a ratio for each pair."""

from __future__ import annotations

import argparse
import contextlib
import statistics
from typing import Any

from worker import Worker

from comfyui_matrixgame.measure import note


def beside(args: argparse.Namespace, variant: str) -> dict[str, Any]:
    """Times of both, and how many times as fast this engine is: the median of the rounds' ratios.

    args: the options of run.py. A program that fails is named, and the other one goes on.
    """
    gpu = args.device.startswith("cuda")
    layers = 30 if gpu or not args.layers else args.layers
    shared = ["--variant", variant, "--layers", str(layers), "--device", args.device]
    shared += ["--threads", str(args.threads)] if args.threads else []
    published_only = [str(args.reference), *(["--eager-decoder"] if args.eager_decoder else [])]
    works = ["pass", "decode", *(["block"] if gpu else [])]
    result: dict[str, Any] = {"variant": variant, "layers": layers, "rounds": args.rounds, "programs": {}}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, script, arguments in (
            ("published", "reference.py", [*published_only, *shared]),
            *((f"ours, {dtype}", "ours.py", [*shared, "--dtype", dtype]) for dtype in args.dtypes),
        ):
            note(f"loading {name}")
            try:
                workers[name] = Worker(name, script, *arguments)
                stack.callback(workers[name].close)
                result["programs"][name] = workers[name].about
            except (OSError, RuntimeError) as error:
                result["programs"][name] = {"failed": str(error)}
        result["works"] = {work: take_turns(workers, work, args.rounds) for work in works}
    return result


def take_turns(workers: dict[str, Worker], work: str, rounds: int) -> dict[str, Any]:
    """Every program's times of a work, and the ratios of each of ours to the published one beside it."""
    times: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for turn in range(rounds):
        for name, worker in workers.items():
            note(f"{work}, turn {turn + 1} of {rounds}: {name}")
            times[name].append(worker.time(work))
    table = {}
    for name, answers in times.items():
        good = [answer["s"] for answer in answers if "s" in answer]
        table[name] = {"answers": answers, "s": min(good) if good else None}
        pairs = [
            theirs["s"] / mine["s"]
            for theirs, mine in zip(times.get("published", []), answers, strict=False)
            if "s" in theirs and "s" in mine
        ]
        if name != "published" and pairs:
            table[name] |= {"ratios": pairs, "times_as_fast": statistics.median(pairs)}
    return table
