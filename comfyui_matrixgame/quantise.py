"""Fast modes: linear layers in 8-bit arithmetic. They give other numbers than exact mode and are never the default.

Both operands are 8 bits wide, each with float32 scales: one for every row of the input, measured when it comes, and
one for every output channel of the weights, measured once. Sums are in float32 (`fp8`) or exact integers (`int8`).
That is another thing than weights stored as float8_e4m3fn, which are widened before they are used: those save memory
and nothing else, and every input keeps its bits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .errors import BackendError
from .fused import quantise_rows

if TYPE_CHECKING:
    from .generator import Generator

EXACT = "exact"
PRECISIONS = (EXACT, "fp8", "int8")
_LARGEST = {torch.float8_e4m3fn: 448.0, torch.int8: 127.0}
_DTYPES = {"fp8": torch.float8_e4m3fn, "int8": torch.int8}
_SMALLEST_SCALE = 1e-12  # of a row of zeros
_MULTIPLE = 16  # both sides of a weight, for tensor cores
_LEAST_ROWS = 17  # of an int8 product on CUDA

# The large layers. All others stay exact: what enters and leaves the network, what is made once a block from the
# inputs alone, and the first layer of the camera, whose weights are used in two parts.
LARGE = (
    *(f"{attention}_attn.{name}" for attention in ("self", "cross") for name in "qkvo"),
    *(f"ffn.{name}" for name in "02"),
    *(f"action_model.{name}" for name in ("mouse_mlp.2", "t_qkv", "proj_mouse", "mouse_attn_q", "proj_keyboard")),
)


@dataclass(frozen=True)
class Quantised:
    """A weight [out, in] of 8 bits and its float32 scales [out]: their product is what was quantised."""

    values: Tensor
    scales: Tensor

    @property
    def nbytes(self) -> int:
        """Memory of both."""
        return self.values.nbytes + self.scales.nbytes


class QuantisedLinear(nn.Module):
    """A linear layer that computes in 8 bits. Takes and gives the dtype of its input."""

    TAKES_GELU_BEFORE = True

    def __init__(self, linear: nn.Linear, precision: str) -> None:
        super().__init__()
        quantised = quantise_weight(linear.weight.detach(), precision)
        self.weight = nn.Parameter(quantised.values, requires_grad=False)
        self.scale = nn.Parameter(quantised.scales, requires_grad=False)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor, gelu_first: bool = False) -> Tensor:
        return quantised_linear(x, Quantised(self.weight, self.scale), self.bias, gelu_first)


def named_layers(generator: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The large linears, quantised or not: nine tenths of all weights."""
    for name, module in generator.named_modules():
        parts = name.split(".", 2)
        if parts[0] == "blocks" and len(parts) == 3 and parts[2] in LARGE:
            yield name, module


def can_be_quantised(linear: nn.Module) -> bool:
    """Whether a layer is a plain linear of a shape that tensor cores take in 8 bits."""
    return isinstance(linear, nn.Linear) and not (linear.in_features % _MULTIPLE or linear.out_features % _MULTIPLE)


def quantised_size(linear: nn.Module) -> int:
    """Bytes of a layer's weight and scales in 8 bits."""
    weight = linear.get_parameter("weight")
    return weight.numel() + 4 * weight.shape[0]


def quantise(generator: nn.Module, precision: str) -> None:
    """Turn a loaded generator's large linears into 8-bit ones, one at a time; `exact` leaves it as it is."""
    for name, linear in list(named_layers(generator)) if precision != EXACT else []:
        if can_be_quantised(linear):
            parent, _, last = name.rpartition(".")
            assert isinstance(linear, nn.Linear)
            generator.get_submodule(parent)._modules[last] = QuantisedLinear(linear, precision)


def precision_of(generator: Generator) -> str:
    """How a generator computes, as every figure names it: `exact`, `fp8`, `int8`, or `exact, sage attention`.

    It is part of a world's name: a world goes on in the mode that it was made in, and in no other.
    """
    named = generator.precision
    if named is None:
        dtypes = {m.weight.dtype for m in generator.modules() if isinstance(m, QuantisedLinear)}
        named = next((name for name, dtype in _DTYPES.items() if dtype in dtypes), EXACT)
    attention = generator.attention.approximation
    return f"{named}, {attention} attention" if attention else named


