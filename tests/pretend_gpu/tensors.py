"""Tensors that say they lie on a CUDA device, and CPU tensors in page-locked memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from .memory import Allocation
from .streams import Stream, explicit, stream_of


class PretendTensor(Tensor):
    """A tensor of a device. elem: the CPU tensor that has its values. memory: its allocation."""

    elem: Tensor
    memory: Allocation

    @staticmethod
    def __new__(cls: type[PretendTensor], elem: Tensor, device: torch.device, memory: Allocation) -> PretendTensor:
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, elem.size(), strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype,
            device=device, requires_grad=False,
        )  # fmt: skip

    dispatch: ClassVar[Callable[[Any, Any, dict[str, Any]], Any]]
    """What does its operations: calls/operations.py, which puts it here."""

    def __init__(self, elem: Tensor, device: torch.device, memory: Allocation) -> None:
        self.elem, self.memory = elem, memory

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return cls.dispatch(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"PretendTensor({self.elem!r}, device='{self.device}')"

    def __deepcopy__(self, memo: dict) -> Tensor:
        copied = self.detach().clone()
        copied.__dict__.update({key: value for key, value in vars(self).items() if key == "_is_param"})
        return memo.setdefault(id(self), copied)

    def data_ptr(self) -> int:
        return self.elem.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.elem.untyped_storage()

    def tolist(self) -> list:
        return self.cpu().tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")

    def record_stream(self, stream: Stream) -> None:  # type: ignore[override]
        self.memory.recorded.add(stream.number)


def elem_of(value: Any) -> Any:
    """A pretended tensor's values; anything else as it is."""
    return value.elem if isinstance(value, PretendTensor) else value


def memory_of(tensor: Tensor) -> Allocation | None:
    """The allocation of a device's tensor, or of one in page-locked memory."""
    return tensor.memory if isinstance(tensor, PretendTensor) else getattr(tensor.untyped_storage(), "pinned", None)


def is_pinned(tensor: Tensor) -> bool:
    """Whether a CPU tensor is in page-locked memory."""
    return not isinstance(tensor, PretendTensor) and memory_of(tensor) is not None


def pin(tensor: Tensor) -> Tensor:
    """Mark a CPU tensor's memory as page-locked."""
    tensor.untyped_storage().pinned = Allocation(tensor.nbytes, None)  # type: ignore[attr-defined]
    return tensor


def _memory_of(storage: torch.UntypedStorage) -> Allocation | None:
    """The memory of a device that these values lie in, where it is still there."""
    ref = getattr(storage, "memory", None)
    return None if ref is None else ref()


def on_device(elem: Tensor, device: torch.device) -> tuple[PretendTensor, bool]:
    """Values as a tensor of a device, and whether its memory is new; a view has the allocation of its base."""
    storage = elem.untyped_storage()
    memory = _memory_of(storage)
    fresh = memory is None
    if memory is None:
        memory = Allocation(storage.nbytes(), stream_of(device.index))
        storage.memory = weakref.ref(memory)  # type: ignore[attr-defined]
    if not torch.is_inference_mode_enabled():
        return PretendTensor(elem, device, memory), fresh
    # a view of what was made outside inference mode must not count as made inside
    with torch._C._InferenceMode(False):  # torch.inference_mode takes as long as all the rest here
        return PretendTensor(elem, device, memory), fresh


class DeviceGenerator(torch.Generator):
    """torch.Generator: one of a device draws what the CPU's draws."""

    def __new__(cls, device: Any = "cpu") -> DeviceGenerator:
        explicit(device)
        return super().__new__(cls)
