"""Arguments and results of operations: tensors, also in lists and tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PLAIN = {type(None), bool, int, float, str, torch.dtype, torch.device, torch.memory_format, torch.layout}


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


def swapped(value: Any, swap: Callable[[Any], Any]) -> Any:
    """A value with `swap` done to everything in it that is no list."""
    if type(value) not in PLAIN and isinstance(value, (list, tuple)):
        parts = [swapped(part, swap) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return swap(value)
