"""Weights that stay in main memory and visit the device layer by layer, while the layer before computes.

Two places on the device take turns: one layer computes from the first while the next layer's weights are copied into
the second, on a stream of their own and from page-locked memory where the device is CUDA. The numbers are those of
weights that stay. For a host with its own offloading this is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from .quantise import named_layers

PLACES = 2
_ALIGNED = 256  # bytes: where a weight may begin


class WeightStream:
    """The large weights of a generator's layers; `enter` brings those of one layer.

    device_bytes: what the two places take on the device. copies: layers brought so far.
    """

    def __init__(self, generator: nn.Module, device: torch.device) -> None:
        self.copies = 0
        self._cuda = device.type == "cuda"
        modules = _modules_by_layer(generator)
        size = max(map(_bytes, modules))
        self._homes: list[Tensor] = []
        self._places = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(PLACES)]
        self._held: list[int | None] = [None] * PLACES
        self._here: int | None = None
        self._stream: Any = torch.cuda.Stream(device) if self._cuda else None
        self._copied = [torch.cuda.Event() for _ in range(PLACES)] if self._cuda else []
        self._free = [torch.cuda.Event() for _ in range(PLACES)] if self._cuda else []
        for layer, group in enumerate(modules):
            self._homes.append(_flat(group, self._cuda))
            self._attach(layer, group)  # which lets the weights that were loaded go

    @property
    def device_bytes(self) -> int:
        """Memory on the device."""
        return sum(place.nbytes for place in self._places)

    def enter(self, layer: int) -> None:
        """Have the weights of `layer` on the device, and those of the next one on their way."""
        if layer == self._here:
            return
        if self._cuda and self._here is not None:
            self._free[self._here % PLACES].record()
        place = layer % PLACES
        self._bring(layer)
        if self._cuda:
            torch.cuda.current_stream().wait_event(self._copied[place])
        self._here = layer
        following = (layer + 1) % len(self._homes)
        if following % PLACES != place:
            self._bring(following)

    def _bring(self, layer: int) -> None:
        place, home = layer % PLACES, self._homes[layer]
        if self._held[place] == layer:
            return
        target = self._places[place][: home.numel()]
        if self._cuda:
            with torch.cuda.stream(self._stream):
                self._stream.wait_event(self._free[place])  # until the layer that was there has computed
                target.copy_(home, non_blocking=True)
                self._copied[place].record(self._stream)
        else:
            target.copy_(home)
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
    """Take a generator that was loaded into main memory to the device, all but its large weights, which are streamed.

    Its parameters then do not hold the weights of any one moment: take fingerprints before.
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
    return getattr(generator, "weight_stream", None) is not None


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


def _flat(modules: Sequence[nn.Module], pinned: bool) -> Tensor:
    """All weights behind one another as bytes, in main memory."""
    home = torch.empty(_bytes(modules), dtype=torch.uint8, pin_memory=pinned)
    offset = 0
    for module in modules:
        weight: Any = module.weight
        home[offset : offset + weight.nbytes] = weight.data.contiguous().view(-1).view(torch.uint8).cpu()
        offset += _aligned(weight.nbytes)
    return home


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
