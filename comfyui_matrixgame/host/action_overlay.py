"""Action Overlay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..actions.drawing.overlay import draw_overlay as overlay
from ..actions.track import ActionTrack

OVERLAY_CHUNK = 48  # frames converted at a time


def draw_overlay(images: Tensor, actions: ActionTrack, **look: Any) -> Tensor:
    """IMAGE [N, H, W, C] with the heads-up display; pixels that nothing is drawn on stay exactly as they are."""
    parts = []
    for start in range(0, len(images), OVERLAY_CHUNK):
        chunk = images[start : start + OVERLAY_CHUNK].cpu().float()
        plain = chunk[..., :3].expand(*chunk.shape[:3], 3).mul(255).round().clamp(0, 255).to(torch.uint8)
        drawn = torch.from_numpy(overlay(plain.numpy(), actions, first_row=start, **look))
        kept = chunk[..., :3].expand(*chunk.shape[:3], 3)
        bar = drawn.shape[1] - plain.shape[1]
        plain, kept = (nn.functional.pad(x, (0, 0, 0, 0, 0, bar)) for x in (plain, kept))
        parts.append(torch.where(drawn == plain, kept, drawn.float() / 255))
    return torch.cat(parts) if parts else images
