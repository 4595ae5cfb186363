"""Fast modes: linear layers in 8-bit arithmetic. They give other numbers than exact mode and are never the default.

Both operands are 8 bits wide, each with float32 scales: one for every row of the input, measured when it comes, and
one for every output channel of the weights, measured once. Sums are in float32 (`fp8`) or exact integers (`int8`).
Weights stored as float8_e4m3fn are something else: they are widened before use, which saves only memory, and every
input keeps its bits.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..errors import BackendError
from .attention import Attention
from .choices import EXACT, PRECISIONS
from .fused import quantise_rows, residual_norm, residual_norm_rows, scale_product
from .ops import GELU_BEFORE, is_wrapped
from .trials import trial_is_chosen

_LARGEST = {torch.float8_e4m3fn: 448.0, torch.int8: 127.0}
_DTYPES = {"fp8": torch.float8_e4m3fn, "int8": torch.int8}
_SMALLEST_SCALE = 1e-12  # of a row of zeros
_NEEDS = {
    "fp8": ((8, 9), "RTX 40 series, L4, H100"),
    "int8": ((7, 5), "RTX 20 series, T4"),
}  # compute capability, and the first cards that have it
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

    gelu_fits = GELU_BEFORE

    def __init__(self, linear: nn.Linear, precision: str) -> None:
        super().__init__()
        quantised = quantise_weight(linear.weight.detach(), precision)
        self.weight = nn.Parameter(quantised.values, requires_grad=False)
        self.scale = nn.Parameter(quantised.scales, requires_grad=False)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)
        self.in_features, self.out_features = linear.in_features, linear.out_features

    @property
    def quantised(self) -> Quantised:
        """The weight as it is used in products."""
        return Quantised(self.weight, self.scale)

    @property
    def eight_bits(self) -> torch.dtype:
        """See ops.OperationsLike."""
        return self.weight.dtype

    def forward(self, x: Tensor | QuantisedRows, gelu_first: bool = False) -> Tensor:
        return quantised_linear(x, self.quantised, self.bias, gelu_first)


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


class Computes(Protocol):
    """What tells how a network computes: the name of its mode where its layers do not show it, and its attention."""

    precision: str | None
    attention: Attention

    def modules(self) -> Iterator[nn.Module]:
        """Its layers."""
        ...


def precision_of(generator: Computes) -> str:
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
    instead = "int8 or exact" if precision == "fp8" and _has_kernel("int8", device) else "exact"
    raise BackendError(f"Precision {precision} {_what_is_missing(precision, device)} Choose {instead}.")


def _what_is_missing(precision: str, device: torch.device) -> str:
    least, cards = _NEEDS[precision]
    needs = f"needs an NVIDIA GPU of compute capability {least[0]}.{least[1]} or newer ({cards})"
    if device.type != "cuda" or torch.version.hip is not None:
        return f"{needs}; this is a device of type {'rocm' if device.type == 'cuda' else device.type}."
    name, has = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    if has < least:
        return f"{needs}; {name} has {has[0]}.{has[1]}."
    # the card could; this build of torch cannot
    why = "; ".join(product.error for product in _tried(precision, device) if product.error)
    return (
        f"does not work in torch {torch.__version__} for {platform.system()} on {name}, which supports it ({why}). "
        "Install a newer torch."
    )


def quantise_weight(weight: Tensor, precision: str) -> Quantised:
    """A weight [out, in] of any dtype in 8 bits, with a scale for every output channel."""
    dtype = _DTYPES[precision]
    values, scales = quantise_rows(weight.float(), dtype, _LARGEST[dtype], _SMALLEST_SCALE)
    return Quantised(values, scales.squeeze(1))


@dataclass(frozen=True)
class QuantisedRows:
    """Rows [N, in] of 8 bits and the float32 scales [N, 1] that bring them back: they stand for an input
    [*sides, in] of `dtype` that several layers take."""

    values: Tensor
    scales: Tensor
    sides: tuple[int, ...]
    dtype: torch.dtype

    @staticmethod
    def of(x: Tensor, eight_bits: torch.dtype, gelu_first: bool = False) -> QuantisedRows:
        """The rows of x [..., in]; gelu_first: of its GELU (tanh form)."""
        rows = x.reshape(-1, x.shape[-1])
        values, scales = quantise_rows(rows, eight_bits, _LARGEST[eight_bits], _SMALLEST_SCALE, gelu_first)
        return QuantisedRows(values, scales, tuple(x.shape[:-1]), x.dtype)


def eight_bits_of(*layers: nn.Module) -> torch.dtype | None:
    """The 8-bit dtype in which all these layers take their input; None where one of them takes it as it is, or is
    wrapped."""
    # layers that others put into a network do not have it
    dtypes = {None if is_wrapped(layer) else getattr(layer, "eight_bits", None) for layer in layers}
    return dtypes.pop() if len(dtypes) == 1 else None


def norm_for(
    layers: Sequence[nn.Module], x: Tensor, gate: Tensor | None, y: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor | QuantisedRows]:
    """fused.residual_norm, whose norm goes into `layers` and nowhere else: in 8 bits where they take it so."""
    dtype = eight_bits_of(*layers)
    if dtype is None:
        return residual_norm(x, gate, y, weight, bias, eps)
    largest = _LARGEST[dtype]
    x, values, scales = residual_norm_rows(x, gate, y, weight, bias, eps, dtype, largest, _SMALLEST_SCALE)
    return x, QuantisedRows(values, scales, tuple(x.shape[:-1]), x.dtype)


def quantised_linear(
    x: Tensor | QuantisedRows, weight: Quantised, bias: Tensor | None, gelu_first: bool = False
) -> Tensor:
    """x [..., in] times the weight, both in 8 bits, plus the bias -> [..., out] in the dtype of x.

    gelu_first: of the GELU (tanh form) of x.
    """
    if isinstance(x, Tensor):
        x = QuantisedRows.of(x, weight.values.dtype, gelu_first)
    precision = "int8" if weight.values.dtype == torch.int8 else "fp8"
    product = _product(precision, x.values.device) if _has_kernel(precision, x.values.device) else _plainly
    return product(x.values, x.scales, weight, bias, x.dtype).unflatten(0, x.sides)


def _plainly(x: Tensor, scales: Tensor, weight: Quantised, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    return _add(plain_product(x, scales, weight), bias).to(dtype)


def _fp8_by_rows(x: Tensor, scales: Tensor, weight: Quantised, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The kernel with a scale for every row and column inside; torch has none on Windows."""
    on_cuda = x.device.type == "cuda"
    out = torch.bfloat16 if on_cuda else torch.float32  # what the kernel of CUDA writes
    inside = bias is not None and bias.dtype == torch.bfloat16 == out
    y = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
        x, weight.values.t(), scale_a=scales, scale_b=weight.scales.unsqueeze(0), bias=bias if inside else None,
        out_dtype=out, use_fast_accum=on_cuda,
    )  # fmt: skip
    y = y if dtype == torch.bfloat16 else y.float()
    return (y if inside else _add(y, bias)).to(dtype)


