"""The layers of Wan 2.1's VAE: each takes the next frames and the history of those before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...compute.fused import add_into, channel_norm_silu_into, narrow_convolution, triton_for, under_autocast
from ...compute.ops import OperationsLike, cast, is_wrapped, wants_channels_last
from .doubling import double_and_convolve, doubling_conv2d
from .history import MEMORY, History
from .planes import convolve_in_planes, pays_in_planes


def causal_conv3d(ops: OperationsLike, dim_in: int, dim_out: int, kernel: tuple[int, int, int]) -> nn.Module:
    """A convolution padded in space only: `convolve` puts the earlier frames in front."""
    conv = ops.Conv3d(dim_in, dim_out, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))
    conv.weights_in_use = ops.weights_in_use
    return conv


def convolve(
    conv: nn.Module, x: Tensor, history: History, norm: nn.Module | None = None, added: Tensor | None = None
) -> Tensor:
    """Apply a causal convolution to the next frames x [B, C, T, H, W]; before the clip there are zeros.

    norm: applied to x before, with SiLU after it. It is done here so that no caller keeps the result alive: at
    full size each such tensor is a third of a gigabyte. added: to the result.
    """
    joined = history.join(x)
    if norm is None:
        joined[:, :, MEMORY:] = x
    elif torch.is_grad_enabled() or under_autocast(x) or is_wrapped(norm):
        joined[:, :, MEMORY:] = F.silu(norm(x))
    else:
        channel_norm_silu_into(joined[:, :, MEMORY:], x, cast(norm.gamma, x))  # type: ignore[arg-type]
    del x
    history.keep(joined[:, :, -MEMORY:])
    if (triton_for(joined) is not None or pays_in_planes(joined, conv)) and not is_wrapped(conv):
        return _convolve_fused(conv, joined, added)
    y = fast_layout(conv(joined))
    if added is None:
        return y
    return y + added if y.requires_grad else y.add_(added)


def _convolve_fused(conv: Any, joined: Tensor, added: Tensor | None) -> Tensor:
    """The convolution, with its bias and what is added in one pass where cuDNN makes two."""
    with conv.weights_in_use(conv, joined) as (weight, bias):
        y = narrow_convolution(joined, weight, bias, added)
        if y is None:
            if pays_in_planes(joined, conv):
                y = convolve_in_planes(joined, weight)
            else:
                y = F.conv3d(joined, weight, None, conv.stride, conv.padding)
            y = fast_layout(y)
            if not add_into(y, bias, added):
                y = y.add_(bias.view(-1, 1, 1, 1))
                y = y if added is None else y.add_(added)
    return y


class RMSNorm(nn.Module):
    """Unit root mean square over channels, times gamma."""

    def __init__(self, dim: int, spatial_dims: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *(1,) * spatial_dims))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1).mul_(cast(self.gamma, x) * x.shape[1] ** 0.5)


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, beside a shortcut."""

    def __init__(self, ops: OperationsLike, dim_in: int, dim_out: int) -> None:
        super().__init__()
        # positions 0, 2, 3, 6 carry weights in the published file; SiLU and dropout had the others
        self.residual = nn.ModuleDict(
            {
                "0": RMSNorm(dim_in, 3),
                "2": causal_conv3d(ops, dim_in, dim_out, (3, 3, 3)),
                "3": RMSNorm(dim_out, 3),
                "6": causal_conv3d(ops, dim_out, dim_out, (3, 3, 3)),
            }
        )
        self.shortcut = ops.Conv3d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()

    def forward(self, x: Tensor, history: History) -> Tensor:
        layers = self.residual
        h = convolve(layers["2"], x, history, layers["0"])
        return convolve(layers["6"], h, history, layers["3"], added=self.shortcut(x))


