"""Begins to pretend, for all threads, and ends."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch

from .calls.functions import Functions
from .calls.operations import Operations
from .guard import let_devices_be_guarded
from .machine import Machine, running, set_running
from .streams import Stream
from .tensors import DeviceGenerator
from .torch_cuda import stand_ins


@contextlib.contextmanager
def pretend_gpus(
    count: int = 1,
    total: float = 80e9,
    capability: tuple[int, int] = (9, 0),
    name: str = "Pretend GPU",
    report: Path | None = None,
) -> Iterator[Machine]:
    """Have `count` devices of `total` bytes and of a compute capability within this block, and in all threads that are
    started in it; a count of 0 is a machine whose CUDA finds no device. report: see Machine, which is yielded."""
    if torch.backends.cuda.is_built():
        raise RuntimeError("The pretended GPU stands in for CUDA where torch was built without it; this torch has it.")
    assert running() is None, "a GPU is pretended already"
    let_devices_be_guarded()
    gpus = Machine(count, total, capability, name, report)
    for index in range(count):
        Stream.made(gpus, torch.device("cuda", index))
    set_running(gpus)
    try:
        with contextlib.ExitStack() as stack:
            for key, value in stand_ins(gpus).items():
                stack.enter_context(mock.patch.object(torch.cuda, key, value, create=True))
            stack.enter_context(mock.patch.object(torch, "Generator", DeviceGenerator))
            stack.enter_context(mock.patch.object(torch._C, "_host_emptyCache", create=True))
            stack.enter_context(mock.patch.object(torch.cuda.graphs.graph, "default_capture_stream", None))
            stack.enter_context(mock.patch.object(threading.Thread, "start", _start_inside(threading.Thread.start)))
            _forget_devices()
            stack.callback(_forget_devices)
            stack.enter_context(Functions())
            stack.enter_context(Operations())
            yield gpus
    finally:
        set_running(None)


def _start_inside(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Thread.start for threads that pretend as the one does that starts them."""

    def start_inside(thread: threading.Thread) -> None:
        run = thread.run

        def inside() -> None:
            with Functions(), Operations():
                run()

        thread.run = inside  # type: ignore[method-assign]
        start(thread)

    return start_inside


def _forget_devices() -> None:
    """Clear what the engine has cached about the devices of another machine."""
    for name, module in list(sys.modules.items()):
        if name.startswith("comfyui_matrixgame"):
            for value in list(vars(module).values()):
                if callable(getattr(value, "cache_clear", None)) and getattr(value, "__module__", "") == name:
                    value.cache_clear()
