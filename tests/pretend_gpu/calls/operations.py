"""Every operation on tensors of a device: checked as CUDA does, ordered, and done by the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..machine import place, running
from ..nested import CPU, for_cpu, swapped, tensors_in
from ..streams import Stream, explicit, stream_of, wait
from ..tensors import PretendTensor, elem_of, is_pinned, memory_of, on_device, pin
from .copies import MOVES, move

WAITS = {"_local_scalar_dense", "item", "is_nonzero", "equal", "allclose", "nonzero", "masked_select", "_unique2"}
TAKES_SCALARS = {
    "fill",
    "fill_",
    "masked_fill",
    "masked_fill_",
    "where",
    "index_put",
    "index_put_",
}  # and pointwise ones
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_"}  # take indices of the CPU
UNUSUAL = {"is_pinned", "pin_memory", "_pin_memory", "_has_compatible_shallow_copy_type"}


class Kind(NamedTuple):
    """An operation: its name, its arguments, those that it writes, whether it takes a device, whether pointwise."""

    name: str
    arguments: tuple[str, ...]
    writes: tuple[str, ...]
    makes: bool
    pointwise: bool


_kinds: dict[int, Kind] = {}  # operations are never given back, and their own hash takes longer than the rest here


def kind_of(func: Any) -> Kind:
    """What torch's schema says about an operation."""
    kind = _kinds.get(id(func))
    if kind is None:
        arguments = func._schema.arguments
        writes = tuple(a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write)
        kind = _kinds[id(func)] = Kind(
            func._schema.name.partition("::")[2],
            tuple(a.name for a in arguments),
            writes,
            any(a.name == "device" for a in arguments),
            torch.Tag.pointwise in func.tags,
        )
    return kind


