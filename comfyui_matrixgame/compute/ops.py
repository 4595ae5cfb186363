"""The layers the networks are built from.

A network takes an operations namespace, so that a host can put its own layers in their place (ComfyUI's cast
and offload on the fly). These are the engine's own: weights are cast to the input's dtype when they are used,
so a network may be stored in bfloat16, float16 or float8 and computed in another dtype without a second copy.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from . import winograd

CONV_ROUTE_ROWS = 64  # below this, a matrix product starts faster than a convolution
FEED_FORWARD_ROWS = 660  # rows that a CPU takes through both layers at once: a quarter of a block at full size


OperationsLike = Any
"""A namespace with Linear, LayerNorm, Conv2d, Conv3d as in torch.nn, and `weights_in_use(module, like)`, a context
that gives a module's weight and bias in the dtype and on the device of `like`; afterwards a host may reclaim their
memory. Its Linear has `gelu_fits`: GELU_BEFORE or GELU_AFTER, the GELU that its call computes with `gelu_first` or
`gelu`; and `eight_bits`: the dtype in which it computes and accepts its input, or None. No one type fits both ours and
a host's."""
GELU_BEFORE, GELU_AFTER = "before", "after"


@cache
def cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16; without them they take ten times as long as in
    float32."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _cpu_is("avx512_bf16")


@cache
def cpu_has_matrix_registers() -> bool:
    """Whether the processor has AMX, as Intel's have since 2023."""
    return _cpu_is("amx_tile")


def _cpu_is(feature: str) -> bool:
    """Whether torch reports this feature; what an older torch cannot report counts as no."""
    ask = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return ask is not None and ask()


