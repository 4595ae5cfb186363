"""`to` and `copy_`: within a device, between devices, and between a device and the host."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..order import merge
from ..streams import current_stream, wait
from ..tensors import elem_of, is_pinned, memory_of, pin

MOVES = {"_to_copy", "to", "copy_"}
Launch = Callable[..., Any]


def move(name: str, call: dict[str, Any], device: torch.device, launch: Launch) -> Tensor:
    """Do one of MOVES, with `device` as its target. launch: see operations.launch."""
    source = call["src"] if name == "copy_" else call["self"]
    target = call["self"] if name == "copy_" else None
    if target is None and _is_there(name, call, device):
        return source
    work = _work(call, source, target)
    soon = bool(call.get("non_blocking"))
    if source.device.type == device.type:
        return _on_devices(source, target, device, work, launch)
    if device.type == "cuda":
        return _up(source, target, device, work, soon, launch)
    return _down(source, target, work, soon)


def _is_there(name: str, call: dict[str, Any], device: torch.device) -> bool:
    source = call["self"]
    same = device == source.device and _dtype(call, source) == source.dtype
    form = call.get("memory_format") or torch.preserve_format
    return name != "_to_copy" and not call.get("copy") and same and form == torch.preserve_format


def _dtype(call: dict[str, Any], source: Tensor) -> torch.dtype:
    return call.get("dtype") or (call["other"].dtype if "other" in call else source.dtype)


def _work(call: dict[str, Any], source: Tensor, target: Tensor | None) -> Callable[[], Tensor]:
    if target is not None:
        return functools.partial(torch.ops.aten.copy_.default, elem_of(target), elem_of(source))
    form = call.get("memory_format") or torch.preserve_format
    dtype = _dtype(call, source)
    return functools.partial(torch.ops.aten._to_copy.default, elem_of(source), dtype=dtype, memory_format=form)


def _on_devices(
    source: Tensor, target: Tensor | None, device: torch.device, work: Callable[[], Tensor], launch: Launch
) -> Tensor:
    """Within one device, or between two, whose current streams then wait for each other before and after."""
    here, there = current_stream(device), current_stream(source.device)
    written = [] if target is None else [target]
    if here is there:
        return launch(here, work, [source, *written], written)
    there.launch()
    merge(here.seen, there.now())
    out = launch(here, work, [source, *written], written)
    merge(there.seen, here.now())
    return out


def _up(
    source: Tensor, target: Tensor | None, device: torch.device, work: Callable[[], Tensor], soon: bool, launch: Launch
) -> Tensor:
    """To a device: only from page-locked memory does nobody wait."""
    stream = current_stream(device)
    if not (soon and is_pinned(source)):
        wait(stream, "copy to the device")
    written = [] if target is None else [target]
    return launch(stream, work, [tensor for tensor in (source, *written) if memory_of(tensor) is not None], written)


def _down(source: Tensor, target: Tensor | None, work: Callable[[], Tensor], soon: bool) -> Tensor:
    """To the host: only into page-locked memory does nobody wait."""
    stream = current_stream(source.device)
    if stream.graph is not None:
        wait(stream, "copy to the host")  # which fails
    launched = stream.launch()
    source.memory.use(stream, launched, False)  # type: ignore[attr-defined]
    out = work()
    if target is not None:
        out = target
    elif soon:
        out = pin(out)
    memory = memory_of(out)
    if memory is not None:
        memory.use(stream, launched, True)
    if not (soon and memory is not None):
        wait(stream, "copy to the host")
    return out
