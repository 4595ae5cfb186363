"""Arguments and results of operations: tensors, also in lists and tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a value, also in lists within it."""
    found: list[Tensor] = []
    _find(value, found)
    return found


def _find(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _find(part, found)


def swapped(value: Any, swap: Callable[[Any], Any]) -> Any:
    """A value with `swap` done to everything in it that is no list."""
    if isinstance(value, (list, tuple)):
        parts = [swapped(part, swap) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return swap(value)
