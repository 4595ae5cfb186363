"""Arguments and results of operations: tensors, also in lists and tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PLAIN = {type(None), bool, int, float, str, torch.dtype, torch.device, torch.memory_format, torch.layout}
CPU = torch.device("cpu")


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a value, also in lists within it."""
    found: list[Tensor] = []
    _find(value, found)
    return found


def _find(value: Any, found: list[Tensor]) -> None:
    if type(value) in PLAIN:  # most are, and this is asked for with every operation
        return
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _find(part, found)


def for_cpu(value: Any, found: list[Tensor], values_of: Callable[[Tensor], Tensor]) -> Any:
    """An argument as the CPU takes it, with the values of its tensors; these are added to `found` as they are."""
    kind = type(value)
    if kind in PLAIN:  # most are, and this is asked for with every operation
        return CPU if kind is torch.device else value
    if isinstance(value, Tensor):
        found.append(value)
        return values_of(value)
    if isinstance(value, (list, tuple)):
        return kind(for_cpu(part, found, values_of) for part in value)
    return value


def swapped(value: Any, swap: Callable[[Tensor], Any]) -> Any:
    """A result with `swap` done to its tensors."""
    if isinstance(value, Tensor):
        return swap(value)
    if type(value) not in PLAIN and isinstance(value, (list, tuple)):
        parts = [swapped(part, swap) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
