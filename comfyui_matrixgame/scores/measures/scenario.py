"""Scenario consistency: a way there and back should show the same, as the published benchmark measures it.

Of a film whose inputs undo themselves in the second half, frame i is compared with frame n - 1 - i, at 256x256, by the
mean difference at the best of all shifts of up to 4 pixels; the score is 1 - mean / 255.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...actions.track import ActionTrack

SIDE = 256
SHIFT = 4  # pixels to each side
MOST_FRAMES = 2400  # half of them are kept in memory: 236 MB
NOT_MIRRORED = "the inputs do not undo themselves in the second half (`matrixgame score --template`)"


def is_mirrored(track: ActionTrack, frames: int) -> bool:
    """Whether the rows of a film of so many frames come back the way they went, and move at all."""
    rows = frames - 1
    if rows < 2 or rows % 2 or len(track) < rows:
        return False
    keys, camera = track.keyboard[:rows], None if track.mouse is None else track.mouse[:rows]
    back = keys[::-1].copy()
    for one, other in track.variant.opposites:
        i, j = track.variant.keys.index(one), track.variant.keys.index(other)
        back[:, [i, j]] = back[:, [j, i]]
    half = rows // 2
    moves = bool((keys != np.asarray(track.variant.idle_row, np.float32)).any())
    if camera is not None:
        moves = moves or bool(camera.any())
        if not np.array_equal(camera[:half], -camera[::-1][:half]):
            return False
    changed = [i for pair in track.variant.opposites for i in map(track.variant.keys.index, pair)]
    others = [i for i in range(keys.shape[1]) if i not in changed and track.variant.keys[i] != "idle"]
    return moves and np.array_equal(keys[:half], back[:half]) and not keys[:, others].any()


class Scenario:
    """Feed it all `frames` frames with `add`; `score` then has it. Keeps half of them, at 256x256."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._kept = np.empty((frames // 2, SIDE, SIDE, 3), np.uint8)
        self._at = 0
        self._sum = 0.0

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits."""
        for frame in frames:
            small = F.interpolate(frame.permute(2, 0, 1)[None].float(), (SIDE, SIDE), mode="area")[0]
            partner = self._frames - 1 - self._at
            if self._at < len(self._kept):
                self._kept[self._at] = small.round().permute(1, 2, 0).to(torch.uint8).numpy()
            elif 0 <= partner < len(self._kept):
                self._sum += least_difference(torch.from_numpy(self._kept[partner]).permute(2, 0, 1).float(), small)
            self._at += 1

    @property
    def score(self) -> float | None:
        """0 to 1; None where not all frames came."""
        return round(1 - self._sum / len(self._kept) / 255, 4) if self._at == self._frames else None


def least_difference(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference of pictures [3, S, S] at the best shift; only where both overlap."""
    side, best = a.shape[-1], float("inf")
    for dy in range(-SHIFT, SHIFT + 1):
        for dx in range(-SHIFT, SHIFT + 1):
            one = a[:, max(0, dy) : side + min(0, dy), max(0, dx) : side + min(0, dx)]
            other = b[:, max(0, -dy) : side + min(0, -dy), max(0, -dx) : side + min(0, -dx)]
            best = min(best, float((one - other).abs().mean()))
    return best
