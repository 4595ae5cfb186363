"""Motion smoothness as the published benchmark defines it, by this program's own flow instead of AMT's network: every
second frame is left out, made again from its neighbours, and compared."""

from __future__ import annotations

import torch
from torch import Tensor

from .flow import halfway_pictures, small_colours


class Smoothness:
    """Feed it frames with `add`, and the flow from each even frame to the next even one with `compare`. Keeps the small
    frames whose flow has not come yet."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []  # from an even frame on
        self._sum, self._count = 0.0, 0

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits."""
        self._waiting += list(small_colours(frames).round().to(torch.uint8))

    def compare(self, flow: Tensor) -> None:
        """Flow [B, 2, h, w] of the next B pairs of even frames."""
        pairs = len(flow)
        frames = torch.stack(self._waiting[: 2 * pairs + 1]).float()
        self._waiting = self._waiting[2 * pairs :]
        made = halfway_pictures(frames[:-1:2], frames[2::2], flow).round()
        self._sum += float((made - frames[1::2]).abs().mean(dim=(1, 2, 3)).sum())
        self._count += pairs

    @property
    def score(self) -> float | None:
        """1 where every second frame is what its neighbours make it; None of fewer than three frames."""
        return round(1 - self._sum / self._count / 255, 4) if self._count else None
