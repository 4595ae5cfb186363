"""The Wan VAE on small cards: an encoder that leaves the device when its work is done, and frames decoded in tiles.

The encoder's condition is the same whether it is made at once or block by block, so the first changes no number.
Tiles change pixels, since the decoder sees the whole frame at its coarsest scale; latents, and so the world, stay
as they are (measured: bench/results/drift-cpu-*.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .base import SPATIAL_STRIDE, DecoderAround, State, VideoDecoder
from .wan import WanVAE

OVERLAP = 8  # latent columns that two neighbouring tiles share


class VisitingEncoder(DecoderAround):
    """A VAE whose encoder is on the device only while it encodes. Its decoder stays, unless there is another.

    Nothing of the encoder, nor of its state, is kept once a world has started.
    """

    encode_at_once = True

    def __init__(self, vae: WanVAE, device: torch.device, decodes: bool) -> None:
        super().__init__(vae)
        self._vae, self._device = vae, device
        vae.lay_weights(device)
        parameters = [*vae.encoder.parameters(), *vae.conv1.parameters()]
        self._homes = [(parameter, parameter.data) for parameter in parameters]  # in main memory, where they stay
        for module in (vae.conv2, vae.decoder) if decodes else ():
            module.to(device)

    @property
    def input_device(self) -> torch.device:
        """See VideoEncoder.input_device."""
        return self._device

    def encode(self, pixels: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoEncoder.encode."""
        for parameter, home in self._homes:
            parameter.data = home.to(self._device)
        try:
            return self._vae.encode(pixels.to(self._device), state)
        finally:
            for parameter, home in self._homes:
                parameter.data = home

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        return self._vae.decode(latents, state)


class TiledDecoder(DecoderAround):
    """Decodes a frame as upright `tiles`, blended where they overlap.

    Each tile has a state of its own, which lies in main memory (`state_device`) while the tile is not at work.
    """

    def __init__(self, decoder: VideoDecoder, tiles: int) -> None:
        super().__init__(decoder)
        self.tiles = tiles

    @property
    def state_device(self) -> torch.device:
        """See VideoDecoder.state_device."""
        return torch.device("cpu")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The weights, and how frames are cut: a world's frames go on only in the same tiles."""
        yield from self._decoder.named_parameters()
        yield "tiles", torch.tensor([float(self.tiles), float(OVERLAP)])

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        tiles = tiles_of(latents.shape[-1], self.tiles)
        each = 0 if state is None else len(state) // len(tiles)
        pixels: Tensor | None = None
        states: list[Tensor] = []
        weights = blend_weights(tiles)
        for i, (start, end) in enumerate(tiles):
            past = None if state is None else self.fetch(state[i * each : (i + 1) * each], latents.device)
            part, following = self._decoder.decode(latents[..., start:end].contiguous(), past)
            states += self.store(following)
            del past, following
            if pixels is None:
                pixels = part.new_zeros(*part.shape[:-1], latents.shape[-1] * SPATIAL_STRIDE)
            weight = weights[i].to(part.device, part.dtype)
            pixels[..., start * SPATIAL_STRIDE : end * SPATIAL_STRIDE] += part * weight
        assert pixels is not None
        return pixels, tuple(states)

    @staticmethod
    def store(state: State) -> State:
        """A tile's state, in main memory; on CUDA with one wait for all of it."""
        if not state or not state[0].is_cuda:
            return tuple(tensor.cpu() for tensor in state)
        kept = tuple(torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in state)
        for home, tensor in zip(kept, state, strict=True):
            home.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream(state[0].device).synchronize()
        return kept

    @staticmethod
    def fetch(state: State, device: torch.device) -> State:
        """A tile's state, on a device."""
        return tuple(tensor.to(device, non_blocking=True) for tensor in state)


def tiles_of(columns: int, tiles: int) -> list[tuple[int, int]]:
    """Where tiles of one width begin and end, in latent columns; fewer of them where a frame is narrow."""
    tiles = max(1, min(tiles, columns // (2 * OVERLAP)))
    width = -(-(columns + (tiles - 1) * OVERLAP) // tiles)
    starts = [round(i * (columns - width) / max(1, tiles - 1)) for i in range(tiles)]
    return [(start, start + width) for start in starts]


def blend_weights(tiles: list[tuple[int, int]]) -> list[Tensor]:
    """The weight of each tile in each of its pixel columns: it falls towards a neighbour, and all sum to 1."""
    columns = tiles[-1][1] * SPATIAL_STRIDE
    ramp = OVERLAP * SPATIAL_STRIDE
    rows = torch.zeros(len(tiles), columns)
    for row, (start, end) in zip(rows, tiles, strict=True):
        start, end = start * SPATIAL_STRIDE, end * SPATIAL_STRIDE
        place = torch.arange(start, end) + 0.5
        left = (place - start) / ramp if start else torch.ones(end - start)
        right = (end - place) / ramp if end < columns else torch.ones(end - start)
        row[start:end] = torch.minimum(left, right).clamp(max=1)
    rows /= rows.sum(dim=0)
    spans = [slice(start * SPATIAL_STRIDE, end * SPATIAL_STRIDE) for start, end in tiles]
    return [row[span] for row, span in zip(rows, spans, strict=True)]
