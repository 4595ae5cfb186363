"""Root mean square norms, alone and with the rotation that follows them, in one pass over memory."""

from __future__ import annotations

import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...compute.fused import triton_for
from ...compute.ops import cast, on_cpu
from .kv_cache import Ring, slot_of
from .rope import rotate

EPS = 1e-6
PIECE_ROWS = 240  # 1.5 MB of them at full size


class RMSNorm(nn.Module):
    """Root mean square norm over the whole width, with weight; the sums are in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim))

    def scale(self, like: Tensor) -> Tensor:
        """The weight in the dtype and on the device of `like`."""
        return cast(self.weight, like)

    def forward(self, x: Tensor) -> Tensor:
        if on_cpu(x):
            return norm_in_pieces(x, self.scale(x), None, x.shape[-1], EPS).squeeze(-2)
        return F.rms_norm(x, x.shape[-1:], self.scale(x), EPS)


def norm_rotate(x: Tensor, weight: Tensor | None, table: Tensor, head: int, eps: float) -> Tensor:
    """RMS norm of x [B, L, W] with a weight [W] over the whole width, or of each head without; then rotation.

    table: complex64 [L, 1, pairs], or a row for each of F frames, whose L / F tokens turn alike. Returns
    [B, L, W / head, head].
    """
    module = triton_for(x)
    if module is None:
        return _norm_rotate(x, weight, table, head, eps)
    batch, length, width = x.shape
    frames = len(table)
    out = torch.empty(batch, length, width // head, head, dtype=x.dtype, device=x.device)
    module.norm_rotate(
        x.reshape(-1, width), weight, torch.view_as_real(table.squeeze(1)), out, frames=frames,
        places=length // frames, first_slot=0, window=frames, ring=frames, table_strides=(1, 0),
        out_strides=(length * width, length // frames * width, width),
        width=width if weight is not None else head, head=head, eps=eps,
    )  # fmt: skip
    return out


def norm_rotate_into(
    ring: Ring, first_frame: int, x: Tensor, v: Tensor, weight: Tensor | None, table: Tensor, head: int, eps: float,
    apart: int = 1,
) -> None:  # fmt: skip
    """norm_rotate of keys x [B, F * places, W], written into the ring with their values v, of the same shape.

    apart: places that have a time of their own in the ring (N = B * apart); 1: all of a world are together.
    """
    module = triton_for(x)
    places, width = ring.tokens * apart, x.shape[-1]
    frames = x.shape[1] // places
    rows = all(y.stride(0) == y.shape[1] * y.stride(1) and y.stride(2) == 1 for y in (x, v))
    if module is None or not isinstance(ring, Ring) or frames > ring.window - ring.sink or not rows:
        if apart > 1:  # [B * places, F, W]
            x, v = (y.unflatten(1, (frames, apart)).transpose(1, 2).flatten(0, 1) for y in (x, v))
        ring.write(first_frame, _norm_rotate(x, weight, table, head, eps), v.unflatten(-1, (-1, head)))
        return
    module.norm_rotate(
        x.flatten(0, 1), weight, torch.view_as_real(table.squeeze(1)), ring.k, v.flatten(0, 1), ring.v,
        frames=frames, places=places, first_slot=slot_of(first_frame, ring.window, ring.sink), window=ring.window,
        ring=ring.window - ring.sink, table_strides=(1, 0) if len(table) == frames else (places, 1),
        out_strides=(apart * ring.k.stride(0), ring.tokens * width, ring.k.stride(0) if apart > 1 else width),
        width=width if weight is not None else head, head=head, eps=eps,
    )  # fmt: skip


def norm_in_pieces(x: Tensor, weight: Tensor | None, table: Tensor | None, head: int, eps: float) -> Tensor:
    """What norm_rotate computes, on a CPU: a piece at a time in one buffer of float32 that stays in the processor's
    cache. table: None where nothing turns."""
    batch, length, width = x.shape
    out = torch.empty(batch, length, width // head, head, dtype=x.dtype)
    worlds, rows = max(1, PIECE_ROWS // length), min(length, PIECE_ROWS)
    buffer = torch.empty(min(worlds, batch), rows, width // head, head)
    scale = None if weight is None else weight.float().view(-1, head)
    dims, count = ([-1], head) if scale is None else ([-2, -1], width)
    for first, start in itertools.product(range(0, batch, worlds), range(0, length, rows)):
        source = x[first : first + worlds, start : start + rows].unflatten(-1, (-1, head))
        y = buffer[: source.shape[0], : source.shape[1]].copy_(source)
        size = torch.linalg.vector_norm(y, dim=dims, keepdim=True)
        inverse = size.square_().div_(count).add_(eps).rsqrt_()
        if scale is not None:
            y.mul_(scale)
        if table is not None:
            turning = y[..., : 2 * table.shape[-1]].unflatten(-1, (-1, 2))
            torch.view_as_complex(turning).mul_(table[start : start + rows])
        y.mul_(inverse)
        out[first : first + worlds, start : start + rows] = y
    return out


def _norm_rotate(x: Tensor, weight: Tensor | None, table: Tensor, head: int, eps: float) -> Tensor:
    if on_cpu(x):
        return norm_in_pieces(x, weight, table.repeat_interleave(x.shape[1] // len(table), dim=0), head, eps)
    if weight is not None:
        x = F.rms_norm(x, x.shape[-1:], weight, eps).unflatten(-1, (-1, head))
    else:
        x = x.unflatten(-1, (-1, head))
        x = F.rms_norm(x, x.shape[-1:], eps=eps)
    if len(table) == x.shape[1]:
        return rotate(x, table)
    return rotate(x.unflatten(1, (len(table), -1)), table.unsqueeze(1)).flatten(1, 2)
