"""Rotary position embeddings, as complex tables made once per block.

Angles are computed in float64 from Python integers, so a frame index of any size is exact and a rollout has no
last frame. Pairs are interleaved: values 2i and 2i + 1 of a head turn together.
"""

from __future__ import annotations

import torch
from torch import Tensor

VIDEO_BASE = 10000.0
ACTION_BASE = 256.0
ACTION_PAIRS = 4  # of a head's 32 pairs only these turn


def video_table(first_frame: int, frames: int, height: int, width: int, pairs: int, device: torch.device) -> Tensor:
    """Rotations of a block's tokens in the order frame, row, column -> complex64 [F*H*W, 1, pairs].

    Of 64 pairs 22 turn with time, 21 with the row and 21 with the column.
    """
    third = pairs // 3
    time = _angles(range(first_frame, first_frame + frames), pairs - 2 * third, VIDEO_BASE)
    rows = _angles(range(height), third, VIDEO_BASE)
    columns = _angles(range(width), third, VIDEO_BASE)
    angles = torch.cat(
        [
            time[:, None, None].expand(-1, height, width, -1),
            rows[None, :, None].expand(frames, -1, width, -1),
            columns[None, None].expand(frames, height, -1, -1),
        ],
        dim=-1,
    )
    return _rotations(angles.reshape(-1, 1, pairs), device)


def action_table(first_frame: int, frames: int, device: torch.device) -> Tensor:
    """Rotations of a block's latent frames for the action attention -> complex64 [F, 1, 4]."""
    angles = _angles(range(first_frame, first_frame + frames), ACTION_PAIRS, ACTION_BASE)
    return _rotations(angles.unsqueeze(1), device)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the leading pairs of every head of x [..., L, heads, dim] by table [L, 1, pairs]; the rest stays.

    The sums are in float32; the result has x's dtype.
    """
    turning = 2 * table.shape[-1]
    head = x[..., :turning].float().reshape(*x.shape[:-1], -1, 2)
    turned = torch.view_as_real(torch.view_as_complex(head) * table).flatten(-2).to(x.dtype)
    return turned if turning == x.shape[-1] else torch.cat([turned, x[..., turning:]], dim=-1)


def _angles(positions: range, pairs: int, base: float) -> Tensor:
    frequencies = base ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    return torch.outer(torch.tensor(list(positions), dtype=torch.float64), frequencies)


def _rotations(angles: Tensor, device: torch.device) -> Tensor:
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64).to(device)
