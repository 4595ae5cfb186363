"""Weights that stay in main memory and visit the device layer by layer, while the layer before computes.

Two places on the device take turns: one layer computes from the first while the next layer's weights are copied into
the second, on a stream of their own and from page-locked memory where the device is CUDA. The numbers are those of
weights that stay. A host with its own offloading does not use this.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from .faults import reason_of
from .quantise import named_layers

log = logging.getLogger(__name__)
PLACES = 2
SMALLEST_PIECE, LARGEST_PIECE = 1 << 20, 1 << 29  # bytes of page-locked memory that are asked for at once
_ALIGNED = 256  # bytes: where a weight may begin


class WeightStream:
    """The large weights of a generator's layers; `enter` brings those of one layer.

    device_bytes: what the two places take on the device. copies: layers brought so far.
    """

    def __init__(self, generator: nn.Module, device: torch.device) -> None:
        self.copies = 0
        self._cuda, self._device = device.type == "cuda", device
        modules = _modules_by_layer(generator)
        sizes = [_bytes(group) for group in modules]
        size = max(sizes)
        shelf = _Shelf(sum(sizes), self._cuda)
        self._homes: list[list[Tensor]] = []  # each layer's bytes, in pieces
        self._places = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(PLACES)]
        self._held: list[int | None] = [None] * PLACES
        self._here: int | None = None
        self._stream: Any = torch.cuda.Stream(device) if self._cuda else None
        self._copied = [torch.cuda.Event() for _ in range(PLACES)] if self._cuda else []
        self._free = [torch.cuda.Event() for _ in range(PLACES)] if self._cuda else []
        if self._cuda:
            for place in self._places:  # nobody waits for the last layer that is fetched
                place.record_stream(self._stream)
                self._stream.wait_stream(torch.cuda.current_stream(device))  # which had the memory before
        for layer, group in enumerate(modules):
            self._homes.append(shelf.put(group))
            self._attach(layer, group)  # which frees the loaded weights

    @property
    def device_bytes(self) -> int:
        """Memory on the device."""
        return sum(place.nbytes for place in self._places)

    def enter(self, layer: int) -> None:
        """Have the weights of `layer` on the device, and those of the next one on their way."""
        if layer == self._here:
            return
        if self._cuda and self._here is not None:
            self._free[self._here % PLACES].record(torch.cuda.current_stream(self._device))
        place = layer % PLACES
        self._bring(layer)
        if self._cuda:
            torch.cuda.current_stream(self._device).wait_event(self._copied[place])
        self._here = layer
        following = (layer + 1) % len(self._homes)
        if following % PLACES != place:
            self._bring(following)

    def _bring(self, layer: int) -> None:
        place, home = layer % PLACES, self._homes[layer]
        if self._held[place] == layer:
            return
        if self._cuda:
            with torch.cuda.stream(self._stream):
                self._stream.wait_event(self._free[place])  # until the layer that was there has computed
                _copy_pieces(self._places[place], home)
                self._copied[place].record(self._stream)
        else:
            _copy_pieces(self._places[place], home)
        self._held[place] = layer
        self.copies += 1

    def _attach(self, layer: int, group: Sequence[nn.Module]) -> None:
        def enter(*_: Any) -> None:
            self.enter(layer)

        enter.only_brings_weights = True  # type: ignore[attr-defined]  # see ops.is_wrapped
        place = self._places[layer % PLACES]
        offset = 0
        for module in group:
            weight: Any = module.weight
            part = place[offset : offset + weight.nbytes].view(weight.dtype).view(weight.shape)
            offset += _aligned(weight.nbytes)
            weight.data = part
            module.register_forward_pre_hook(enter)


def stream_weights(generator: nn.Module, device: torch.device) -> WeightStream:
    """Move a generator from main memory to the device, except for its large weights, which are streamed.

    Its parameters then never hold all weights at once: compute its id (`network_id`) before.
    """
    stream = WeightStream(generator, device)
    streamed = {id(module.weight) for _, module in named_layers(generator)}
    for parameter in generator.parameters():
        if id(parameter) not in streamed:
            parameter.data = parameter.data.to(device)
    generator.weight_stream = stream  # type: ignore[assignment]
    return stream


def is_streamed(generator: nn.Module) -> bool:
    """Whether the weights come and go: nothing may be recorded that reads them without entering their layer."""
    return generator.weight_stream is not None


def streamed_bytes(generator: nn.Module) -> tuple[int, int]:
    """Bytes of the weights that would be streamed, and of the places they would take on the device."""
    sizes = [_bytes(group) for group in _modules_by_layer(generator)]
    return sum(sizes), PLACES * max(sizes)


def _modules_by_layer(generator: nn.Module) -> list[list[nn.Module]]:
    layers: dict[int, list[nn.Module]] = {}
    for name, module in named_layers(generator):
        layers.setdefault(int(name.split(".")[1]), []).append(module)
    return [layers[number] for number in sorted(layers)]


def _bytes(modules: Sequence[nn.Module]) -> int:
    return sum(_aligned(module.weight.nbytes) for module in modules)  # type: ignore[union-attr, operator, arg-type]


class _Shelf:
    """Main memory for `total` bytes, filled from front to back.

    Page-locked memory comes in powers of two: a layer of 93 MB would take 134. So it is asked for in pieces that are
    powers of two, and a layer may begin in one and end in the next.
    """

    def __init__(self, total: int, pinned: bool) -> None:
        self._sizes, self._pinned = piece_sizes(total), pinned
        self._piece, self._used = torch.empty(0, dtype=torch.uint8), 0

    def put(self, modules: Sequence[nn.Module]) -> list[Tensor]:
        """Store the weights of some modules one after another; returns the pieces of memory that hold them."""
        rest = _flat(modules)
        if not self._pinned:
            return [rest]
        parts = []
        while len(rest):
            if self._used == len(self._piece):
                self._piece, self._used = self._next_piece(), 0
            part = self._piece[self._used : self._used + len(rest)]
            parts.append(part.copy_(rest[: len(part)]))
            rest, self._used = rest[len(part) :], self._used + len(part)
        return parts

    def _next_piece(self) -> Tensor:
        size = self._sizes.pop(0)
        try:
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)
        except RuntimeError as error:
            log.info("Not all weights fit in page-locked memory (%s); the rest arrives more slowly.", reason_of(error))
            return torch.empty(size, dtype=torch.uint8)


def piece_sizes(total: int) -> list[int]:
    """Powers of two, the largest first, that together hold `total` bytes."""
    sizes: list[int] = []
    while total > 0:
        size = max(SMALLEST_PIECE, min(LARGEST_PIECE, 1 << (total.bit_length() - 1)))
        sizes.append(size)
        total -= size
    return sizes


def _copy_pieces(place: Tensor, pieces: Sequence[Tensor]) -> None:
    offset = 0
    for piece in pieces:
        place[offset : offset + len(piece)].copy_(piece, non_blocking=True)
        offset += len(piece)


def _flat(modules: Sequence[nn.Module]) -> Tensor:
    """All weights one after another as bytes, in main memory."""
    home = torch.empty(_bytes(modules), dtype=torch.uint8)
    offset = 0
    for module in modules:
        weight: Any = module.weight
        home[offset : offset + weight.nbytes] = weight.data.contiguous().view(-1).view(torch.uint8).cpu()
        offset += _aligned(weight.nbytes)
    return home


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
