"""PSNR and SSIM against a reference film, frame by frame, as FFmpeg's filters `psnr` and `ssim` compute them on RGB.
(PyAV tells what its filters found from version 18 on only.)"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

CELL = 4  # a window of SSIM is 2x2 cells of this many pixels, and the next one begins a cell later
PIXELS = (2 * CELL) ** 2
C1, C2 = int(0.01**2 * 255**2 * PIXELS + 0.5), int(0.03**2 * 255**2 * PIXELS * (PIXELS - 1) + 0.5)


@dataclass
class Reference:
    """Feed it frames and those of the reference with `add`; both of one size."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)

    def add(self, frames: Tensor, others: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits, and as many of the reference."""
        for one, other in zip(frames.numpy(), others.numpy(), strict=True):
            one, other = one.astype(np.int32), other.astype(np.int32)
            self.psnr.append(psnr_of(one, other))
            self.ssim.append(ssim_of(one, other))

    def about(self) -> dict[str, float | None]:
        """Means over all frames; equal frames, whose PSNR is infinite, count as 100 dB. None where there are no frames,
        and for SSIM where they are smaller than a window."""
        if not self.psnr:
            return {"psnr": None, "ssim": None}
        ssim = float(np.mean(self.ssim))
        return {"psnr": round(float(np.mean(self.capped())), 2), "ssim": None if math.isnan(ssim) else round(ssim, 4)}

    def capped(self) -> NDArray[np.float64]:
        """PSNR of each frame, 100 dB at most."""
        return np.array([100.0 if math.isinf(value) else value for value in self.psnr])


def psnr_of(one: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """Decibels between two pictures [H, W, 3] of 0 to 255; infinite where they are equal."""
    error = float(np.square(one - other).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim_of(one: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """Structural similarity of two pictures [H, W, 3] of 0 to 255, the mean over windows and colours; NaN where a side
    is shorter than a window."""
    a, b = _windows(one), _windows(other)
    squares, products = _windows(one * one + other * other), _windows(one * other)
    variance, covariance = squares * PIXELS - a * a - b * b, products * PIXELS - a * b
    alike = (2 * a * b + C1) * (2.0 * covariance + C2)
    found = alike / ((a * a + b * b + C1) * (1.0 * variance + C2))
    return float(found.mean()) if found.size else math.nan


def _windows(values: NDArray[np.int32]) -> NDArray[np.int64]:
    """Sums [rows, columns, 3] over all windows of a picture [H, W, 3], without what is left of a cell at its edges."""
    rows, columns = (side // CELL * CELL for side in values.shape[:2])
    lines = np.add.reduce([values[at:rows:CELL] for at in range(CELL)])
    cells = np.add.reduce([lines[:, at:columns:CELL] for at in range(CELL)]).astype(np.int64)
    return cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]
