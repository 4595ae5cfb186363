"""Recordings of other frame rates as rows of 25 a second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..variants import FPS

Numbers = NDArray[np.float64]


def rows_of(count: int, fps: float, to_fps: float = FPS) -> int:
    """How many rows `count` samples at `fps` become; at least one."""
    return max(1, round(count * to_fps / fps))


def nearest(samples: NDArray, fps: float, to_fps: float = FPS) -> NDArray:
    """What is held: for each new row the sample at its middle. [T, ...] -> [rows, ...]"""
    rows = rows_of(len(samples), fps, to_fps)
    at = ((np.arange(rows) + 0.5) * fps / to_fps).astype(np.int64)
    return samples[np.minimum(at, len(samples) - 1)]


def spread(amounts: Numbers, fps: float, to_fps: float = FPS) -> Numbers:
    """What is moved: amounts per sample as amounts per new row with the same sum. [T, C] -> [rows, C]"""
    rows = rows_of(len(amounts), fps, to_fps)
    total = np.concatenate([np.zeros((1, amounts.shape[1])), np.cumsum(amounts, axis=0)])
    at = np.minimum(np.arange(rows + 1) * fps / to_fps, len(amounts))
    at[-1] = len(amounts)
    return np.diff(np.stack([np.interp(at, np.arange(len(total)), column) for column in total.T], axis=1), axis=0)
