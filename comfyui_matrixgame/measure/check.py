"""Whether a report may be published: its speeds are means of enough blocks, and no part beats the machine's limit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any

from ..system.words import counted
from ..variants import FRAMES_PER_BLOCK
from .rollouts import ENOUGH, WARM

NAMED = ("variant", "size", "decoder", "stored", "computed")  # what every speed is said with


def report_faults(report: dict[str, Any]) -> list[str]:
    """What forbids to publish a report of `bench/run.py` or `matrixgame bench`, a sentence each; empty where nothing
    does. Runs that failed are no fault: they say so themselves."""
    runs = report.get("runs", [report])
    return [
        f"{run.get('name', 'run')}: {fault}"
        for run in [*runs, *report.get("pieces", [])]
        if "failed" not in run
        for fault in (*_beyond_limit(run), *_speeds(run))
    ]


def _beyond_limit(run: dict[str, Any]) -> Iterator[str]:
    for part in run.get("parts", []):
        if (part["of_limit"] or 0) > 1:
            yield f"{part['part']} reaches {100 * part['of_limit']:.0f}% of the limit, which was measured too low."


def _speeds(run: dict[str, Any]) -> Iterator[str]:
    if "end_to_end_fps" not in run:
        return
    for name in NAMED:
        if name not in run:
            yield f"its speed is given without the {name}."
    warm = [block["s"] for block in run["blocks"][WARM:]]
    if len(warm) < ENOUGH:
        yield f"its speed is of {counted(len(warm), 'warm block')}; {ENOUGH} are needed."
        return
    mean = statistics.fmean(warm)
    if not math.isclose(run["end_to_end_fps"], FRAMES_PER_BLOCK / mean, rel_tol=1e-6):
        yield f"end to end says {run['end_to_end_fps']:.1f} frames/s, its blocks {FRAMES_PER_BLOCK / mean:.1f}."
    beside = {"mean": mean, "median": statistics.median(warm), "slowest": max(warm)}
    for name, seconds in beside.items():
        if not math.isclose(run["block"][name], seconds, rel_tol=1e-6):
            yield f"the {name} of a block is not that of its blocks."
    if "transformer_only_fps" in run and run["pass"]["count"] < ENOUGH:
        yield f"transformer only is of {counted(run['pass']['count'], 'pass', 'passes')}; {ENOUGH} are needed."
