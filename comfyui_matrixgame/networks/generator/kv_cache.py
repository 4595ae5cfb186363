"""Keys and values of the latent frames inside the window, in rings that never move an entry.

Latent frame f lives in slot f % window: a new frame overwrites the one that just left the window. With a sink, the
first frames of the rollout keep the first slots for good, and the rest are the ring. Positions are Python integers,
so nothing here reads a value back from the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


def slot_of(frame: int, window: int, sink: int = 0) -> int:
    """Where a latent frame lives in a window whose first `sink` slots are those of the rollout's first frames."""
    return frame if frame < window else sink + (frame - sink) % (window - sink)


@dataclass
class Ring:
    """Keys and values, each [N, window * tokens, heads, dim], in the order of the slots.

    N is the batch, or the batch times the places for attention that looks along time only; `tokens` is how many
    entries a latent frame has; `sink`, how many frames of the rollout's beginning stay.
    """

    k: Tensor
    v: Tensor
    tokens: int
    sink: int = 0

    @property
    def window(self) -> int:
        """Latent frames that fit."""
        return self.k.shape[1] // self.tokens

    def write(self, first_frame: int, k: Tensor, v: Tensor) -> None:
        """Put the entries of consecutive latent frames [N, F * tokens, heads, dim] into their slots."""
        self._write(self.k, first_frame, k)
        self._write(self.v, first_frame, v)

    def _write(self, slots: Tensor, first_frame: int, entries: Tensor) -> None:
        for done, start, count in self._pieces(first_frame, entries.shape[1]):
            slots[:, start : start + count].copy_(entries[:, done : done + count])

    def entries(self, first_frame: int, frames: int) -> tuple[Tensor, Tensor]:
        """Copies of what the slots of consecutive latent frames hold, which `write` puts back."""
        pieces = list(self._pieces(first_frame, frames * self.tokens))
        k, v = ([slots[:, start : start + count] for _, start, count in pieces] for slots in (self.k, self.v))
        return torch.cat(k, dim=1), torch.cat(v, dim=1)

    def _pieces(self, first_frame: int, total: int) -> Iterator[tuple[int, int, int]]:
        """Where so many entries lie: for each piece, where it starts among them, where in the ring, and its length."""
        done, start = 0, slot_of(first_frame, self.window, self.sink) * self.tokens
        while done < total:
            count = min(total - done, self.k.shape[1] - start)
            yield done, start, count
            done, start = done + count, self.sink * self.tokens

    def read(self, end_frame: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values of the frames of the window that ends before `end_frame`, in slot order."""
        filled = min(end_frame, self.window) * self.tokens
        return self.k[:, :filled].to(dtype), self.v[:, :filled].to(dtype)

    def of_world(self, index: int, worlds: int) -> Ring:
        """The part of one of so many worlds, as a view: what is written there is written here."""
        count = len(self.k) // worlds
        part = slice(index * count, (index + 1) * count)
        return replace(self, k=self.k[part], v=self.v[part])

    def copy(self) -> Ring:
        """A ring of its own with the same entries."""
        return replace(self, k=self.k.clone(), v=self.v.clone())

    def take(self, other: Ring | None) -> None:
        """Copy the entries of another ring of the same shape, on any device; zeros where there is none."""
        if other is None:
            self.k.zero_()
            self.v.zero_()
        else:
            self.k.copy_(other.k)
            self.v.copy_(other.v)

    @staticmethod
    def empty(
        n: int, window: int, tokens: int, heads: int, dim: int, dtype: torch.dtype, device: torch.device, sink: int = 0
    ) -> Ring:
        """A ring of zeros. In main memory it takes room only as it fills: the first block needs a fifth of it."""
        shape = (n, window * tokens, heads, dim)
        if device.type == "cpu":
            return Ring(_untouched_zeros(shape, dtype), _untouched_zeros(shape, dtype), tokens, sink)
        k, v = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        return Ring(k, v, tokens, sink)


def _untouched_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    # NumPy asks the system for zeros, which hands out pages when they are written; torch.zeros writes them
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(shape)


@dataclass
class LayerCache:
    """One layer's rings; mouse and keyboard only where the layer has an action module with that input."""

    video: Ring
    mouse: Ring | None
    keyboard: Ring | None

    def copy(self) -> LayerCache:
        """Rings of their own with the same entries."""
        return LayerCache(
            self.video.copy(),
            None if self.mouse is None else self.mouse.copy(),
            None if self.keyboard is None else self.keyboard.copy(),
        )

    def rings(self) -> dict[str, Ring]:
        """The rings that exist, by name."""
        return {name: ring for name in ("video", "mouse", "keyboard") if (ring := getattr(self, name)) is not None}


Caches = list[LayerCache]


def copies(caches: Caches, device: torch.device, dtype: torch.dtype) -> Caches:
    """Caches of their own with the same entries, on a device."""

    def copy(ring: Ring | None) -> Ring | None:
        if ring is None:
            return None
        if (ring.k.device, ring.k.dtype) == (device, dtype):
            return ring.copy()
        k, v = (tensor.to(device, dtype) for tensor in (ring.k, ring.v))
        return replace(ring, k=k, v=v)

    return [LayerCache(copy(layer.video), copy(layer.mouse), copy(layer.keyboard)) for layer in caches]  # type: ignore[arg-type]


def take_caches(caches: Caches, others: Caches) -> None:
    """Copy the entries of other caches into all rings; zeros where those have none."""
    for index, layer in enumerate(caches):
        theirs = others[index].rings() if others else {}
        for name, ring in layer.rings().items():
            ring.take(theirs.get(name))


@dataclass(frozen=True)
class Entries:
    """Copies of what the slots of some latent frames hold, in all rings of caches."""

    first_frame: int
    layers: list[dict[str, tuple[Tensor, Tensor]]]

    @staticmethod
    def of(caches: Caches, first_frame: int, frames: int) -> Entries:
        """Those of consecutive latent frames."""
        layers = [{name: ring.entries(first_frame, frames) for name, ring in layer.rings().items()} for layer in caches]
        return Entries(first_frame, layers)

    def put_into(self, caches: Caches) -> None:
        """Write them back into their slots, in the same caches or in copies."""
        self.put_at(self.first_frame, caches, [True])

    def put_at(self, first_frame: int, caches: Caches, worlds: Sequence[bool]) -> None:
        """Write them into the slots of other frames, for each world of a batch where `worlds` is true."""
        for index in (index for index, wanted in enumerate(worlds) if wanted):
            for layer, kept in zip(caches, self.layers, strict=True):
                for name, ring in layer.rings().items():
                    own = replace(ring, k=kept[name][0], v=kept[name][1]).of_world(index, len(worlds))
                    ring.of_world(index, len(worlds)).write(first_frame, own.k, own.v)