def check_precision(precision: str, device: torch.device) -> None:
    """Raise BackendError for an unknown precision, or one that the device has no arithmetic for."""
    if precision not in PRECISIONS:
        raise BackendError(f"There is no precision '{precision}'; use {', '.join(PRECISIONS)}.")
    if precision == EXACT or device.type == "cpu" or _has_kernel(precision, device):
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"a device of type {device.type}"
    if precision == "fp8":
        other = "int8 or exact" if _has_kernel("int8", device) else "exact"
        needs = "an NVIDIA GPU of compute capability 8.9 or newer (RTX 40 series, L4, H100) and a torch that knows it"
    else:
        other, needs = "exact", "an NVIDIA GPU of compute capability 7.5 or newer"
    raise BackendError(
        f"Precision {precision} needs {needs}; {name} with torch {torch.__version__} does not compute in it. Choose "
        f"{other}."
    )


def quantise_weight(weight: Tensor, precision: str) -> Quantised:
    """A weight [out, in] of any dtype in 8 bits, with a scale for every output channel."""
    dtype = _DTYPES[precision]
    values, scales = quantise_rows(weight.float(), dtype, _LARGEST[dtype], _SMALLEST_SCALE)
    return Quantised(values, scales.squeeze(1))


def quantised_linear(x: Tensor, weight: Quantised, bias: Tensor | None, gelu_first: bool = False) -> Tensor:
    """x [..., in] times the weight, both in 8 bits, plus the bias -> [..., out] in the dtype of x.

    gelu_first: of the GELU (tanh form) of x.
    """
    rows, dtype = x.reshape(-1, x.shape[-1]), weight.values.dtype
    values, scales = quantise_rows(rows, dtype, _LARGEST[dtype], _SMALLEST_SCALE, gelu_first)
    product = _fp8_product if dtype == torch.float8_e4m3fn else _int8_product
    y = product(values, scales, weight, bias, x.dtype)
    return y.to(x.dtype).unflatten(0, x.shape[:-1])


def _fp8_product(x: Tensor, scales: Tensor, weight: Quantised, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    if not _has_kernel("fp8", x.device):
        return _add(plain_product(x, scales, weight), bias)
    # on CUDA the kernel with a scale for every row writes bfloat16 only
    out = torch.bfloat16 if x.device.type == "cuda" else torch.float32
    inside = bias is not None and bias.dtype == torch.bfloat16 == out
    y = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
        x, weight.values.t(), scale_a=scales, scale_b=weight.scales.unsqueeze(0), bias=bias if inside else None,
        out_dtype=out, use_fast_accum=False,
    )  # fmt: skip
    y = y if dtype == torch.bfloat16 else y.float()
    return y if inside else _add(y, bias)


def _int8_product(x: Tensor, scales: Tensor, weight: Quantised, bias: Tensor | None, _: torch.dtype) -> Tensor:
    if not _has_kernel("int8", x.device):
        return _add(plain_product(x, scales, weight), bias)
    rows = x.shape[0]
    x = F.pad(x, (0, 0, 0, _LEAST_ROWS - rows)) if rows < _LEAST_ROWS else x
    sums = torch._int_mm(x, weight.values.t())[:rows]  # int32  # pyright: ignore[reportPrivateImportUsage]
    return _add(sums * (scales * weight.scales), bias)


def _add(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.to(y.dtype)


def plain_product(x: Tensor, scales: Tensor, weight: Quantised) -> Tensor:
    """What the kernels compute, from torch's ordinary operations: x [N, in] and a weight of 8 bits -> float32.

    Products of 8-bit numbers are exact in float32; so are an integer's sums in float64.
    """
    wide = torch.float64 if x.dtype == torch.int8 else torch.float32
    sums = x.to(wide) @ weight.values.to(wide).t()
    return sums.float() * scales * weight.scales


@functools.cache
def _has_kernel(precision: str, device: torch.device) -> bool:
    """Whether torch has this product on the device; a small one is tried, since no version number tells."""
    dtype = _DTYPES[precision]
    try:
        a, b = torch.ones(32, 32, device=device).to(dtype), torch.ones(32, 32, device=device).to(dtype)
        if precision == "int8":
            return bool(torch._int_mm(a, b.t())[0, 0] == 32)  # pyright: ignore[reportPrivateImportUsage]
        scales = torch.ones(32, 1, device=device)
        out = torch.bfloat16 if device.type == "cuda" else torch.float32
        y = torch._scaled_mm(a, b.t(), scale_a=scales, scale_b=scales.t(), out_dtype=out, use_fast_accum=False)  # pyright: ignore[reportPrivateImportUsage]
        return bool(y[0, 0] == 32)
    except (RuntimeError, NotImplementedError, AttributeError, TypeError):
        return False
