"""Images at twice the size, each value four times, and then a 3x3 convolution: done as four small convolutions.

Each of the four places that come from one value sees only 2x2 of the original values, so the weight's taps that fall on
the same value are summed first. That takes 16 products where the doubled image takes 36, and the doubled image,
with twice the result's channels in the Wan VAE, is never made.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...compute.fused import under_autocast
from ...compute.ops import OperationsLike, is_wrapped, wants_channels_last

_TAPS = (((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1)))
"""For the first (second) of two places: which of three taps fall on the value before (this one), and on this one (the
one after)."""


def doubling_conv2d(ops: OperationsLike, dim: int, dim_out: int, bias: bool = True) -> Any:
    """The 3x3 convolution after a doubling; `double_and_convolve` does both."""
    conv = ops.Conv2d(dim, dim_out, 3, padding=1, bias=bias)
    conv.weights_in_use = ops.weights_in_use
    return conv


def double_and_convolve(conv: Any, x: Tensor) -> Tensor:
    """conv(x at twice the size): x [N, C, H, W] -> [N, O, 2H, 2W].

    On a CPU literally so: there oneDNN and winograd.py are quicker, and keep their last bits.
    """
    if not wants_channels_last(x.device) or torch.is_grad_enabled() or under_autocast(x) or is_wrapped(conv):
        return conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    with conv.weights_in_use(conv, x) as (weight, bias):
        return in_phases(x, weight, bias)


def in_phases(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [N, C, H, W] at twice the size, convolved with weight [O, C, 3, 3], zeros around it -> [N, O, 2H, 2W]."""
    out = weight.shape[0]
    x = x.contiguous(memory_format=torch.channels_last)
    y = F.conv2d(x, _phases(weight), None if bias is None else bias.repeat(4), padding=1)  # [N, 4 O, H + 1, W + 1]
    y = y.contiguous(memory_format=torch.channels_last)
    count, _, height, width = y.shape
    image, row, place = y.stride(0), y.stride(2), y.stride(3)
    # place (2 i + a, 2 j + b) is channel group 2 a + b of place (i + a, j + b)
    size = (count, height - 1, 2, width - 1, 2, out)
    stride = (image, row, row + 2 * out, place, place + out, 1)
    doubled = y.as_strided(size, stride, y.storage_offset()).reshape(count, 2 * height - 2, 2 * width - 2, out)
    return doubled.permute(0, 3, 1, 2)


def _phases(weight: Tensor) -> Tensor:
    """Weight [O, C, 3, 3] -> [4 O, C, 2, 2], channels last; the sums are in float32."""
    out, channels = weight.shape[:2]
    sums = weight.reshape(out * channels, 9).float() @ _sums(weight.device)  # [O C, 16]
    phases = sums.view(out, channels, 4, 2, 2).permute(2, 0, 3, 4, 1)  # [4, O, 2, 2, C]
    result = torch.empty(4, out, 2, 2, channels, dtype=weight.dtype, device=weight.device)
    return result.copy_(phases).flatten(0, 1).permute(0, 3, 1, 2)


@functools.cache
@torch.inference_mode(False)
def _sums(device: torch.device) -> Tensor:
    """[9, 16]: taps of the weight into phases and their taps."""
    one = torch.tensor(_TAPS, dtype=torch.float32)  # [phase, tap, 3]
    both = torch.einsum("aik,bjl->klabij", one, one)  # rows and columns
    return both.reshape(9, 16).to(device)