@cache
def winograd_is_quicker() -> bool:
    """Whether this CPU's matrix products are known to be quick enough for winograd.py. With AVX-512 (measured on an
    EPYC) a large convolution of 384 channels takes about 0.4, of 192 about 0.5, of 96 up to 1.0 of the direct one's
    time; without it nothing was measured."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def cast(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` in the dtype and on the device of `like`; itself where they already agree."""
    return tensor.to(device=like.device, dtype=like.dtype)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` of the CPU on a device. On CUDA it goes from page-locked memory, so that nobody waits for the device."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def wants_channels_last(device: torch.device) -> bool:
    """Whether convolutions run channels last there, as tensor cores want it, whatever layout they are given.

    A CPU takes either; there the layout stays as it always was, and so does every bit of the frames.
    """
    return device.type != "cpu"


def lay_channels_last(network: nn.Module) -> None:
    """Store the weights of convolutions channels last, as tensor cores want them: kernels that get another
    layout convert it at every call."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            layout = torch.channels_last if isinstance(module, nn.Conv2d) else torch.channels_last_3d
            module.weight.data = module.weight.data.contiguous(memory_format=layout)


def weights_of(module: nn.Module, like: Tensor) -> tuple[Tensor, Tensor | None]:
    """A layer's weight and bias, cast to the dtype and device of `like`."""
    bias = module.bias
    return cast(module.weight, like), None if bias is None else cast(bias, like)  # type: ignore[arg-type]


def weights_in_use(module: nn.Module, like: Tensor) -> AbstractContextManager[tuple[Tensor, Tensor | None]]:
    """See OperationsLike."""
    return nullcontext(weights_of(module, like))


def is_wrapped(layer: nn.Module) -> bool:
    """Whether somebody watches or changes what goes into a layer or comes out of it: with a `forward` of the
    instance's own, as ComfyUI's bypassed LoRAs have it, or with a hook.

    Such a layer must be called with its plain input, and for its plain output: nothing that belongs before or after
    the call may be computed inside it, and nobody may use its weights without calling it.
    """
    forward = vars(layer).get("forward")
    # where core removes a bypass, it leaves the class's own method on the instance
    if forward is not None and getattr(forward, "__func__", None) is not type(layer).forward:
        return True
    before = layer._forward_pre_hooks.values()
    return bool(layer._forward_hooks) or not all(getattr(hook, "only_brings_weights", False) for hook in before)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    """x [..., in] times weight [out, in]^T plus bias -> [..., out]; gelu: of that, its GELU (tanh form).

    On CUDA in 16 bits the GELU is part of the product, on the sums before they are rounded. On AMD's processors in
    float32 a 1x1 convolution over channels-last rows is 1.4 to 1.8 times faster than torch's matrix product (measured:
    bench/results), because oneDNN computes the one and MKL, made for Intel's, the other.
    """
    if gelu and bias is not None and x.is_cuda and x.dtype.itemsize == 2 and not torch.is_grad_enabled():
        y = torch._addmm_activation(bias, x.flatten(0, -2), weight.t(), use_gelu=True)  # pyright: ignore[reportPrivateImportUsage]
        return y.unflatten(0, x.shape[:-1])
    y = _linear(x, weight, bias)
    if not gelu:
        return y
    if torch.is_grad_enabled():
        return F.gelu(y, approximate="tanh")
    return torch.ops.aten.gelu_(y, approximate="tanh")


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.numel() // x.shape[-1]
    if not _convolution_pays(x, rows):
        return F.linear(x, weight, bias)
    image = x.reshape(1, 1, rows, x.shape[-1]).permute(0, 3, 1, 2)  # [1, in, 1, rows], channels last
    kernel = weight.reshape(*weight.shape, 1, 1)
    return F.conv2d(image, kernel, bias).permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def on_cpu(x: Tensor) -> bool:
    """Whether x is on a CPU, and no gradient is kept."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def _convolution_pays(x: Tensor, rows: int) -> bool:
    return (
        on_cpu(x)
        and x.dtype == torch.float32
        and rows >= CONV_ROUTE_ROWS
        and torch.backends.mkldnn.is_available()
        and not cpu_has_matrix_registers()
    )


def feed_forward(first: nn.Module, second: nn.Module, x: Any) -> Tensor:
    """second(GELU(first(x))), the GELU in its tanh form, inside the layer that has room for it.

    x: what `first` takes; a tensor, unless it computes in 8 bits (quantise.QuantisedRows).
    """
    if _gelu_fits(second) == GELU_BEFORE and not is_wrapped(second):
        return second(first(x), gelu_first=True)
    if _gelu_fits(first) != GELU_AFTER or is_wrapped(first):
        return second(F.gelu(first(x), approximate="tanh"))
    rows = x.flatten(0, -2)
    if on_cpu(x) and first.weight.dtype == x.dtype and not _convolution_pays(x, len(rows)):
        # new pages for 95 MB between the layers would cost as much time as the GELU; what prepares a layer's weights
        # (a cast, oneDNN's own order) is not worth doing for each piece
        pieces = [second(first(piece, gelu=True)) for piece in rows.split(FEED_FORWARD_ROWS)]
        return torch.cat(pieces).unflatten(0, x.shape[:-1])
    return second(first(x, gelu=True))


def _gelu_fits(layer: nn.Module) -> str | None:
    return getattr(layer, "gelu_fits", None)  # layers that others put into a network do not have it


class Linear(nn.Linear):
    """nn.Linear that computes in its input's dtype."""

    gelu_fits = GELU_AFTER
    eight_bits: torch.dtype | None = None

    def reset_parameters(self) -> None:
        """Nothing: weights come from a checkpoint, and filling them first would cost seconds."""

    def forward(self, input: Tensor, gelu: bool = False) -> Tensor:
        return linear(input, *weights_of(self, input), gelu)


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
        return convolve2d(input, *weights_of(self, input), self)


def convolve2d(x: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> Tensor:
    """The convolution `conv` with these weights."""
    if _winograd_pays(x, weight, conv):
        return winograd.convolve(x.unsqueeze(2), weight.unsqueeze(2), bias).squeeze(2)
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def _winograd_pays(x: Tensor, weight: Tensor, conv: nn.Conv2d | nn.Conv3d) -> bool:
    return (
        on_cpu(x)
        and x.dtype == torch.float32
        and tuple(conv.kernel_size[-2:]) == (3, 3)
        and tuple(conv.padding) == (0, 1, 1)[-len(conv.padding) :]
        and {*conv.stride, *conv.dilation, conv.groups} == {1}
        and winograd_is_quicker()
        and winograd.pays(x, weight)
        and not torch.is_autocast_enabled("cpu")
    )


def convolve3d(x: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv3d) -> Tensor:
    """The convolution `conv` with these weights.

    On CPUs without AVX-512 torch 2.13 leaves float32 to a kernel that is 3 to 10 times slower than oneDNN's
    (measured: bench/results), so oneDNN is called by name.
    """
    if _winograd_pays(x, weight, conv):
        return winograd.convolve(x, weight, bias)
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
    weights_in_use = staticmethod(weights_in_use)
