"""The VAE and its decoder while core decides where their weights are: inputs go to the device they compute on."""

from __future__ import annotations

import torch
from torch import Tensor

from ...networks.vae import VideoAutoencoder, VideoDecoder
from ...networks.vae.base import DecoderAround, State


class DecoderOnDevice(DecoderAround):
    """A decoder that takes its inputs to the device it computes on, wherever core keeps its weights."""

    def __init__(self, decoder: VideoDecoder, device: torch.device) -> None:
        super().__init__(decoder)
        self._device = device

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        return self._decoder.decode(latents.to(self._device), state)


class VaeOnDevice(DecoderOnDevice):
    """The same for a VAE, which also encodes there."""

    def __init__(self, vae: VideoAutoencoder, device: torch.device) -> None:
        super().__init__(vae, device)
        self._vae = vae

    @property
    def encode_at_once(self) -> bool:
        """See VideoEncoder.encode_at_once."""
        return self._vae.encode_at_once

    @property
    def input_device(self) -> torch.device:
        """See VideoEncoder.input_device."""
        return self._device

    def encode(self, pixels: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoEncoder.encode."""
        return self._vae.encode(pixels.to(self._device), state)
