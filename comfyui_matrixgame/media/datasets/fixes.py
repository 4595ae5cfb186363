"""Corrections of inputs: `lag=2,flip=pitch,scale=0.0667`, as a shift of rows, a map of the camera, and keys renamed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetError
from ...system.words import counted

Row = TypeVar("Row")
MOST_LAG = 250  # rows
HELP = "lag=FRAMES, flip=yaw|pitch|forward|right, swap=camera|keys, scale=FACTOR, menus=still"
TURNED = {"flip=pitch": ((-1, 0), (0, 1)), "flip=yaw": ((1, 0), (0, -1)), "swap=camera": ((0, 1), (1, 0))}
RENAMED = {
    "flip=forward": {"w": "s", "s": "w"},
    "flip=right": {"a": "d", "d": "a"},
    "swap=keys": {"w": "d", "d": "w", "s": "a", "a": "s"},
}


@dataclass(frozen=True)
class Fix:
    """text: as it was asked for. lag: rows by which inputs come later. camera: [2, 2], from (pitch, yaw) to those that
    are right. keys: a key -> what it should have been called. still: nothing turns while a menu is open."""

    text: str = ""
    lag: int = 0
    camera: tuple[tuple[float, float], tuple[float, float]] = ((1, 0), (0, 1))
    keys: tuple[tuple[str, str], ...] = ()
    still: bool = False

    def turned(self, camera: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows [.., 2] of pitch and yaw, corrected."""
        return camera @ np.array(self.camera, np.float64).T

    @property
    def turns(self) -> bool:
        """Whether the camera changes."""
        return self.camera != Fix().camera

    def key(self, name: str) -> str:
        """What a key should have been called."""
        return dict(self.keys).get(name, name)


def parse_fix(text: str) -> Fix:
    """A correction as `--fix` takes it; its parts apply in their order. Raises DatasetError."""
    fix = Fix()
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        name, _, value = part.partition("=")
        if part in TURNED:
            fix = _mapped(fix, TURNED[part])
        elif part in RENAMED:
            known = dict(fix.keys) or {key: key for key in "wsad"}
            fix = replace(fix, keys=tuple((key, RENAMED[part].get(name, name)) for key, name in known.items()))
        elif part == "menus=still":
            fix = replace(fix, still=True)
        elif name == "lag":
            fix = replace(fix, lag=fix.lag + int(_number(part, value, whole=True)))
        elif name == "scale":
            factor = _number(part, value)
            fix = _mapped(fix, ((factor, 0), (0, factor)))
        else:
            raise DatasetError(f"--fix does not know '{part}'; it takes {HELP}.")
    if abs(fix.lag) > MOST_LAG:
        raise DatasetError(f"--fix takes a lag of at most {counted(MOST_LAG, 'frame')}, not {fix.lag}.")
    fix = replace(fix, keys=tuple((key, name) for key, name in fix.keys if key != name))
    if fix == Fix():
        raise DatasetError(f"--fix '{text}' changes nothing; it takes {HELP}.")
    return replace(fix, text=text)


def shift_rows(rows: Sequence[Row], lag: int, known: Sequence[Row] = ()) -> tuple[list[Row], list[Row]]:
    """Rows that come `lag` rows later (before, where it is less than 0), and those that were pushed off.

    known: what was pushed off by the opposite shift, which comes back; else the first or last row is repeated.
    """
    count = min(abs(lag), len(rows))
    if not count:
        return list(rows), []
    if lag > 0:
        filled = list(known) if len(known) == count else [rows[0]] * count
        return [*filled, *rows[:-count]], list(rows[-count:])
    filled = list(known) if len(known) == count else [rows[-1]] * count
    return [*rows[count:], *filled], list(rows[:count])


def _mapped(fix: Fix, then: Any) -> Fix:
    product = np.array(then, np.float64) @ np.array(fix.camera, np.float64)
    (a, b), (c, d) = product.tolist()
    return replace(fix, camera=((a, b), (c, d)))


def _number(part: str, value: str, whole: bool = False) -> float:
    try:
        number = float(int(value)) if whole else float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (not whole and not number):
        raise DatasetError(f"--fix '{part}' needs {'a whole number' if whole else 'a number that is not 0'}.")
    return number
