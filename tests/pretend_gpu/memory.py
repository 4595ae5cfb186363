"""Memory of the devices, and page-locked memory: who used it last, and what the allocator keeps."""

from __future__ import annotations

import torch

from .machine import Machine, machine, place, running
from .order import Work
from .streams import Stream


class Allocation:
    """A piece of memory: of a device, made on `stream`, or page-locked (stream None).

    written, read: the last work that wrote it, and for each stream the last that read it since. captured: made while
    capturing, so that it is the graph's own.
    """

    def __init__(self, nbytes: int, stream: Stream | None) -> None:
        self.nbytes, self.stream, self.made = nbytes, stream, place()
        self.captured = stream is not None and stream.graph is not None
        self.machine = machine()
        self.written: Work | None = None
        self.read: dict[int, Work] = {}
        self.recorded: set[int] = set()
        self.live = False  # whether it counts as memory of its stream
        if stream is None or self.captured:
            return
        # what had this memory before may still be at work, so another stream has to wait for this one
        self.written = Work(stream.number, stream.ticks, "what its stream was given before")
        for work, text in stream.unsafe:
            if not stream.comes_after(work):
                machine().race(f"memory that was given back is handed out again while it is in use: {text}")
        stream.unsafe.clear()
        _make_room(stream, nbytes)
        self.live = True
        stream.live += nbytes

    def use(self, stream: Stream, work: Work, write: bool) -> None:
        """Use it in a piece of a stream's work."""
        self._is_of(machine())
        for before in self._before(write):
            if not stream.comes_after(before):
                self._race(before, write, repr(stream))
        if write:
            self.written, self.read = work, {}
        else:
            self.read[work.stream] = work

    def use_on_host(self, write: bool) -> None:
        """Use it on the host, which must have waited for what devices do with it."""
        gpus = machine()
        self._is_of(gpus)
        for before in self._before(write):
            if gpus.host.get(before.stream, 0) < before.tick:
                self._race(before, write, "the host")

    def _is_of(self, gpus: Machine) -> None:
        if self.machine is not gpus:  # something that was cached under a machine of an earlier test
            self.machine, self.written, self.read = gpus, None, {}

    def _before(self, write: bool) -> tuple[Work, ...]:
        """Work that must be over: a read comes after the last write, a write also after all reads since."""
        written = () if self.written is None else (self.written,)
        return (*written, *self.read.values()) if write and self.read else written

    def _race(self, before: Work, write: bool, who: str) -> None:
        text = f"memory made at {self.made} is {'written' if write else 'read'} by {who} before {before.where}"
        machine().race(f"{text} on stream {before.stream} is over")

    def __del__(self) -> None:
        stream, gpus = self.stream, running()
        if not self.live or stream is None or gpus is None or gpus is not self.machine:
            return
        with gpus.lock:
            stream.live -= self.nbytes
            for work in [*([self.written] if self.written else []), *self.read.values()]:
                if work.stream != stream.number and work.stream not in self.recorded and not stream.comes_after(work):
                    text = f"made at {self.made} on {stream}, used at {work.where} on stream {work.stream}"
                    stream.unsafe.append((work, text))


def _make_room(stream: Stream, nbytes: int) -> None:
    """As the allocator does: from what the stream keeps, or new, or after all others gave back what they keep."""
    gpus, index = machine(), stream.device.index
    gpus.check(index)
    limit = gpus.total - gpus.taken[index]
    more = stream.live + nbytes - stream.reserved
    if more > 0:
        if gpus.bytes_of(index, "reserved") + more > limit:
            empty_cache(index)
        if gpus.bytes_of(index, "live") + nbytes > limit:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended).")
        gpus.segments[index] += 1
        stream.reserved = stream.live + nbytes
    gpus.allocations[index] += 1
    gpus.peaks[index] = max(gpus.peaks[index], gpus.bytes_of(index, "live") + nbytes)


def empty_cache(index: int | None = None) -> None:
    """Give memory that no tensor uses back to the device: of one, or of all."""
    for stream in machine().streams:
        if index is None or stream.device.index == index:
            stream.reserved = stream.live


def statistics(index: int) -> dict[str, int]:
    """torch.cuda.memory_stats, the numbers that are modelled."""
    gpus = machine()
    live, kept = gpus.bytes_of(index, "live"), gpus.bytes_of(index, "reserved")
    return {
        "allocated_bytes.all.current": live,
        "active_bytes.all.current": live,
        "reserved_bytes.all.current": kept,
        "allocation.all.allocated": gpus.allocations[index],
        "segment.all.allocated": gpus.segments[index],
    }