def _fp8_by_tensor(x: Tensor, scales: Tensor, weight: Quantised, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """cuBLAS's product, which takes a scale for the whole of each side: the scales of rows and columns come after it.
    Its sums are kept in bfloat16, because they can exceed float16's range."""
    one = _one(x.device)
    sums = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
        x, weight.values.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True
    )
    return scale_product(sums, scales, weight.scales, bias, dtype)


def _int8_product(x: Tensor, scales: Tensor, weight: Quantised, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    rows = x.shape[0]
    x = F.pad(x, (0, 0, 0, _LEAST_ROWS - rows)) if rows < _LEAST_ROWS else x
    sums = torch._int_mm(x, weight.values.t())[:rows]  # int32  # pyright: ignore[reportPrivateImportUsage]
    return scale_product(sums, scales, weight.scales, bias, dtype)


@functools.cache
@torch.inference_mode(False)
def _one(device: torch.device) -> Tensor:
    return torch.ones((), device=device)


def _add(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.to(y.dtype)


def plain_product(x: Tensor, scales: Tensor, weight: Quantised) -> Tensor:
    """What the kernels compute, from torch's ordinary operations: x [N, in] and a weight of 8 bits -> float32.

    Products of 8-bit numbers are exact in float32; so are an integer's sums in float64.
    """
    wide = torch.float64 if x.dtype == torch.int8 else torch.float32
    sums = x.to(wide) @ weight.values.to(wide).t()
    return sums.float() * scales * weight.scales


Product = Callable[[Tensor, Tensor, Quantised, "Tensor | None", torch.dtype], Tensor]
"""(x [N, in] in 8 bits, its scales [N, 1], weight, bias, dtype) -> [N, out] of dtype."""


@dataclass(frozen=True)
class _Tried:
    """A product, and what went wrong with it on a device; empty where it is right."""

    product: Product
    error: str


def _has_kernel(precision: str, device: torch.device) -> bool:
    """Whether torch has this product on the device."""
    return any(not tried.error for tried in _tried(precision, device))


def _product(precision: str, device: torch.device) -> Product:
    return next(tried.product for tried in _tried(precision, device) if not tried.error)


@functools.cache
@torch.inference_mode()
def _tried(precision: str, device: torch.device) -> tuple[_Tried, ...]:
    """The ways to a product, the quickest first, each tried on a small one, because no version number tells."""
    ways: tuple[Product, ...] = (_int8_product,)
    if precision == "fp8":
        ways = (_fp8_by_rows, _fp8_by_tensor) if device.type == "cuda" else (_fp8_by_rows,)
        ways = ways[::-1] if trial_is_chosen("fp8-by-tensor") else ways
    return tuple(_Tried(way, _what_fails(way, _DTYPES[precision], device)) for way in ways)


def _what_fails(way: Product, dtype: torch.dtype, device: torch.device) -> str:
    try:
        x, weight = (torch.ones(32, 32, device=device).to(dtype) for _ in range(2))
        scales = torch.full((32, 1), 2.0, device=device)
        y = way(x, scales, Quantised(weight, scales[:, 0] * 3), None, torch.float32)
        return "" if bool((y == 32 * 2 * 6).all()) else "the result is wrong"
    except (RuntimeError, NotImplementedError, AttributeError, TypeError, ValueError) as error:
        return str(error).partition("\n")[0].strip().rstrip(".")
