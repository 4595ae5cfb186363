"""How fast the parts of a long piece of work come, and how long the rest takes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .words import counted

RECENT = 7  # parts of one kind that say what the next one takes


@dataclass(frozen=True)
class Outlook:
    """at, of: the block that comes, from 1 on, and how many there are. seconds: that the rest takes. rate: frames a
    second of the last blocks. Both are None while nobody knows."""

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
    """What blocks took so far, by what becomes of each; the first of a kind also waits for what comes once, so that
    it is left out as soon as there is another.

    due: what will become of each block, in order. free: kinds that take no time worth counting. known: seconds that
    one of a kind took before.
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
        """What one more of a kind takes; None where nobody knows."""
        took = self._took.get(kind, [])
        if len(took) > 1:
            return statistics.median(took[1:][-RECENT:])
        return self._known.get(kind, took[0] if took else None)

    @property
    def outlook(self) -> Outlook:
        """How it stands before the next block."""
        ahead = [self.seconds(kind) for kind in self._due[self._done :] if kind not in self._free]
        left = None if any(each is None for each in ahead) else sum(each for each in ahead if each is not None)
        recent = self._recent[1:] or self._recent
        spent = sum(seconds for _, seconds in recent)
        rate = sum(frames for frames, _ in recent) / spent if spent > 0 else None
        return Outlook(min(self._done + 1, len(self._due)), len(self._due), left, rate)


def time_left(seconds: float) -> str:
    """A time that is left, as exactly as anybody wants to know it: 9 s, 2 min 10 s, 1 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(1, whole)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60 // 10 * 10} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def cancelled_note(done: int, of: int, where: str) -> str:
    """What a run that was cancelled leaves behind. where: "in ..."."""
    if not done:
        return f"Cancelled in block 1 of {of}; nothing was finished"
    return f"Cancelled in block {done + 1} of {of}; {counted(done, 'block')} kept {where}, and Run goes on from there"
