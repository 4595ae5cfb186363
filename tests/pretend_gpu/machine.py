"""The devices, their settings, and what was found out about the work they were given."""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections import Counter
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

import torch

from .order import Clock

if TYPE_CHECKING:
    from .streams import Stream

POOL = 32  # streams of one priority that torch makes for a device
HERE = os.path.dirname(os.path.abspath(__file__))
TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_running: Machine | None = None
_inside: dict[CodeType, bool] = {}  # whether code is of torch or of this package; asked for with every operation


class Wait(NamedTuple):
    """The host waited for a stream: why, from which line, for which device, in which thread."""

    why: str
    where: str
    device: int
    thread: int


class Machine:
    """`count` devices of `total` bytes each.

    races: what was found, in words. waits: how often the host waited. captures: how many graphs hold work. taken:
    bytes that other programs have, by device. lock: held while an operation is checked. report: a file that gets a
    line for each race and each graph at once, for a process that others end.
    """

    def __init__(
        self, count: int, total: float, capability: tuple[int, int], name: str, report: Path | None = None
    ) -> None:
        self.report = report
        self.count, self.total, self.capability, self.name = count, int(total), capability, name
        self.races: list[str] = []
        self.waits: list[Wait] = []
        self.captures = 0
        self.taken: Counter[int] = Counter()
        self.lost: set[int] = set()
        self.streams: list[Stream] = []
        self.host: Clock = {}  # what the host knows to be done
        self.peaks: Counter[int] = Counter()
        self.allocations: Counter[int] = Counter()
        self.segments: Counter[int] = Counter()
        self.local = threading.local()  # each thread's current device and streams
        self.sync_mode = "default"
        self.lock = threading.RLock()
        self._pools: dict[tuple[int, int], list[Stream]] = {}
        self._turns: Counter[tuple[int, int]] = Counter()

    def race(self, text: str) -> None:
        """Report work that is out of order, once for each place."""
        text = f"{place()}: {text}"
        if text not in self.races:
            self.races.append(text)
            self.note("race", text)

    def captured(self) -> None:
        """A graph holds work."""
        self.captures += 1
        self.note("graph", place())

    def note(self, kind: str, text: str) -> None:
        """Add a line to the report."""
        if self.report is not None:
            with self.report.open("a", encoding="utf-8") as file:
                file.write(f"{kind}: {text}\n")

    def lose(self, index: int) -> None:
        """From now on a device fails at everything, as after a fault of the driver or the cable."""
        self.lost.add(index)

    def check(self, index: int) -> None:
        """Raise as CUDA does for a device that is lost."""
        if index in self.lost:
            raise torch.AcceleratorError("CUDA error: device is lost")  # type: ignore[attr-defined]

    def waited(self, why: str, device: int) -> None:
        """Count a wait of the host."""
        wait = Wait(why, place(), device, threading.get_ident())
        self.waits.append(wait)
        if self.sync_mode != "default":
            path, _, line = wait.where.rpartition(":")
            warnings.warn_explicit(f"called a synchronizing CUDA operation ({why})", UserWarning, path, int(line))

    def bytes_of(self, index: int, what: str) -> int:
        """Bytes `live` or `reserved` on a device."""
        return sum(getattr(stream, what) for stream in self.streams if stream.device.index == index)

    def pooled_stream(self, device: torch.device, priority: int) -> Stream:
        """The next of torch's streams of a device: new ones at first, then the same in turn."""
        from .streams import Stream

        key = device.index, priority
        pool = self._pools.setdefault(key, [])
        self._turns[key] += 1
        if len(pool) < POOL:
            pool.append(Stream.made(self, device, priority))
            return pool[-1]
        return pool[(self._turns[key] - 1) % POOL]


def machine() -> Machine:
    """The machine that is pretended."""
    assert _running is not None, "no GPU is pretended here"
    return _running


def running() -> Machine | None:
    """The machine that is pretended, or None."""
    return _running


def set_running(gpus: Machine | None) -> None:
    """Begin or end to pretend."""
    global _running
    _running = gpus


def place() -> str:
    """Where the program is: the first line outside of torch and this package."""
    frame = sys._getframe(1)
    while _inside.get(code := frame.f_code) or (code not in _inside and _is_inside(code)):
        if frame.f_back is None:
            break
        frame = frame.f_back
    return f"{_short(frame.f_code)}:{frame.f_lineno}"


def _is_inside(code: CodeType) -> bool:
    _inside[code] = inside = code.co_filename.startswith((HERE, TORCH))
    return inside


@functools.cache
def _short(code: CodeType) -> str:
    return "/".join(code.co_filename.split(os.sep)[-2:])
