"""The camera's motion over a whole film, block by block, while its frames come in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...system.resources import give_back
from ...variants import first_input_of_block
from .camera import AXES, TILTS, WAYS, Fit, fit_camera
from .flow import cells_of, dense_flow, small_grey
from .smoothness import Smoothness

STEP = 2  # frames between those of a pair: blocks begin at even rows
BATCH = 24  # frames measured at a time
LEVEL = 0.005  # of misfit that a tilt costs, for each step of TILTS that it is away from where the camera should look
SETTLES = 0.93  # a block later, so much is left of what the camera was turned up
MOST_TILT = 0.7  # radians
LEAST = 0.0015  # of misfit by which one sign must fit better than the other
LEAST_TURN = 0.0035  # radians a pair: a turn that is less is none whose side can be told
DOUBT = 0.1  # of the square of what is left unexplained: the worse the fit, the clearer must be which sign it is
WORST = 0.35  # of misfit: the fit does not explain the motion of a pair
CUT = 0.25  # of contrast, on average: a picture that changes by more may be another one
ALONE = 2  # times what pairs beside it change by: a cut is sudden, and something close that goes by is not
OTHER = 0.55  # of contrast: another picture, whatever those beside it are
STILL = 0.15  # pixels a pair, of a picture 160 across
_TILTS = np.repeat(np.array(TILTS), len(WAYS))
_SIGNS = np.array(WAYS)


@dataclass(frozen=True)
class BlockMotion:
    """What was seen of a block. signs: of AXES, -1, 0 (not to be told) or 1. sizes: of the motion, per frame: radians,
    then pixels of a picture 160 across. why: "" where it was judged; still, cut, or unclear."""

    block: int
    signs: tuple[int, ...]
    sizes: tuple[float, ...]
    why: str


class MotionMeter:
    """Feed it frames with `add`, end with `end`; `blocks` then has them all, `series` the motion of each pair.

    series: rows [4] of AXES for frames 0-2, 2-4, ...; NaN where the motion is not explained. smoothness: of the frames
    between those. Memory grows by some
    hundred bytes a second.
    """

    def __init__(self) -> None:
        self.blocks: list[BlockMotion] = []
        self.smoothness = Smoothness()
        self._series: list[NDArray] = []
        self._waiting: list[Tensor] = []  # frames not measured yet, the first of them also the last of a pair
        self._frames = 0
        self._fits: list[tuple[NDArray, NDArray, float, float]] = []  # of pairs whose block has not ended
        self._measured = 0  # pairs
        self._tilt = 0.0

    @property
    def series(self) -> NDArray[np.float64]:
        """[pairs, 4]"""
        return np.stack(self._series) if self._series else np.zeros((0, len(AXES)))

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits, those after what was added before."""
        small = small_grey(frames)
        self.smoothness.add(frames)
        self._waiting += [small[index] for index in range(-self._frames % STEP, len(small), STEP)]
        self._frames += len(frames)
        while len(self._waiting) > BATCH:
            self._measure(BATCH)

    def end(self) -> None:
        """No frame follows."""
        if len(self._waiting) > 1:
            self._measure(len(self._waiting) - 1)
        if self._fits:
            self._decide()

    def _measure(self, pairs: int) -> None:
        small = torch.stack(self._waiting[: pairs + 1])
        self._waiting = self._waiting[pairs:]
        with torch.no_grad():
            dense = dense_flow(small[:-1], small[1:])
            self.smoothness.compare(dense[0])
            found = fit_camera(cells_of(*dense))
        self.add_fit(found)
        give_back(torch.device("cpu"))  # or glibc keeps more with every minute of the film

    def add_fit(self, found: Fit) -> None:
        """The next pairs, fitted."""
        for fits in zip(
            found.motion.numpy(), found.cost.numpy(), found.changed.tolist(), found.moved.tolist(), strict=True
        ):
            self._fits.append(fits)
            self._measured += 1
            if self._measured * STEP >= first_input_of_block(len(self.blocks) + 1):
                self._decide()

    def _decide(self) -> None:
        motions, costs, changed, moved = (np.array(part) for part in zip(*self._fits, strict=True))
        self._fits = []
        self._series += _explained(motions, costs + _away(self._tilt), costs, changed)
        why = "cut" if _has_cut(changed) else "still" if moved.mean() < STILL else ""
        motion, cost, misfit, tilt = _along(motions, costs, self._tilt)
        best = int(cost.argmin())
        signs = (0,) * len(AXES)
        if not why:
            self._tilt = tilt * SETTLES
            signs = _signs(cost, motion, float(misfit[best]))
        sizes = tuple(float(v) / STEP for v in motion[best])
        self.blocks.append(BlockMotion(len(self.blocks), signs, sizes, why or ("" if any(signs) else "unclear")))


