"""The layers the networks are built from.

A network takes an operations namespace, so that a host can put its own layers in their place (ComfyUI's cast
and offload on the fly). These are the engine's own: weights are cast to the input's dtype when they are used,
so a network may be stored in bfloat16, float16 or float8 and computed in another dtype without a second copy.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

CONV_ROUTE_ROWS = 64  # below this, a matrix product starts faster than a convolution


OperationsLike = Any
"""A namespace with Linear, LayerNorm, Conv2d, Conv3d as in torch.nn, and `weights_of(module, like)`, which gives a
module's weight and bias as the tensors to compute with beside `like`. No one type fits both ours and a host's."""


def cast(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` in the dtype and on the device of `like`; itself where both already agree."""
    return tensor.to(device=like.device, dtype=like.dtype)


def weights_of(module: nn.Module, like: Tensor) -> tuple[Tensor, Tensor | None]:
    """A layer's weight and bias, cast to the dtype and device of `like`."""
    bias = module.bias
    return cast(module.weight, like), None if bias is None else cast(bias, like)  # type: ignore[arg-type]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [..., in] times weight [out, in]^T plus bias -> [..., out].

    On a CPU in float32 a 1x1 convolution over channels-last rows is 1.4 to 1.8 times faster than torch's matrix
    product (measured: bench/results), because oneDNN takes the one and not the other.
    """
    rows = x.numel() // x.shape[-1]
    use_convolution = (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and rows >= CONV_ROUTE_ROWS
        and not torch.is_grad_enabled()
        and torch.backends.mkldnn.is_available()
    )
    if not use_convolution:
        return F.linear(x, weight, bias)
    image = x.reshape(1, 1, rows, x.shape[-1]).permute(0, 3, 1, 2)  # [1, in, 1, rows], channels last
    kernel = weight.reshape(*weight.shape, 1, 1)
    return F.conv2d(image, kernel, bias).permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


class Linear(nn.Linear):
    """nn.Linear that computes in its input's dtype."""

    def reset_parameters(self) -> None:
        """Nothing: weights come from a checkpoint, and filling them first would cost seconds."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, *weights_of(self, input))


class LayerNorm(nn.LayerNorm):
    """nn.LayerNorm that computes in its input's dtype."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = weights_of(self, input) if self.weight is not None else (None, None)
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps)


class Conv2d(nn.Conv2d):
    """nn.Conv2d that computes in its input's dtype."""

    def reset_parameters(self) -> None:
        """Nothing: weights come from a checkpoint."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, *weights_of(self, input))


def convolve3d(x: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv3d) -> Tensor:
    """The convolution `conv` with these weights.

    On CPUs without AVX-512 torch 2.13 leaves float32 to a kernel that is 3 to 10 times slower than oneDNN's
    (measured: bench/results), so oneDNN is asked for by name.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        padding = [int(side) for side in conv.padding]
        return torch.mkldnn_convolution(x, weight, bias, padding, conv.stride, conv.dilation, conv.groups)
    return F.conv3d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)  # type: ignore[arg-type]


class Conv3d(nn.Conv3d):
    """nn.Conv3d that computes in its input's dtype."""

    def reset_parameters(self) -> None:
        """Nothing: weights come from a checkpoint."""

    def forward(self, input: Tensor) -> Tensor:
        return convolve3d(input, *weights_of(self, input), self)


class Operations:
    """The engine's own layers; see OperationsLike."""

    Linear = Linear
    LayerNorm = LayerNorm
    Conv2d = Conv2d
    Conv3d = Conv3d
    weights_of = staticmethod(weights_of)
