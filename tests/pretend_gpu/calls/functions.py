"""What torch does in C++ before it dispatches an operation, or without one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..machine import running
from ..streams import explicit
from ..tensors import PretendTensor, is_pinned, memory_of, pin


class Functions(TorchFunctionMode):
    """Devices without a number, `.data`, tensors from numbers, page-locked memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if running() is None:
            return func(*args, **kwargs)
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": explicit(kwargs["device"])}
        special = SPECIAL.get(func)
        return func(*args, **kwargs) if special is None else special(func, args, kwargs)


def _set_data(func: Any, args: Any, kwargs: Any) -> None:
    """`variable.data = data`: a tensor of one device becomes one of another."""
    variable, data = args
    if not (isinstance(variable, PretendTensor) or isinstance(data, PretendTensor)):
        func(*args, **kwargs)
        return
    fresh = data.detach()
    if isinstance(variable, nn.Parameter):
        fresh = nn.Parameter(fresh, requires_grad=variable.requires_grad)
    torch.utils.swap_tensors(variable, fresh)


def _device(func: Any, args: Any, kwargs: Any) -> torch.device:
    return explicit(args[0]) if args and type(args[0]) is int else func(*args, **kwargs)


def _from_numbers(func: Any, args: Any, kwargs: Any) -> Tensor:
    device = kwargs.get("device")
    out = func(*args, **{key: value for key, value in kwargs.items() if key != "device"})
    return out if device is None else out.to(device)


def _to(func: Any, args: Any, kwargs: Any) -> Tensor:
    first, *rest = args
    where = [explicit(a) if isinstance(a, (str, torch.device)) or type(a) is int else a for a in rest]
    return func(first, *where, **kwargs)


def _cuda(func: Any, args: Any, kwargs: Any) -> Tensor:
    first, *rest = args
    device = kwargs.get("device", rest[0] if rest else None)
    more = {key: value for key, value in kwargs.items() if key != "device"}
    return first.to(explicit("cuda" if device is None else device), **more)


def _is_pinned(func: Any, args: Any, kwargs: Any) -> bool:
    return is_pinned(args[0])


def _pin_memory(func: Any, args: Any, kwargs: Any) -> Tensor:
    return args[0] if is_pinned(args[0]) else pin(args[0].clone())


def _numpy(func: Any, args: Any, kwargs: Any) -> Any:
    memory = None if isinstance(args[0], PretendTensor) else memory_of(args[0])
    if memory is not None:
        memory.use_on_host(False)
    return func(*args, **kwargs)


SPECIAL = {
    Tensor.data.__set__: _set_data,  # type: ignore[attr-defined]
    torch.device: _device,
    torch.tensor: _from_numbers,
    torch.as_tensor: _from_numbers,
    torch.asarray: _from_numbers,
    Tensor.to: _to,
    Tensor.cuda: _cuda,
    Tensor.is_pinned: _is_pinned,
    Tensor.pin_memory: _pin_memory,
    Tensor.numpy: _numpy,
}
