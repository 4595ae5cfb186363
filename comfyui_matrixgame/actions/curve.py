"""Camera lanes: holds and ramps over time, and the rows they make.

A lane is a list of entries sorted by time. `[t, v]` holds v from row t on; `[t, v0, ease, len, v1]` goes from v0
at row t to v1 at row t + len and holds v1 from there. Before the first entry a lane is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Entry = list[Any]


def ease(name: str, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way from 0 to 1 of easing `name` at u in 0..1; `in` starts slowly, `out` ends slowly."""
    if name == "smooth":
        return u * u * (3.0 - 2.0 * u)
    if name == "in":
        return u * u
    if name == "out":
        return u * (2.0 - u)
    return u


def sample_lane(entries: Sequence[Entry], rows: int) -> NDArray[np.float64]:
    """The value of a lane at rows 0..rows-1: [rows]."""
    values = np.zeros(rows)
    for entry in entries:
        t = entry[0]
        if t >= rows:
            break
        if len(entry) == 2:
            values[t:] = entry[1]
            continue
        _, start, name, length, stop = entry
        u = np.arange(min(length, rows - t)) / length
        values[t : t + length] = start + (stop - start) * ease(name, u)
        values[t + length :] = stop
    return values


def canonical_entries(entries: Sequence[Entry]) -> list[Entry]:
    """The same lane without entries that change nothing: equal lanes written by one hand are equal lists."""
    out: list[Entry] = []
    now = 0.0
    for entry in entries:
        if len(entry) == 5 and entry[1] == entry[4]:
            entry = [entry[0], entry[1]]
        if len(entry) == 2 and entry[1] == now:
            continue
        now = _plain(entry[-1])
        if len(entry) == 2:
            out.append([int(entry[0]), now])
        else:
            out.append([int(entry[0]), _plain(entry[1]), entry[2], int(entry[3]), now])
    return out


def held_entries(values: NDArray[np.float32]) -> list[Entry]:
    """The lane of holds that makes exactly the float32 rows `values`, in as few digits as that takes."""
    if not len(values):
        return []
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    return canonical_entries([[int(t), float(str(values[t]))] for t in starts])


def _plain(value: float) -> float | int:
    """A number as JSON writes it most briefly: 0 for 0.0 and -0.0."""
    return int(value) if value == int(value) else float(value)
