"""The camera's motion over a whole film, block by block, while its frames come in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...variants import first_input_of_block
from .camera import AXES, GUESSES, TILTS, WAYS, fit
from .flow import cells_of, dense_flow, small_grey
from .smoothness import Smoothness

STEP = 2  # frames between those of a pair: blocks begin at even rows
BATCH = 24  # frames measured at a time
LEVEL = 0.005  # of misfit that a tilt costs, for each step of TILTS that it is away from where the camera should look
SETTLES = 0.93  # a block later, so much is left of what the camera was turned up
MOST_TILT = 0.7  # radians
LEAST = 0.003  # of misfit by which one sign must fit better than the other
WORST = 0.35  # of misfit: the fit does not explain the motion
CUT = 0.25  # of contrast, on average: a picture that changes by more is another one
STILL = 0.15  # pixels a pair, of a picture 160 across
_TILTS = np.repeat(np.array(TILTS), len(WAYS))
_SIGNS = np.array([way for _, way in GUESSES])


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
            found = fit(cells_of(*dense))
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
        away = ((_TILTS - self._tilt) / (TILTS[1] - TILTS[0])) ** 2 * LEVEL
        whole = changed < CUT
        for motion, cost, is_whole in zip(motions, costs, whole, strict=True):
            best = int((cost + away).argmin())
            self._series.append(motion[best].astype(float) if is_whole and cost[best] < WORST else np.full(4, np.nan))
        cost, motion = costs.mean(0) + away, motions.mean(0)
        best = int(cost.argmin())
        why = "cut" if not whole.all() else "still" if moved.mean() < STILL else ""
        if not why and costs.mean(0)[best] >= WORST:
            why = "unclear"
        signs = (0,) * len(AXES) if why else tuple(_sign(cost, motion, axis) for axis in range(len(AXES)))
        if not why:
            turned = self._tilt * SETTLES + float(motion[best, 1]) * len(costs)
            self._tilt = min(max(turned, -MOST_TILT), MOST_TILT)
        sizes = tuple(float(v) / STEP for v in motion[best])
        self.blocks.append(BlockMotion(len(self.blocks), signs, sizes, why or ("" if any(signs) else "unclear")))


def _sign(cost: NDArray, motion: NDArray, axis: int) -> int:
    """Which sign of an axis fits better, by more than LEAST; 0: neither. cost: [H]. motion: [H, 4]."""
    signs = _SIGNS[:, axis - 2] if axis >= 2 else np.sign(motion[:, axis])
    up, down = (cost[signs == sign].min(initial=math.inf) for sign in (1, -1))
    return 0 if abs(up - down) < LEAST or (math.isinf(up) and math.isinf(down)) else 1 if up < down else -1
