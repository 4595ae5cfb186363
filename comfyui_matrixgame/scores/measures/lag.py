"""By how many frames picture and inputs are apart, and whether an axis is mirrored or takes another one's place.

How the motion of pairs of frames changes is compared with how what the inputs ask for changes, at each lag; where both
agree best is the lag. How much there is of a motion hangs on what is near, when it changes does not. Row t acts from
frame t + 1 on, which is a lag of 0; + is a picture that comes later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..motion.camera import AXES
from ..motion.meter import STEP

FURTHEST = 8  # frames to each side
LEAST_PAIRS = 24  # two seconds
WIDTHS = (1, 2)  # pairs before and after that a change is told from
MOST = 2.0  # of what a change usually is: what changes by more is cut to it
LEAST = 20.0  # of log likelihood that the best lag must gain over no connection
ORDERS = ((0, 1, 2, 3), (1, 0, 2, 3), (0, 1, 3, 2))  # as they should be, yaw and pitch swapped, forward and right
CLEAR = 6.0  # of log likelihood by which the best lag must be better than those that are not its neighbours, swapped
# axes than axes in their places, and an axis that is called mirrored or another's than no connection
NAMED = 0.25  # correlation that such an axis must have, however sure it is: the fit takes a little of one for another
LEAST_CHANGES = 3  # of an axis' inputs, from which it may be called mirrored
SWAP_CHANGES = 5  # of two axes' inputs together, from which they may be called swapped


@dataclass(frozen=True)
class Lag:
    """frames: None where it cannot be told, and `why`. faults: axes that are mirrored or swapped, in words.
    correlation: by axis, at that lag."""

    frames: int | None
    why: str = ""
    faults: tuple[str, ...] = ()
    correlation: dict[str, float] = field(default_factory=dict)


def find_lag(series: NDArray[np.float64], asked: NDArray[np.float64]) -> Lag:
    """series: [pairs, 4] of MotionMeter. asked: [rows, 4] of `asked_of`."""
    pairs = min(len(series), (len(asked) + 1) // STEP)
    series = series[:pairs]
    if (~np.isnan(series).any(axis=1)).sum() < LEAST_PAIRS:
        return Lag(None, f"fewer than {LEAST_PAIRS * STEP} frames have motion that can be told")
    if not (asked[: pairs * STEP].std(axis=0) > 0).any():
        return Lag(None, "the inputs do not change")
    lags = range(-FURTHEST, FURTHEST + 1)
    tables = [[_agreement(series, _sums(asked, pairs, lag), width) for width in WIDTHS] for lag in lags]
    gains = np.array(
        [[sum(_gain(table, order, count) for table, count in of_lag) for order in ORDERS] for of_lag in tables]
    )
    changes = (np.diff(_sums(asked, pairs, 0), axis=0) != 0).sum(axis=0)
    moved = [[i for i in range(len(AXES)) if order[i] != i] for order in ORDERS]
    gains[:, [bool(axes) and changes[axes].sum() < SWAP_CHANGES for axes in moved]] = 0.0
    tops = gains.max(axis=0)
    order = int(tops.argmax()) if tops.max() - tops[0] >= CLEAR else 0
    best = int(gains[:, order].argmax())
    if gains[best, order] < LEAST:
        return Lag(None, "picture and inputs have too little in common")
    others = np.delete(gains[:, order], range(max(0, best - 1), min(len(lags), best + 2)))
    if gains[best, order] - others.max() < CLEAR:
        return Lag(None, "the inputs change too little, or the motion is too unclear")
    table, moves = tables[best][-1][0], ORDERS[order]
    own = {axis: round(float(table[moves[i], i]), 3) for i, axis in enumerate(AXES) if table[:, i].any()}
    return Lag(lags[best], "", _faults(tables[best], moves, changes), own)


def _sums(asked: NDArray, pairs: int, lag: int) -> NDArray:
    """What is asked for in the rows that act on each pair, [pairs, 4]."""
    rows = np.arange(pairs * STEP).reshape(pairs, STEP) - lag
    return asked[rows.clip(0, len(asked) - 1)].sum(axis=1)


def _agreement(series: NDArray, wanted: NDArray, width: int) -> tuple[NDArray, int]:
    """Correlations [4 seen, 4 wanted] of how both change, and of how many places; 0 where one of them does not."""
    seen, wanted = _changes(series, width), _changes(wanted, width)
    good = np.asarray(~np.isnan(seen).any(axis=1))
    edge = FURTHEST // STEP + 1
    good[:edge] = False
    good[max(0, len(good) - edge) :] = False
    seen, wanted = seen[good], wanted[good]
    table = np.zeros((len(AXES), len(AXES)))
    for column in range(len(AXES)):
        at = abs(wanted[:, column]) > abs(wanted[:, column]).max(initial=0.0) / 2
        if not at.any():
            continue
        usual = np.median(abs(seen[at]), axis=0) + 1e-9  # where it should change: more is a mistake of the fit
        cut = np.clip(seen, -MOST * usual, MOST * usual)
        norms = np.linalg.norm(cut, axis=0) * np.linalg.norm(wanted[:, column])
        table[:, column] = np.where(norms > 1e-9, wanted[:, column] @ cut / np.maximum(norms, 1e-9), 0.0)
    return table, int(good.sum())


def _changes(values: NDArray, width: int) -> NDArray:
    """How much more there is in the next `width` pairs than in the last, [pairs - 2 width + 1, 4]."""
    sums = np.lib.stride_tricks.sliding_window_view(values, width, axis=0).mean(axis=-1)
    return sums[width:] - sums[:-width]


def _gain(table: NDArray, order: tuple[int, ...], count: int) -> float:
    """Log likelihood gained over no connection, where what asks for axis i moves `order[i]`."""
    return sum(_gain_of(table[moved, index], count) for index, moved in enumerate(order))


def _gain_of(correlation: float, count: int) -> float:
    """Log likelihood gained by one axis."""
    return float(-0.5 * count * np.log(1 - min(correlation**2, 0.9999)))


def _faults(tables: list[tuple[NDArray, int]], order: tuple[int, ...], changes: NDArray) -> tuple[str, ...]:
    """Axes that clearly have another sign or place. tables: of each width, correlations and of how many places."""
    found = []
    for index, axis in enumerate(AXES):
        values = [float(table[order[index], index]) for table, _ in tables]
        gained = sum(_gain_of(value, count) for value, (_, count) in zip(values, tables, strict=True))
        if gained < CLEAR or abs(values[-1]) < NAMED or min(values) < 0 < max(values):
            continue
        if order[index] != index:
            found.append(f"what asks for {axis} moves {AXES[order[index]]}{', mirrored' if max(values) < 0 else ''}")
        elif max(values) < 0 and changes[index] >= LEAST_CHANGES:
            found.append(f"{axis} is mirrored")
    return tuple(found)