def dispatch(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Do an operation of any thread."""
    gpus = running()
    if gpus is None:  # what is left of a machine that is gone
        return func(*for_cpu(args, [], elem_of), **{key: for_cpu(value, [], elem_of) for key, value in kwargs.items()})
    with gpus.lock:
        return _dispatch(func, args, kwargs)


PretendTensor.dispatch = staticmethod(dispatch)


def _dispatch(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    kind = kind_of(func)
    tensors: list[Tensor] = []
    values = [for_cpu(value, tensors, elem_of) for value in args]
    named = {key: for_cpu(value, tensors, elem_of) for key, value in kwargs.items()}
    if kind.name in UNUSUAL:
        if kind.name == "is_pinned":
            return is_pinned(tensors[0])
        if kind.name == "_has_compatible_shallow_copy_type":
            return True  # functions.set_data sees to it
        if kind.name in ("pin_memory", "_pin_memory"):
            return pin(tensors[0].clone())
    call = {**dict(zip(kind.arguments, args, strict=False)), **kwargs}
    wanted = explicit(call["device"]) if kind.makes and call.get("device") is not None else None
    written = tensors_in([call.get(name) for name in kind.writes]) if kind.writes else []
    if kind.name in MOVES:
        source = call["src" if kind.name == "copy_" else "self"]
        target = wanted or (call["self"] if kind.name == "copy_" else call.get("other", source)).device
        if "cuda" not in (target.type, source.device.type):
            return _on_host(func, args, kwargs, tensors, written)
        return move(kind.name, call, target, launch)
    ours = [tensor for tensor in tensors if isinstance(tensor, PretendTensor)]
    device = wanted or (ours[0].device if ours else CPU)
    if not ours and device.type != "cuda":
        return _on_host(func, args, kwargs, tensors, written)
    if not kind.makes and (len(ours) < len(tensors) or len(ours) > 1):
        _check_devices(func, kind, call, tensors, ours, written)
    if device.type == "cpu":  # such as new_zeros(device="cpu")
        return func(*values, **named)
    stream = stream_of(device.index)
    if kind.name in WAITS or (kind.name in INDEXES and any(map(_index_waits, tensors_in(call["indices"])))):
        wait(stream, kind.name)
    if kind.makes:
        named.pop("pin_memory", None)
    work = functools.partial(ON_CPU.get(kind.name, func), *values, **named)
    return launch(stream, work, ours, [t for t in written if isinstance(t, PretendTensor)], kind.name)


def launch(
    stream: Stream, work: Callable[[], Any], reads: Sequence[Tensor], written: Sequence[Tensor], name: str = ""
) -> Any:
    """Do a piece of work of a stream now, or, where a graph is being captured, record it."""
    graph = stream.graph
    if graph is not None:
        graph.protect(written)
    out = work()
    known = {id(tensor.elem): tensor for tensor in reads if isinstance(tensor, PretendTensor)}
    seen: list[Tensor] = []  # the tensors of the result
    made: dict[int, Tensor] = {}  # those with memory of their own, by their places

    def wrapped(value: Tensor) -> Tensor:
        tensor, fresh = known.get(id(value)), False
        if tensor is None:
            tensor, fresh = on_device(value, stream.device)
        if fresh:
            made[len(seen)] = tensor
        seen.append(tensor)
        return tensor

    result = swapped(out, wrapped)
    if seen and not made and not written:
        return result  # a view: nothing was read
    launched = stream.launch()
    for tensors, write in ((reads, False), (written, True), (made.values(), True)):
        for tensor in tensors:
            memory = memory_of(tensor)
            assert memory is not None
            if graph is None:
                memory.use(stream, launched, write)
            else:
                graph.uses(memory, write)
    if graph is not None and (written or not name.startswith("empty")):
        graph.take(work, {index: elem_of(tensor) for index, tensor in made.items()})
    return result


def _index_waits(index: Tensor) -> bool:
    return not isinstance(index, PretendTensor) or index.dtype in (torch.bool, torch.uint8)


def _on_host(func: Any, args: Any, kwargs: dict[str, Any], tensors: list[Tensor], written: list[Tensor]) -> Any:
    """An operation of the CPU, which must be sure that no device still uses the page-locked memory it touches."""
    for tensor in tensors:
        memory = memory_of(tensor)
        if memory is not None:
            memory.use_on_host(any(tensor is other for other in written))
    if kwargs.get("pin_memory"):
        return pin(func(*args, **{**kwargs, "pin_memory": False}))
    return func(*args, **kwargs)


def _check_devices(
    func: Any,
    kind: Kind,
    call: dict[str, Any],
    tensors: list[Tensor],
    ours: list[PretendTensor],
    written: list[Tensor],
) -> None:
    """Raise as CUDA does where tensors lie on several devices."""
    strangers = [tensor for tensor in tensors if not isinstance(tensor, PretendTensor)]
    if kind.pointwise or kind.name in TAKES_SCALARS:
        strangers = [tensor for tensor in strangers if tensor.ndim]
    if kind.name in INDEXES and isinstance(call["self"], PretendTensor):
        indices = tensors_in(call["indices"])
        strangers = [tensor for tensor in strangers if not any(tensor is index for index in indices)]
    strangers += [tensor for tensor in written if not isinstance(tensor, PretendTensor)]
    if strangers or len({tensor.device for tensor in ours}) > 1:
        found = ", ".join(sorted({str(tensor.device) for tensor in tensors}))
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {found} (in {func}, {place()})")


class Operations(TorchDispatchMode):
    """Brings every operation here, also those without an input tensor."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and guarding against it costs as much as an operation

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(func, args, kwargs or {})


def _addmm_activation(
    bias: Tensor, x: Tensor, weight: Tensor, *, beta: float = 1, alpha: float = 1, use_gelu: bool = False
) -> Tensor:
    y = torch.addmm(bias, x, weight)  # the CPU's own takes the other GELU
    return torch.nn.functional.gelu(y, approximate="tanh") if use_gelu else torch.relu(y)


def _bmm(a: Tensor, b: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
    return torch.bmm(a, b) if out_dtype is None else torch.bmm(a.to(out_dtype), b.to(out_dtype))


ON_CPU = {"_addmm_activation": _addmm_activation, "bmm": _bmm}  # what CPUs lack or do otherwise
