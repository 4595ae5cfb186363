"""Recordings of other frame rates as rows of 25 a second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..variants import FPS

Numbers = NDArray[np.float64]


def resampled_length(count: int, fps: float, to_fps: float = FPS) -> int:
    """How many rows `count` samples at `fps` become; at least one."""
    return max(1, round(count * to_fps / fps))


def resample_held(samples: NDArray, fps: float, to_fps: float = FPS, times: Numbers | None = None) -> NDArray:
    """What is held: for each new row the sample at its middle. [T, ...] -> [rows, ...]

    times: [T + 1] seconds at which samples begin and the last ends, where they do not come evenly.
    """
    rows = resampled_length(len(samples), fps, to_fps)
    at = _samples_at(np.arange(rows) + 0.5, fps, to_fps, times).astype(np.int64)
    return samples[np.minimum(at, len(samples) - 1)]


def resample_amounts(amounts: Numbers, fps: float, to_fps: float = FPS, times: Numbers | None = None) -> Numbers:
    """What is moved: amounts per sample as amounts per new row with the same sum. [T, C] -> [rows, C]. times: see
    `resample_held`."""
    rows = resampled_length(len(amounts), fps, to_fps)
    total = np.concatenate([np.zeros((1, amounts.shape[1])), np.cumsum(amounts, axis=0)])
    at = np.minimum(_samples_at(np.arange(rows + 1), fps, to_fps, times), len(amounts))
    at[-1] = len(amounts)
    return np.diff(np.stack([np.interp(at, np.arange(len(total)), column) for column in total.T], axis=1), axis=0)


def _samples_at(rows: NDArray, fps: float, to_fps: float, times: Numbers | None) -> Numbers:
    """Where among the samples new rows are: 2.5 is the middle of the third."""
    return rows * fps / to_fps if times is None else np.interp(rows / to_fps, times, np.arange(len(times)))
