"""How much memory tensors take at once, counted: a stand-in for a card's allocator where there is no card."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all storages that were made inside and still live; works on the meta device too.

    outside: tensors whose storages do not count (weights that lie in main memory). limit: what a card would have;
    one byte more is torch.OutOfMemoryError, as it would be there.
    """

    def __init__(self, outside: Iterable[Tensor] = (), limit: int | None = None) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.limit = limit
        self._known = {tensor.untyped_storage()._cdata for tensor in outside}

    def count(self, tensor: Tensor) -> None:
        """Count a tensor, made here or before."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)
        if self.limit is not None and self.now > self.limit:
            raise torch.OutOfMemoryError(f"{self.now} bytes of {self.limit}")

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.count(leaf)
        return result
