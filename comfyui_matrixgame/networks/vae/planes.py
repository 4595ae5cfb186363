"""Convolutions over time and space as ones in the plane: the frames that one sees become channels of one image.

The newest kernels of GPUs are for images. Each frame is then written once for every frame that sees it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...compute.ops import wants_channels_last
from ...compute.trials import trial_is_chosen

WIDE = 192  # fewest channels, in and out, for which it may pay; see also fused.narrow_convolution


def pays_in_planes(x: Tensor, conv: Any) -> bool:
    """Whether a convolution of x is to be done that way, which so far is only a trial."""
    return (
        trial_is_chosen("convolve-in-planes")
        and tuple(conv.kernel_size) == (3, 3, 3)
        and min(conv.in_channels, conv.out_channels) >= WIDE
        and wants_channels_last(x.device)
        and not torch.is_grad_enabled()
    )


def convolve_in_planes(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution of x [B, C, T + taps - 1, H, W] with weight [O, C, taps, k, k], zeros around the places, without
    a bias -> [B, O, T, H, W], channels last."""
    taps = weight.shape[2]
    batch, frames = x.shape[0], x.shape[2] - taps + 1
    rows = x.permute(0, 2, 3, 4, 1)  # [B, T + taps - 1, H, W, C]
    planes = torch.cat([rows[:, tap : tap + frames] for tap in range(taps)], dim=-1)
    flat = weight.transpose(1, 2).flatten(1, 2).contiguous(memory_format=torch.channels_last)  # [O, taps * C, k, k]
    y = F.conv2d(planes.flatten(0, 1).permute(0, 3, 1, 2), flat, padding=weight.shape[-1] // 2)
    return y.unflatten(0, (batch, frames)).transpose(1, 2)
