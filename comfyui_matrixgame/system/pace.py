"""How fast the blocks of a run are made, and how long the rest will take."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .words import counted

RECENT = 7  # latest blocks that estimates are made from


@dataclass(frozen=True)
class Outlook:
    """at, of: the number of the next block, from 1, and of all blocks. seconds: what the rest will take. rate: frames a
    second over the last blocks. seconds and rate are None while unknown."""

    at: int
    of: int
    seconds: float | None
    rate: float | None

    def __str__(self) -> str:
        parts = [f"block {self.at} of {self.of}"]
        parts += [] if self.seconds is None else [f"{time_left(self.seconds)} left"]
        parts += [] if self.rate is None else [f"{self.rate:.3g} frames/s"]
        return ", ".join(parts)


class Pace:
    """What blocks took so far, by kind: made, decoded and so on. The first of a kind also waits for what is done once,
    so it is left out as soon as there is another.

    due: the kind of each block, in order. free: kinds that take no time worth counting. known: seconds that a block
    of a kind took before.
    """

    def __init__(self, due: Sequence[str], free: frozenset[str], known: Mapping[str, float]) -> None:
        self._due, self._free, self._known = list(due), free, known
        self._took: dict[str, list[float]] = {}
        self._recent: list[tuple[int, float]] = []  # frames and seconds
        self._done = 0

    def done(self, kind: str, frames: int, seconds: float) -> None:
        """The next block is finished: it had so many frames and took so long."""
        self._done += 1
        if kind in self._free:
            return
        self._took.setdefault(kind, []).append(seconds)
        self._recent = [*self._recent, (frames, seconds)][-RECENT:]

    def seconds(self, kind: str) -> float | None:
        """What another block of a kind will take; None while unknown."""
        took = self._took.get(kind, [])
        if len(took) > 1:
            return statistics.median(took[1:][-RECENT:])
        return self._known.get(kind, took[0] if took else None)

    @property
    def outlook(self) -> Outlook:
        """How the run stands before the next block."""
        ahead = [self.seconds(kind) for kind in self._due[self._done :] if kind not in self._free]
        left = None if any(each is None for each in ahead) else sum(each for each in ahead if each is not None)
        recent = self._recent[1:] or self._recent
        spent = sum(seconds for _, seconds in recent)
        rate = sum(frames for frames, _ in recent) / spent if spent > 0 else None
        return Outlook(min(self._done + 1, len(self._due)), len(self._due), left, rate)


def time_left(seconds: float) -> str:
    """The time left, rounded for a reader: 9 s, 2 min 10 s, 1 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(1, whole)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60 // 10 * 10} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def cancelled_note(done: int, of: int, where: str) -> str:
    """A note on what a cancelled run leaves behind. where: "in ..."."""
    if not done:
        return f"Cancelled in block 1 of {of}; nothing was finished"
    return f"Cancelled in block {done + 1} of {of}; {counted(done, 'block')} kept {where}, and Run goes on from there"
