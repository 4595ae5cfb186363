"""What stands in for the functions and classes of torch.cuda."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from . import memory, streams
from .graphs import Graph
from .machine import Machine
from .streams import explicit


def _index(device: Any = None) -> int:
    return explicit("cuda" if device is None else device).index


def stand_ins(gpus: Machine) -> dict[str, Any]:
    """By their names in torch.cuda."""
    return {**_devices(gpus), **_work(), **_memory(gpus), **_small(gpus)}


def _devices(gpus: Machine) -> dict[str, Any]:
    properties = SimpleNamespace(
        name=gpus.name, major=gpus.capability[0], minor=gpus.capability[1], total_memory=gpus.total,
        multi_processor_count=132, gcnArchName="", warp_size=32,
    )  # fmt: skip
    return {
        "is_available": lambda: gpus.count > 0,
        "device_count": lambda: gpus.count,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "init": lambda: None,
        "current_device": streams.current_device,
        "set_device": streams.set_device,
        "device": streams.DeviceContext,
        "get_device_name": lambda device=None: gpus.name if _index(device) >= 0 else "",
        "get_device_properties": lambda device=None: properties if _index(device) >= 0 else None,
        "get_device_capability": lambda device=None: gpus.capability if _index(device) >= 0 else None,
        "is_bf16_supported": lambda *_, **__: gpus.capability >= (8, 0),
    }


def _work() -> dict[str, Any]:
    return {
        "Stream": streams.Stream,
        "Event": streams.Event,
        "stream": streams.StreamContext,
        "set_stream": streams.set_stream,
        "current_stream": streams.current_stream,
        "default_stream": streams.default_stream,
        "synchronize": streams.synchronize,
        "CUDAGraph": Graph,
        "graph_pool_handle": lambda: (0, 0),
        "is_current_stream_capturing": lambda: streams.current_stream().graph is not None,
    }


def _memory(gpus: Machine) -> dict[str, Any]:
    def of(what: str) -> Any:
        return lambda device=None: gpus.bytes_of(_index(device), what)

    def free(device: Any = None) -> tuple[int, int]:
        index = _index(device)
        gpus.check(index)
        return gpus.total - gpus.taken[index] - gpus.bytes_of(index, "reserved"), gpus.total

    def reset_peak(device: Any = None) -> None:
        gpus.peaks[_index(device)] = of("live")(device)

    return {
        "memory_allocated": of("live"),
        "memory_reserved": of("reserved"),
        "max_memory_allocated": lambda device=None: gpus.peaks[_index(device)],
        "max_memory_reserved": of("reserved"),
        "reset_peak_memory_stats": reset_peak,
        "mem_get_info": free,
        "memory_stats": lambda device=None: Counter(memory.statistics(_index(device))),
        "empty_cache": memory.empty_cache,
        "get_allocator_backend": lambda: "native",
        "ipc_collect": lambda: None,
    }


def _small(gpus: Machine) -> dict[str, Any]:
    return {
        "set_sync_debug_mode": lambda mode: setattr(gpus, "sync_mode", mode),
        "cudart": lambda: SimpleNamespace(cudaHostRegister=lambda *_: 1, cudaHostUnregister=lambda *_: 1),
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "_is_in_bad_fork": lambda: False,
    }
