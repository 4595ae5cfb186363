"""What every decoder offers, and the scale of the latents between the networks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

LATENT_CHANNELS = 16
SPATIAL_STRIDE = 8

# Per channel, of Wan 2.1's latents; the generator works on (latent - mean) / std.
LATENT_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
LATENT_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip

State = tuple[Tensor, ...]


class VideoDecoder(Protocol):
    """Latents to pixels, a latent frame at a time, with the state outside."""

    @property
    def latents_behind(self) -> int:
        """How many latent frames decide a state: to the last bit it is the same whatever was decoded before them."""
        ...

    @property
    def state_device(self) -> torch.device | None:
        """Where states are kept between blocks; None for the models' own device."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """What decides the frames, and so the decoder's id: its weights, and numbers for how it uses them."""
        ...

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Decode the next latent frames of a clip.

        latents: [B, 16, F, h, w], normalised. state: what the last call returned, None at the start of a clip.
        Returns pixels [B, 3, N, 8h, 8w] in about [-1, 1], where N = 4F, or 4F - 3 at the start, and the state
        to pass with the frames that follow. The state passed in is left as it was.
        """
        ...


class DecoderAround:
    """A wrapper that changes how a decoder is called: `decode` is its own, the rest of a VideoDecoder is the decoder's,
    so that a world made with the one goes on with the other."""

    def __init__(self, decoder: VideoDecoder) -> None:
        self._decoder = decoder

    @property
    def latents_behind(self) -> int:
        """See VideoDecoder.latents_behind."""
        return self._decoder.latents_behind

    @property
    def state_device(self) -> torch.device | None:
        """See VideoDecoder.state_device."""
        return self._decoder.state_device

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Those of the decoder itself."""
        return self._decoder.named_parameters()


class VideoEncoder(Protocol):
    """Pixels to latents, four frames at a time, with the state outside."""

    @property
    def encode_at_once(self) -> bool:
        """Whether a world's condition is encoded at its start as far as it is ever needed, because the encoder then
        leaves the device; otherwise it is encoded block by block."""
        ...

    @property
    def input_device(self) -> torch.device:
        """The device that pixels must be on."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """What decides the latents, and so the encoder's id."""
        ...

    def encode(self, pixels: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Encode the next frames of a clip.

        pixels: [B, 3, N, H, W] in [-1, 1], H and W multiples of 8; N = 1 + 4k at the start, otherwise 4k.
        Returns normalised latents [B, 16, L, H/8, W/8], one for the first frame and one for every 4 after it,
        and the state to pass with the frames that follow. Raises ImageError for any other shape.
        """
        ...


class VideoAutoencoder(VideoEncoder, VideoDecoder, Protocol):
    """A VAE: it can be its own decoder."""


def normalise(latents: Tensor) -> Tensor:
    """VAE latents [B, 16, ...] to the generator's scale."""
    mean, std = _scale(latents.device, latents.dtype, latents.ndim)
    return (latents - mean) / std


def denormalise(latents: Tensor) -> Tensor:
    """The generator's latents [B, 16, ...] to the VAE's scale."""
    mean, std = _scale(latents.device, latents.dtype, latents.ndim)
    return latents * std + mean


@functools.cache
@torch.inference_mode(False)
def _scale(device: torch.device, dtype: torch.dtype, dims: int) -> tuple[Tensor, Tensor]:
    # kept: the copy to a device makes the host wait for all that the device has to do
    shape = (1, LATENT_CHANNELS) + (1,) * (dims - 2)
    mean = torch.tensor(LATENT_MEAN, dtype=dtype, device=device).reshape(shape)
    std = torch.tensor(LATENT_STD, dtype=dtype, device=device).reshape(shape)
    return mean, std


def pixels_to_frames(pixels: Tensor) -> Tensor:
    """Pixels [B, 3, N, H, W] in [-1, 1] to frames [B, N, H, W, 3] of 8 bits: the one place where they are quantised."""
    return pixels.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous()
