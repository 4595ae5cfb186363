"""Time and memory, read so that they mean the same on a GPU, on a quiet CPU and on a busy one."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch


class Seconds(NamedTuple):
    """The same stretch of time on two clocks.

    spent: what figures are made of; on a CPU with one thread the processor's time, which what else the machine does
    does not change, else the wall's. wall: until it was there.
    """

    spent: float
    wall: float


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clock_name(device: torch.device) -> str:
    """Which clock `Seconds.spent` reads."""
    return "processor" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall"


def now(device: torch.device, wait: bool = True) -> Seconds:
    """Both clocks, once the device has nothing left to do; without `wait`, at once."""
    if wait:
        synchronise(device)
    wall = time.perf_counter()
    return Seconds(time.process_time() if clock_name(device) == "processor" else wall, wall)


def since(began: Seconds, device: torch.device, wait: bool = True) -> Seconds:
    """Seconds from `began` on; wait: as in `now`."""
    ended = now(device, wait)
    return Seconds(ended.spent - began.spent, ended.wall - began.wall)


def least_times(times: list[Seconds]) -> Seconds:
    """The least of each clock: noise only adds. For limits and shares of them, never for a speed."""
    return Seconds(min(t.spent for t in times), min(t.wall for t in times))


@dataclass(frozen=True)
class Spread:
    """One thing timed several times, in seconds: `mean` is what a speed is made of."""

    mean: float
    median: float
    slowest: float
    fastest: float
    count: int

    @classmethod
    def of(cls, seconds: list[float]) -> Spread:
        """The spread of at least one time."""
        mean, median = statistics.fmean(seconds), statistics.median(seconds)
        return cls(mean, median, max(seconds), min(seconds), len(seconds))

    def as_json(self) -> dict[str, float]:
        """The figures by name, for a report."""
        return asdict(self)


def sustained(work: Callable[[], object], device: torch.device, calls: int = 20) -> float:
    """Seconds a call where many follow each other: the best of some rounds of calls between two waits.

    A single call between two waits also takes what launching it takes. On a CPU, where a call is long and nothing
    waits, there is one round, of a third of a second. calls: 1 only tries whether it runs.
    """
    work()
    rates = []
    slow = device.type == "cpu"
    for _ in range(1 if slow or calls == 1 else 3):
        began, done = now(device), 0
        while done < calls and not (slow and done and since(began, device).wall > 1 / 3):
            work()
            done += 1
        rates.append(since(began, device).spent / done)
    return min(rates)


def fastest_run(work: Callable[[], object], device: torch.device, repeats: int = 3) -> Seconds:
    """Seconds of the fastest of several runs, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        began = now(device)
        work()
        times.append(since(began, device))
    return least_times(times[1:])


def start_memory(device: torch.device) -> None:
    """Forget the peak so far, where the device can."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, int]:
    """Bytes at their peak: allocated and reserved on CUDA, resident in this process on a CPU (none where unknown)."""
    if device.type == "cuda":
        return {
            "peak_allocated": torch.cuda.max_memory_allocated(device),
            "peak_reserved": torch.cuda.max_memory_reserved(device),
        }
    try:
        import resource
    except ImportError:
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_resident": peak if sys.platform == "darwin" else peak * 1024}


def load_average() -> float | None:
    """Processes that wanted a processor during the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
