"""Rotary position embeddings, as complex tables made once per block.

Angles are computed in float64 from Python integers, so a frame index of any size is exact and a rollout has no
last frame. Pairs are interleaved: values 2i and 2i + 1 of a head turn together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...compute.ops import upload

VIDEO_BASE = 10000.0
ACTION_BASE = 256.0
ACTION_PAIRS = 4  # of a head's 32 pairs only these turn


def video_table(first_frame: int, frames: int, height: int, width: int, pairs: int, device: torch.device) -> Tensor:
    """Rotations of a block's tokens in the order frame, row, column -> complex64 [F*H*W, 1, pairs].

    Of 64 pairs 22 turn with time, 21 with the row and 21 with the column.
    """
    third = pairs // 3
    tables = [
        _rotations(range(first_frame, first_frame + frames), pairs - 2 * third, VIDEO_BASE),
        _rotations(range(height), third, VIDEO_BASE),
        _rotations(range(width), third, VIDEO_BASE),
    ]
    values = [torch.view_as_real(table).flatten() for table in tables]
    there = upload(torch.cat(values), device).split([len(part) for part in values])  # 11 KB in place of 1.4 MB
    time, rows, columns = (part.view(*table.shape, 2) for part, table in zip(there, tables, strict=True))
    table = torch.cat(
        [
            time[:, None, None].expand(-1, height, width, -1, -1),
            rows[None, :, None].expand(frames, -1, width, -1, -1),
            columns[None, None].expand(frames, height, -1, -1, -1),
        ],
        dim=-2,
    )
    return torch.view_as_complex(table).reshape(-1, 1, pairs)


def action_table(first_frame: int, frames: int, device: torch.device) -> Tensor:
    """Rotations of a block's latent frames for the action attention -> complex64 [F, 1, 4]."""
    return upload(_rotations(range(first_frame, first_frame + frames), ACTION_PAIRS, ACTION_BASE).unsqueeze(1), device)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the leading pairs of every head of x [..., L, heads, dim] by table [L, 1, pairs]; the rest stays. Both may
    have further dimensions that broadcast.

    The sums are in float32; the result has x's dtype.
    """
    turning = 2 * table.shape[-1]
    head = x[..., :turning].float().reshape(*x.shape[:-1], -1, 2)
    turned = torch.view_as_real(torch.view_as_complex(head) * table).flatten(-2).to(x.dtype)
    return turned if turning == x.shape[-1] else torch.cat([turned, x[..., turning:]], dim=-1)


def _rotations(positions: range, pairs: int, base: float) -> Tensor:
    frequencies = base ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angles = torch.outer(torch.tensor(list(positions), dtype=torch.float64), frequencies)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
