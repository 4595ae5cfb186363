"""Arguments and results of operations: tensors, also in lists and tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a value, also in lists within it."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for part in value for tensor in tensors_in(part)] if isinstance(value, (list, tuple)) else []


def swapped(value: Any, swap: Callable[[Any], Any]) -> Any:
    """A value with `swap` done to everything in it that is no list."""
    if isinstance(value, (list, tuple)):
        parts = [swapped(part, swap) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return swap(value)