def _away(tilt: float) -> NDArray[np.float64]:
    """[H]: what guesses cost for lying away from where the camera looks."""
    return ((_TILTS - tilt) / (TILTS[1] - TILTS[0])) ** 2 * LEVEL


def _explained(motions: NDArray, costs: NDArray, misfits: NDArray, changed: NDArray) -> list[NDArray[np.float64]]:
    """The motion [4] of each pair by the guess that costs least; NaN where it explains nothing. [pairs, H, 4], [pairs,
    H] twice, [pairs]."""
    best = costs.argmin(axis=1)
    found = []
    for motion, misfit, change, at in zip(motions, misfits, changed, best, strict=True):
        known = change < CUT and misfit[at] < WORST
        found.append(motion[at].astype(float) if known else np.full(len(AXES), np.nan))
    return found


def _along(motions: NDArray, costs: NDArray, tilt: float) -> tuple[NDArray, NDArray, NDArray, float]:
    """Each way over a block whose camera begins at a tilt and turns with what was found: motion [ways, 4], cost and
    misfit [ways] a pair, and the tilt at its end. motions: [pairs, H, 4]. costs: [pairs, H]."""
    pairs, ways = len(costs), np.arange(len(WAYS))
    cost, misfit, motion = np.zeros(len(WAYS)), np.zeros(len(WAYS)), np.zeros((len(WAYS), len(AXES)))
    for pair in range(pairs):
        tilted = (costs[pair] + _away(tilt)).reshape(len(TILTS), len(WAYS))
        at = tilted.argmin(axis=0)
        moved = motions[pair].reshape(len(TILTS), len(WAYS), len(AXES))[at, ways]
        best = int(tilted[at, ways].argmin())
        tilt = min(max(tilt + float(moved[best, 1]), -MOST_TILT), MOST_TILT)
        cost += tilted[at, ways] / pairs
        misfit += costs[pair].reshape(len(TILTS), len(WAYS))[at, ways] / pairs
        motion += moved / pairs
    return motion, cost, misfit, tilt


def _has_cut(changed: NDArray) -> bool:
    """Whether a picture among pairs is another one. changed: [pairs] of contrast."""
    beside = np.concatenate([[0.0], changed, [0.0]])
    sudden = changed >= ALONE * np.maximum(beside[:-2], beside[2:])
    return bool(((changed >= CUT) & sudden | (changed >= OTHER)).any())


def _signs(cost: NDArray, motion: NDArray, misfit: float) -> tuple[int, ...]:
    """Which sign of each axis fits better; 0: neither does clearly, or the best fit hardly turns. cost: [ways]. motion:
    [ways, 4]."""
    least, found = max(LEAST, DOUBT * misfit**2), []
    best = motion[cost.argmin()]
    for axis in range(len(AXES)):
        signs = _SIGNS[:, axis - 2] if axis >= 2 else np.sign(motion[:, axis])
        up, down = (float(cost[signs == sign].min(initial=math.inf)) for sign in (1, -1))
        is_told = not (math.isinf(up) and math.isinf(down)) and abs(up - down) >= least
        is_told = is_told and (axis >= 2 or abs(best[axis]) >= LEAST_TURN)
        found.append(0 if not is_told else 1 if up < down else -1)
    return tuple(found)
