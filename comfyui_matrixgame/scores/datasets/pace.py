"""Frames that are missing from a film, that come twice, or that do not move while inputs turn the camera."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..motion.meter import STEP

SIDE = 96  # pixels of what differences are taken of
TWICE = 0.08  # of the usual difference around: less is the same frame again
AROUND = 3  # frames to each side
LEAST = 1.0  # of 255: a picture that usually changes by less stands still
GAP = 1.6  # of the usual time between frames
JUMP = (1.3, 2.7)  # of the usual turn of a pair, in which a frame is missing
EVEN = 0.12  # by which the turns around may differ from their median
TURNS = 0.004  # of a camera's unit: less is no turn
CURSOR_ROWS = 5  # one after the other
CURSOR = 0.12  # of what usually changes where the camera turns


class Differences:
    """Feed it frames with `add`: `values` is how much each differs from the one before, of 255; the first by NaN."""

    def __init__(self) -> None:
        self._values: list[NDArray[np.float64]] = []
        self._last: Tensor | None = None

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits."""
        step = max(1, min(frames.shape[1:3]) // SIDE)
        small = frames[:, ::step, ::step].float()
        before = small[:1] * float("nan") if self._last is None else self._last
        self._last = small[-1:]
        changed = (small - torch.cat([before, small[:-1]])).abs().mean(dim=(1, 2, 3))
        self._values.append(changed.double().numpy())

    @property
    def values(self) -> NDArray[np.float64]:
        """[frames]"""
        return np.concatenate(self._values) if self._values else np.zeros(0)


def doubled_frames(changes: NDArray[np.float64], moves: NDArray[np.bool_]) -> list[int]:
    """Frames that are the one before once more, where the frames around them move. changes: of `Differences`. moves:
    [frames], inputs ask for some motion into that frame."""
    usual = np.array([np.median(changes[max(1, f - AROUND) : f + AROUND + 1]) for f in range(len(changes))])
    again = (usual >= LEAST) & (changes < TWICE * usual) & moves
    edges = np.flatnonzero(np.diff(np.concatenate([[0], again.astype(int), [0]])))
    found: list[int] = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        beside = [f for f in (start - 1, stop) if 1 <= f < len(changes)]
        if stop - start < AROUND and all(changes[f] > usual[f] / 3 and moves[f] for f in beside):
            found += range(start, stop)
    return found


def gaps_in_time(times: NDArray[np.float64] | None) -> list[int]:
    """Frames that come so late after the one before that others are missing. times: [frames] seconds."""
    if times is None or len(times) < 3:
        return []
    steps = np.diff(times)
    usual = float(np.median(steps))
    return [int(frame) + 1 for frame in np.flatnonzero(steps > GAP * usual)] if usual > 0 else []


def jumps(yaw: NDArray[np.float64], asked: NDArray[np.float64]) -> list[int]:
    """Frames before which one is missing: the camera turns on evenly, and once by half as much again.

    yaw: [pairs] radians that it turned in the picture (NaN: not known). asked: [rows] what turns it.
    """
    found = []
    for pair in range(2, len(yaw) - 2):
        rows = asked[(pair - 2) * STEP : (pair + 3) * STEP]
        near = yaw[pair - 2 : pair + 3]
        if len(rows) < 5 * STEP or np.isnan(near).any() or abs(rows[0]) <= TURNS or np.ptp(rows) > 1e-6:
            continue
        usual = float(np.median(near))
        others = np.delete(near, 2)
        if not usual or (abs(others - usual) <= EVEN * abs(usual)).sum() < len(others) - 1:
            continue  # one of them may be a mistake of the fit
        if JUMP[0] <= near[2] / usual <= JUMP[1]:
            found.append(pair * STEP + 1)
    return found


def cursor_frames(changes: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows whose inputs turn the camera while the picture stands still, as when the mouse moves a menu's cursor.

    asked: [rows] of yaw. Row t shows in frame t + 1.
    """
    rows = min(len(asked), len(changes) - 1)
    turns = abs(asked[:rows]) > TURNS
    marked = np.zeros(len(asked), bool)
    if turns.sum() < 2 * CURSOR_ROWS:
        return marked
    seen = changes[1 : rows + 1]
    usual = float(np.percentile(seen[turns], 75))
    still = turns & (seen < CURSOR * usual) & (usual >= LEAST)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(int), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start >= CURSOR_ROWS:
            marked[start:stop] = True
    return marked
