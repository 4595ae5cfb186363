"""Recording work on a device: CUDA graphs, which replay more than a thousand launches as one."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...compute.devices import capture_stream
from ...compute.streaming import is_streamed
from .model import Generator

log = logging.getLogger(__name__)
SWITCH = "MATRIXGAME_GRAPHS"  # set to 0 to do without

Replay = Callable[[], None]
_ONE_AT_A_TIME = threading.RLock()  # torch allows one capture in a process
_NO_VELOCITY = 16384.0  # exact in any dtype, and never a network's whole output
_RECORDERS: WeakKeyDictionary[Generator, dict[torch.device, CudaRecorder]] = WeakKeyDictionary()


class Recorder(Protocol):
    """Records work on a device: the work is not done then, but each time the replay is called, on the same tensors."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        """The replay, and the tensor that it fills."""
        ...


class RefusedError(RuntimeError):
    """An earlier recording of this process failed, and the reason was logged."""


class CudaRecorder:
    """CUDA graphs of one device that share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        """See Recorder.record. Raises RuntimeError where it fails, after which this process records nothing."""
        if _failed():
            raise RefusedError
        graph = torch.cuda.CUDAGraph()
        try:
            with _ONE_AT_A_TIME, torch.cuda.device(self._device):
                output = self._capture(graph, work)
            _check_replay(graph, output)
        except RuntimeError as error:
            _failed().append((str(error), graph))  # kept: deleting a broken graph would take its memory along
            raise
        return graph.replay, output

    def _capture(self, graph: Any, work: Callable[[], Tensor]) -> Tensor:
        before = torch.cuda.current_stream()
        stopped: list[BaseException] = []

        def watched() -> Tensor:
            try:
                return work()
            except BaseException as error:
                stopped.append(error)
                raise

        try:
            # other threads of a host may use the device meanwhile
            how = {"pool": self._pool, "stream": capture_stream(self._device), "capture_error_mode": "thread_local"}
            with torch.cuda.graph(graph, **how):
                return watched()
        except BaseException:
            # torch before 2.10 leaves the allocator believing that the capture goes on
            end = getattr(torch._C, "_cuda_endAllocateToPool", None)
            with contextlib.suppress(RuntimeError, TypeError):
                if end is not None:
                    end(torch.cuda.current_device(), self._pool)
            if stopped and not isinstance(stopped[0], RuntimeError):
                raise stopped[0] from None  # cancelled: not the error that this causes at the capture's end
            raise
        finally:
            torch.cuda.set_stream(before)  # where a capture fails to end, torch leaves its stream current


def _check_replay(graph: Any, output: Tensor) -> None:
    """Raise RuntimeError where replaying a graph does not fill its output, as after a capture on another device."""
    output.fill_(_NO_VELOCITY)
    graph.replay()
    if bool((output == _NO_VELOCITY).all()):
        raise RuntimeError("what was recorded holds no work")


@cache
def _failed() -> list[tuple[str, Any]]:
    """The recordings that failed in this process, and why."""
    return []


def why_not_recorded(device: torch.device) -> str:
    """Why nothing is recorded on a device, in a clause; empty where passes are."""
    if device.type != "cuda" or torch.version.hip is not None:
        return "not used: they are for NVIDIA's devices"
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}"
    return f"not used any more: a recording failed ({_failed()[0][0]})" if _failed() else ""


def recorder_for(generator: Generator, device: torch.device) -> Recorder | None:
    """What can record a generator's passes on a device; None where nothing can, or where it was switched off."""
    if is_streamed(generator):
        log.info("Passes run call by call, not as CUDA graphs: the weights come from main memory layer by layer.")
        return None
    if why_not_recorded(device):
        return None
    mine = _RECORDERS.setdefault(generator, {})
    return mine.setdefault(device, CudaRecorder(device))
