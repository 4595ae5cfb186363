"""Between the host's values and the engine's: text to tracks, IMAGE to frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..actions.bench import bench_track
from ..actions.overlay import draw_overlay as overlay
from ..actions.text import read_text
from ..actions.track import ActionTrack, rows_of_blocks
from ..errors import MatrixGameError
from ..variants import get_variant

OVERLAY_CHUNK = 48  # frames converted at a time


def problem_with_script(script: str | None, variant: str | None) -> str | None:
    """Why a script cannot be played, with line and column; None where it can, or is not known yet (linked)."""
    if script is None or variant is None:
        return None
    try:
        read_inputs(script, variant)
    except MatrixGameError as error:
        return str(error)
    return None


def read_inputs(script: str, variant: str) -> ActionTrack:
    """The track of a script, or of a timeline or another format that is text; raises ActionError."""
    return read_text(script, variant).track


def bench_inputs(variant: str, blocks: int, seed: int) -> ActionTrack:
    """The benchmark's random inputs for a new world of `blocks` blocks."""
    return bench_track(get_variant(variant), seed, rows_of_blocks(blocks))


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
