"""torch.cuda.CUDAGraph: work is recorded and not done; `replay` does it, on the same memory."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .machine import machine
from .memory import Allocation
from .nested import tensors_in
from .streams import Stream, current_stream, default_stream, not_while_capturing

NOTHING = 255  # bytes of what was never computed: not a number as floats


class Graph:
    """work: what `replay` does. broken: why the capture will fail."""

    def __init__(self, keep_graph: bool = False) -> None:
        self.work: list[Callable[[], Any]] = []
        self.broken = ""
        self._stream: Stream | None = None
        self._own: list[Tensor] = []  # made while capturing
        self._needs: dict[weakref.ref[Allocation], tuple[bool, bool]] = {}  # whether its own, whether written
        self._saved: dict[int, tuple[Any, Any]] = {}

    def capture_begin(self, *_: Any, **__: Any) -> None:
        stream = current_stream()
        if stream is default_stream(stream.device):
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        others = [other for other in machine().streams if other.graph is not None]
        if others:
            machine().race(f"a capture on {stream} while {others[0]} is captured; torch allows one in a process")
            raise not_while_capturing("capture_begin")
        self._stream, stream.graph = stream, self

    def protect(self, written: Sequence[Tensor]) -> None:
        """What is written while capturing is put back at its end."""
        for tensor in written:
            storage = tensor.elem.untyped_storage()  # type: ignore[attr-defined]
            if not tensor.memory.captured:  # type: ignore[attr-defined]
                self._saved.setdefault(id(storage), (storage, storage.clone()))

    def uses(self, memory: Allocation, write: bool) -> None:
        """Remember memory that each replay reads or writes."""
        ref = weakref.ref(memory)
        captured, before = self._needs.get(ref, (memory.captured, memory.captured))
        self._needs[ref] = (captured, write or before)

    def take(self, work: Callable[[], Any], made: dict[int, Tensor]) -> None:
        """Record work. made: the new tensors among its results, by their places; a replay fills them again."""

        def again() -> None:
            results = tensors_in(work())
            for index, tensor in made.items():
                tensor.copy_(results[index])

        self._own += made.values()
        self.work.append(again)

    def capture_end(self) -> None:
        assert self._stream is not None
        self._stream.graph = None
        for storage, before in self._saved.values():
            storage.copy_(before)
        self._saved.clear()
        for tensor in self._own:
            tensor.untyped_storage().fill_(NOTHING)
        if self.broken:
            raise RuntimeError(f"CUDA error: operation failed due to a previous error during capture ({self.broken})")
        if self.work:
            machine().captured()
        else:
            warnings.warn("The CUDA Graph is empty. Was it captured on the wrong device or stream?", stacklevel=2)

    @torch.inference_mode()
    def replay(self) -> None:
        assert self._stream is not None
        stream = current_stream(self._stream.device)
        launched = stream.launch()
        for ref, (captured, write) in self._needs.items():
            memory = ref()
            if memory is not None:
                memory.use(stream, launched, write)
            elif not captured:
                machine().race("a graph is replayed whose memory was given back")
        for work in self.work:
            work()

    def pool(self) -> tuple[int, int]:
        return (0, 0)

    def reset(self) -> None:
        self.work.clear()
