"""torch.cuda's streams, events and current devices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from .machine import Machine, machine, place
from .order import Clock, Work, merge

if TYPE_CHECKING:
    from .graphs import Graph


class Stream:
    """Work that is done in order.

    ticks: pieces so far. seen: what this stream comes after. graph: what captures it. live, reserved: bytes of the
    tensors made on it, and of the memory that the allocator keeps for it. unsafe: uses, by other streams, of memory
    that was given back here.
    """

    device: torch.device
    number: int

    def __new__(cls, device: Any = None, priority: int = 0, **_: Any) -> Stream:
        return machine().pooled_stream(explicit("cuda" if device is None else device), priority)

    @staticmethod
    def made(gpus: Machine, device: torch.device, priority: int = 0) -> Stream:
        """One that torch has not handed out before."""
        stream = object.__new__(Stream)
        stream.device, stream.priority = device, priority
        stream.number = stream.cuda_stream = len(gpus.streams) + 1
        stream.ticks, stream.seen = 0, {}
        stream.graph: Graph | None = None
        stream.live = stream.reserved = 0
        stream.unsafe: list[tuple[Work, str]] = []
        gpus.streams.append(stream)
        return stream

    def __repr__(self) -> str:
        return f"stream {self.number} of {self.device}"

    def now(self) -> Clock:
        """What is done when the work of this stream so far is done."""
        return {**self.seen, self.number: self.ticks}

    def launch(self) -> Work:
        """One piece of work more, which comes after all that the host has waited for."""
        gpus = machine()
        gpus.check(self.device.index)
        merge(self.seen, gpus.host)
        self.ticks += 1
        return Work(self.number, self.ticks, place())

    def comes_after(self, work: Work) -> bool:
        """Whether what is launched here next finds a piece of work done."""
        stream, tick, _ = work
        return stream == self.number or self.seen.get(stream, 0) >= tick or machine().host.get(stream, 0) >= tick

    def wait_stream(self, other: Stream) -> None:
        merge(self.seen, other.now())

    def wait_event(self, event: Event) -> None:
        merge(self.seen, event.clock)

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        wait(self, "synchronize")

    def query(self) -> bool:
        return True


class Event:
    """A point in a stream's work; before it is recorded, nothing waits for it."""

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self.clock: Clock = {}
        self.device: torch.device | None = None
        self.time = 0.0
        self._captured = False

    def record(self, stream: Stream | None = None) -> None:
        stream = stream or current_stream()
        if self.device not in (None, stream.device):
            raise RuntimeError(f"Event device {self.device} does not match recording stream's device {stream.device}.")
        machine().check(stream.device.index)
        self.device, self.clock, self.time = stream.device, stream.now(), time.perf_counter()
        self._captured = stream.graph is not None

    def wait(self, stream: Stream | None = None) -> None:
        (stream or current_stream()).wait_event(self)

    def synchronize(self) -> None:
        if self._captured:
            raise not_while_capturing("event.synchronize")
        if self.device is not None:
            machine().check(self.device.index)
            machine().waited("event", self.device.index)
        merge(machine().host, self.clock)

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: Event) -> float:
        return (other.time - self.time) * 1e3


def not_while_capturing(why: str) -> Exception:
    """CUDA's error for what a capture forbids."""
    return torch.AcceleratorError(f"CUDA error: operation not permitted when stream is capturing ({why})")  # type: ignore[attr-defined]


def wait(stream: Stream, why: str) -> None:
    """The host waits until a stream has done its work. That breaks a capture, as in CUDA."""
    machine().check(stream.device.index)
    if stream.graph is not None:
        stream.graph.broken = why
        raise not_while_capturing(why)
    machine().waited(why, stream.device.index)
    merge(machine().host, stream.now())


def synchronize(device: Any = None) -> None:
    """The host waits for all streams of a device. Where one is under capture, this fails, and the capture too."""
    index = explicit("cuda" if device is None else device).index
    machine().check(index)
    streams = [stream for stream in machine().streams if stream.device.index == index]
    for stream in streams:
        if stream.graph is not None:
            stream.graph.broken = "a wait for the whole device"
            raise not_while_capturing("synchronize")
    machine().waited("synchronize", index)
    for stream in streams:
        merge(machine().host, stream.now())


def explicit(device: Any) -> torch.device:
    """A device with its number; one without gets that of this thread's current device."""
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if device.type != "cuda":
        return device
    if machine().count == 0:
        raise RuntimeError("No CUDA GPUs are available")
    index = current_device() if device.index is None else device.index
    if index >= machine().count:
        raise torch.AcceleratorError("CUDA error: invalid device ordinal")  # type: ignore[attr-defined]
    return torch.device("cuda", index)


def current_device() -> int:
    return getattr(machine().local, "device", 0)


def set_device(device: Any) -> None:
    machine().local.device = explicit(device).index


def default_stream(device: Any = None) -> Stream:
    index = explicit("cuda" if device is None else device).index
    return machine().streams[index]


def current_stream(device: Any = None) -> Stream:
    return stream_of(explicit("cuda" if device is None else device).index)


def stream_of(index: int) -> Stream:
    """The current stream of a device that is there."""
    gpus = machine()
    return vars(gpus.local).get("streams", {}).get(index) or gpus.streams[index]


def set_stream(stream: Stream) -> None:
    vars(machine().local).setdefault("streams", {})[stream.device.index] = stream
    set_device(stream.device)


class StreamContext:
    """torch.cuda.stream: a stream is current, and its device; None changes nothing."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self._before = current_device(), current_stream(self.stream.device)
            set_stream(self.stream)

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            device, stream = self._before
            set_stream(stream)
            set_device(device)


class DeviceContext:
    """torch.cuda.device: a device is current; None changes nothing."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def __enter__(self) -> None:
        self._before = current_device()
        if self.device is not None:
            set_device(self.device)

    def __exit__(self, *_: object) -> None:
        set_device(self._before)
