"""Linears that take the same input, computed as one product where their weights are contiguous in memory.

Each layer keeps its own parameters under its own names: they become parts of one piece of memory, which costs nothing
and changes no number that anyone reads. Whatever moves or replaces one of them (a host, a LoRA) ends it, and the
layers are called one by one again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from .ops import Linear, cast, linear
from .quantise import Quantised, QuantisedLinear, QuantisedRows, eight_bits_of, quantised_linear

_PARTS = ("weight", "bias", "scale")


def lay_together(layers: Sequence[nn.Module]) -> None:
    """Make the parameters of linears with equally many inputs contiguous; they stay on their device."""
    for name in _PARTS:
        parameters = [getattr(layer, name, None) for layer in layers]
        if all(isinstance(parameter, nn.Parameter) for parameter in parameters):
            whole = torch.cat([parameter.data for parameter in parameters])  # type: ignore[union-attr]
            for parameter, part in zip(parameters, whole.split([len(p) for p in parameters]), strict=True):  # type: ignore[arg-type]
                parameter.data = part  # type: ignore[union-attr]


def outputs_of(layers: Sequence[nn.Module], x: Tensor | QuantisedRows) -> Sequence[Tensor]:
    """What each of `layers` makes of x [..., in]; an input in 8 bits is made once for all."""
    dtype = eight_bits_of(*layers)
    if dtype is not None and isinstance(x, Tensor):
        x = QuantisedRows.of(x, dtype)
    y = _one_product(layers, x)
    if y is None:
        return [layer(x) for layer in layers]
    return y.split([layer.out_features for layer in layers], dim=-1)  # type: ignore[misc]


def _one_product(layers: Sequence[nn.Module], x: Tensor | QuantisedRows) -> Tensor | None:
    kind = type(layers[0])
    if kind not in (Linear, QuantisedLinear) or any(not _may_be_read(layer, kind) for layer in layers):
        return None
    weight = _side_by_side([layer.weight for layer in layers])  # type: ignore[misc]
    if weight is None or not _pays(weight):
        return None
    bias = None
    if layers[0].bias is not None:
        bias = _side_by_side([layer.bias for layer in layers])  # type: ignore[misc]
        if bias is None:
            return None
    if isinstance(x, Tensor):
        return linear(x, cast(weight, x), None if bias is None else cast(bias, x)) if kind is Linear else None
    scales = _side_by_side([layer.scale for layer in layers])  # type: ignore[misc]
    return None if scales is None else quantised_linear(x, Quantised(weight, scales), bias)


def _pays(weight: Tensor) -> bool:
    return weight.device.type != "cpu"  # on one, three products are as quick, and keep their last bits


def _may_be_read(layer: nn.Module, kind: type) -> bool:
    """Whether the layer's parameters are all there is to it; even a hook that only brings weights would be missed."""
    return type(layer) is kind and not (vars(layer).get("forward") or layer._forward_hooks or layer._forward_pre_hooks)


def _side_by_side(parts: Sequence[Tensor | None]) -> Tensor | None:
    """All parts as one tensor, without a copy; None where they are not contiguous."""
    first, after = parts[0], None
    for part in parts:
        if part is None or first is None or not part.is_contiguous() or part.shape[1:] != first.shape[1:]:
            return None
        here = (part.untyped_storage().data_ptr(), part.dtype, part.device)
        if after not in (None, (*here, part.storage_offset())):
            return None
        after = (*here, part.storage_offset() + part.numel())
    assert first is not None
    rows = sum(len(part) for part in parts if part is not None)
    return first.as_strided((rows, *first.shape[1:]), first.stride(), first.storage_offset())
