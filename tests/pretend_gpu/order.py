"""Order by vector clocks: for each stream, how many pieces of its work come before a point."""

from __future__ import annotations

from typing import NamedTuple

Clock = dict[int, int]  # stream number -> the last of its pieces that is done


class Work(NamedTuple):
    """A piece of a stream's work: the stream's number, which of its pieces, and the line that asked for it."""

    stream: int
    tick: int
    where: str


def merge(clock: Clock, other: Clock) -> None:
    """From here on, `clock` comes after `other` too."""
    for stream, tick in other.items():
        if tick > clock.get(stream, 0):
            clock[stream] = tick
