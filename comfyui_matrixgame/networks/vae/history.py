"""What the causal convolutions of a VAE saw before: the last two frames of each, in the order in which they come."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...compute.ops import on_cpu
from .base import State

MEMORY = 2  # frames a causal convolution looks back
AT_ONCE = 2  # large frames that a CPU takes through all layers together


class History:
    """Walks the layers' memories in order: reads what the last chunk left, collects what this one leaves.

    A memory is let go as soon as it was read, so that old and new ones never all exist at once. On a CPU, memories
    that this walk made itself are overwritten by the next chunk's, and all layers join frames in one buffer: new
    pages cost time there (measured on a Xeon: a decode in float32 took 15% less without them).
    """

    def __init__(self, state: Sequence[Tensor] | None, storage: torch.dtype) -> None:
        self._past = deque(state) if state is not None else None
        self._next: list[Tensor] = []
        self._storage = storage
        self._own = False  # whether the memories to be read were made by this walk, and nobody else has them
        self._read: Tensor | None = None  # the last of those
        self._room: Tensor | None = None

    @property
    def first(self) -> bool:
        """Whether this is the first chunk of a clip."""
        return self._past is None

    def past(self) -> Tensor | None:
        """The memory of the current layer, valid until `keep` is called; None in the first chunk."""
        past = None if self._past is None else self._past.popleft()
        self._read = past if self._own else None
        return past

    def join(self, like: Tensor) -> Tensor:
        """A buffer [B, C, 2 + T, H, W]: the two frames before (zeros where the clip begins), then room for the next, of
        `like`'s shape [B, C, T, H, W], to be written. Valid until the next layer's `join`."""
        past = self.past()
        batch, channels, frames, height, width = like.shape
        size = (batch, MEMORY + frames, height, width, channels)
        if on_cpu(like):
            joined = self._room_for(math.prod(size), like).view(size).permute(0, 4, 1, 2, 3)
        else:
            joined = like.new_empty(size).permute(0, 4, 1, 2, 3)
        joined[:, :, :MEMORY] = 0 if past is None else past
        return joined

    def _room_for(self, count: int, like: Tensor) -> Tensor:
        if self._room is None or len(self._room) < count or self._room.dtype != like.dtype:
            self._room = None  # before the larger one is made
            self._room = like.new_empty(count)
        return self._room[:count]

    def keep(self, memory: Tensor) -> None:
        """Keep a copy of what the current layer needs again in the next chunk."""
        old, self._read = self._read, None
        if old is not None and on_cpu(memory) and (old.shape, old.dtype) == (memory.shape, self._storage):
            self._next.append(old.copy_(memory))
        else:
            self._next.append(memory.to(self._storage, copy=True))

    def state(self) -> State:
        """Everything kept, in order."""
        return tuple(self._next)

    def following(self) -> History:
        """The history for the next chunk; it takes over what this one kept."""
        following, self._next = History(self._next, self._storage), []
        following._own, following._room = True, self._room
        return following

    def by_few_frames(self, run: Callable[[Tensor, History], Tensor], x: Tensor) -> Tensor:
        """run(x, self), on a CPU two frames at a time: activations between the layers of the largest frames then take
        half of the memory. One at a time, in float32, takes a sixth longer; four, as long as two."""
        if x.device.type != "cpu" or self._past is None or torch.is_grad_enabled():
            return run(x, self)
        return self.in_turn(run, x, AT_ONCE)

    def in_turn(self, run: Callable[[Tensor, History], Tensor], x: Tensor, count: int) -> Tensor:
        """run(x, self), so many frames at a time, as chunks that follow each other."""
        part = copy.copy(self)  # the first frames continue where this walk stands
        part._next = []
        frames = []
        for few in x.split(count, dim=2):
            part = part.following() if frames else part
            frames.append(run(few, part))
        self._next += part._next
        self._room = part._room
        return torch.cat(frames, dim=2)