class SpatialAttention(nn.Module):
    """Single-head self-attention among the places of each frame."""

    def __init__(self, ops: OperationsLike, dim: int) -> None:
        super().__init__()
        self.norm = RMSNorm(dim, 2)
        self.to_qkv = ops.Conv2d(dim, dim * 3, 1)
        self.proj = ops.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, history: History) -> Tensor:
        batch, dim, frames, height, width = x.shape
        y = x.transpose(1, 2).reshape(batch * frames, dim, height, width)
        q, k, v = self.to_qkv(self.norm(y)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)  # [BT, 1, HW, C]
        y = attend_widely(q, k, v).squeeze(1).transpose(1, 2).reshape(batch * frames, dim, height, width)
        return x + self.proj(y).reshape(batch, frames, dim, height, width).transpose(1, 2)


def attend_widely(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention with heads of more than 256, for which torch has no fused kernel: it computes in float32 instead.

    On CUDA in 16 bits two products on tensor cores, with scores in float32, take its place (profiled on an H100: the
    products in float32 took 1.4 ms a block).
    """
    if q.device.type != "cuda" or q.dtype.itemsize != 2 or q.shape[-1] <= 256 or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    try:
        scores = torch.bmm(q, k.transpose(1, 2), out_dtype=torch.float32)  # type: ignore[call-overload]
    except TypeError:  # torch before 2.8
        return F.scaled_dot_product_attention(q, k, v).unsqueeze(1)
    weights = scores.mul_(q.shape[-1] ** -0.5).softmax(dim=-1).to(v.dtype)
    return torch.bmm(weights, v).unsqueeze(1)


class Downsample(nn.Module):
    """Half the size in space and, where `time`, in time: the first frame alone, then two to one."""

    def __init__(self, ops: OperationsLike, dim: int, time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": ops.Conv2d(dim, dim, 3, stride=2)})
        self.time_conv = ops.Conv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        x = per_frame(lambda y: self.resample["1"](F.pad(y, (0, 1, 0, 1))), x)
        if self.time_conv is None:
            return x
        past = history.past()
        y = x if past is None else self.time_conv(torch.cat([past.to(x.dtype), x], dim=2))
        history.keep(x[:, :, -1:])
        return y


class Upsample(nn.Module):
    """Twice the size in space and, where `time`, in time: the first latent frame stays one frame."""

    def __init__(self, ops: OperationsLike, dim: int, time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": doubling_conv2d(ops, dim, dim // 2)})
        self.time_conv = causal_conv3d(ops, dim, dim * 2, (3, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        if self.time_conv is not None:
            x = self._double_time(self.time_conv, x, history)
        return per_frame(lambda y: double_and_convolve(self.resample["1"], y), x)

    @staticmethod
    def _double_time(time_conv: nn.Module, x: Tensor, history: History) -> Tensor:
        if history.first:  # the first latent frame is not doubled, and later ones see zeros in its place
            history.keep(x.new_zeros(x.shape[0], x.shape[1], MEMORY, *x.shape[3:]))
            return x
        batch, dim, frames, height, width = x.shape
        x = convolve(time_conv, x, history)
        if not wants_channels_last(x.device):
            x = x.reshape(batch, 2, dim, frames, height, width)
            return x.permute(0, 2, 3, 1, 4, 5).reshape(batch, dim, frames * 2, height, width)
        x = x.permute(0, 2, 3, 4, 1).reshape(batch, frames, height, width, 2, dim)  # stays channels last
        return x.permute(0, 1, 4, 2, 3, 5).reshape(batch, frames * 2, height, width, dim).permute(0, 4, 1, 2, 3)


def per_frame(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of images to every frame of x [B, C, T, H, W].

    On a CPU one frame at a time: it is no slower there, and intermediate values need a quarter of the memory.
    """
    if x.device.type == "cpu":
        return fast_layout(torch.stack([function(frame) for frame in x.unbind(2)], dim=2))
    y = function(x.transpose(1, 2).flatten(0, 1))
    return y.unflatten(0, (x.shape[0], -1)).transpose(1, 2)


def fast_layout(x: Tensor) -> Tensor:
    """Channels last: 1.3 to 1.5 times faster convolutions on CPUs and on tensor cores."""
    return x.contiguous(memory_format=torch.channels_last_3d)
