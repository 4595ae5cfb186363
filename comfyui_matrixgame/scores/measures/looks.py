"""How frames look over time, from the frames alone: brightness, saturation, sharpness, change, black, white, frozen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...variants import FPS

CURVES = ("brightness", "saturation", "sharpness", "change")
MOST_POINTS = 240  # of a curve; longer films have longer steps
BLACK, WHITE = 8.0, 247.0  # grey levels, of the mean
PLAIN = 6.0  # grey levels that a black or white frame varies by at most
FROZEN = 0.05  # grey levels of change, on average: compression alone makes more
CODE = np.float32


@dataclass
class Looks:
    """Feed it frames with `add`. Memory grows by some bytes a frame."""

    frames: int = 0
    _values: list[NDArray] = field(default_factory=list)  # [n, 4] of CURVES a chunk
    _states: list[NDArray] = field(default_factory=list)  # [n, 2] black, white
    _last: Tensor | None = None

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits, those after what was added before."""
        x = frames.float()
        grey = x.mean(dim=-1)
        before = grey[:1] if self._last is None else self._last[None]
        change = (grey - torch.cat([before, grey[:-1]])).abs().mean(dim=(1, 2))
        if self._last is None:
            change[0] = torch.nan
        self._last = grey[-1].clone()
        top, low = x.amax(dim=-1), x.amin(dim=-1)
        saturation = ((top - low) / top.clamp(min=0.255)).mean(dim=(1, 2))
        sharp = sum(grey.diff(dim=side).abs().mean(dim=(1, 2)) if grey.shape[side] > 1 else 0 for side in (1, 2))
        mean, spread = grey.mean(dim=(1, 2)), grey.flatten(1).std(dim=1, unbiased=False)
        self._values.append(torch.stack([mean / 255, saturation, torch.as_tensor(sharp) / 255, change], 1).numpy())
        plain = spread <= PLAIN
        self._states.append(torch.stack([(mean <= BLACK) & plain, (mean >= WHITE) & plain], 1).numpy())
        self.frames += len(frames)

    @property
    def values(self) -> NDArray:
        """[frames, 4] of CURVES; the change of the first frame is NaN."""
        return np.concatenate(self._values) if self._values else np.zeros((0, len(CURVES)), CODE)

    def about(self, idle: NDArray[np.bool_] | None) -> dict[str, object]:
        """Figures for a report. idle: [frames] where nothing is asked for while the frame comes up; None: not known."""
        values, states = self.values, np.concatenate(self._states)
        change = values[:, 3]
        frozen = change <= FROZEN
        found: dict[str, object] = {
            "black_percent": _percent(states[:, 0]), "white_percent": _percent(states[:, 1]),
            "frozen_percent": _percent(frozen[1:]) if self.frames > 1 else None,
            "flicker": flicker(values[:, 0]),
        }  # fmt: skip
        found |= against_first_second(values)
        found["change"] = _mean(change[1:])
        found["standing_still"] = None if idle is None else _mean(change[idle & ~np.isnan(change)])
        return found

    def curves(self) -> dict[str, object]:
        """Means over steps of time, for drawing: step is in frames."""
        values, step = self.values, max(1, -(-self.frames // MOST_POINTS))
        cuts = range(0, self.frames, step)
        lines: dict[str, object] = {"step": step}
        for index, name in enumerate(CURVES):
            means = [_mean(values[cut : cut + step, index]) for cut in cuts]
            lines[name] = means
        return lines

    def worst(self, count: int) -> list[tuple[int, str]]:
        """Frames that are worth a look, and why: least sharp, farthest in brightness, the largest jump."""
        values = self.values
        if self.frames < 2:
            return []
        found: dict[int, str] = {}
        blurred = int(np.argmin(values[:, 2]))
        start = values[: min(FPS, self.frames), 0].mean()
        far = int(np.argmax(abs(values[:, 0] - start)))
        jump = int(np.nanargmax(values[:, 3]))
        for frame, why in (
            (jump, "largest change"),
            (far, "brightness farthest from the start"),
            (blurred, "least sharp"),
        ):
            found.setdefault(frame, why)
        for index, why in ((0, "black"), (1, "white")):
            where = np.flatnonzero(np.concatenate(self._states)[:, index])
            if len(where):
                found[int(where[0])] = why
        return sorted(found.items())[:count]


def flicker(brightness: NDArray) -> float | None:
    """Mean distance of a frame's brightness from that of its two neighbours' mean, in grey levels."""
    if len(brightness) < 3:
        return None
    middle = (brightness[:-2] + brightness[2:]) / 2
    return round(float(abs(brightness[1:-1] - middle).mean()) * 255, 3)


def against_first_second(values: NDArray) -> dict[str, object]:
    """Change of brightness, saturation and sharpness in the last second against the first, in percent."""
    found: dict[str, object] = {}
    for index, name in enumerate(CURVES[:3]):
        if len(values) < 2 * FPS:
            found[f"{name}_drift"] = None
            continue
        first, last = float(values[:FPS, index].mean()), float(values[-FPS:, index].mean())
        found[f"{name}_drift"] = round(100 * (last / first - 1), 1) if first > 1e-3 else None
    return found


def _percent(flags: NDArray) -> float:
    return round(100 * float(np.mean(flags)), 2)


def _mean(values: NDArray) -> float | None:
    values = values[~np.isnan(values)]
    return round(float(values.mean()), 4) if len(values) else None
