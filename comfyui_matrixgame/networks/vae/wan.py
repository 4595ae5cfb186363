"""Wan 2.1's causal 3D VAE, run chunk by chunk with its state outside the module.

A causal convolution over time needs the last two frames it saw before. Those frames are the state: `encode` and
`decode` take it and return the next one, so a clip can be stopped, branched and resumed. Parameter names are
those of the published file (measured: golden/vae, golden/manifest/wan_vae).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn as nn
from torch import Tensor

from ...compute.ops import Operations, OperationsLike, lay_channels_last, wants_channels_last
from ...compute.trials import trial_is_chosen
from ...errors import ImageError
from .base import LATENT_CHANNELS, SPATIAL_STRIDE, State, denormalise, normalise
from .history import MEMORY, History
from .wan_layers import (
    Downsample,
    ResidualBlock,
    RMSNorm,
    SpatialAttention,
    Upsample,
    causal_conv3d,
    convolve,
    fast_layout,
)

STAGES = (1, 2, 4, 4)  # width of each resolution, in base widths


class Encoder(nn.Module):
    """Pixels to latent statistics, 1 frame and then 4 at a time."""

    def __init__(self, ops: OperationsLike, base_dim: int) -> None:
        super().__init__()
        widths = [base_dim * m for m in (1, *STAGES)]
        self.conv1 = causal_conv3d(ops, 3, widths[0], (3, 3, 3))
        layers: list[nn.Module] = []
        for stage, (dim, dim_out) in enumerate(itertools.pairwise(widths)):
            layers += [ResidualBlock(ops, dim, dim_out), ResidualBlock(ops, dim_out, dim_out)]
            if stage < len(STAGES) - 1:
                layers.append(Downsample(ops, dim_out, time=stage > 0))
        self.downsamples = nn.ModuleList(layers)
        self.large = next(i for i, layer in enumerate(layers) if getattr(layer, "time_conv", None) is not None)
        dim = widths[-1]
        self.middle = nn.ModuleList(
            [ResidualBlock(ops, dim, dim), SpatialAttention(ops, dim), ResidualBlock(ops, dim, dim)]
        )
        self.head = nn.ModuleDict({"0": RMSNorm(dim, 3), "2": causal_conv3d(ops, dim, 2 * LATENT_CHANNELS, (3, 3, 3))})

    def forward(self, x: Tensor, history: History) -> Tensor:
        x = history.by_few_frames(self._large, x)
        for layer in (*self.downsamples[self.large :], *self.middle):
            x = layer(x, history)
        return convolve(self.head["2"], x, history, self.head["0"])

    def _large(self, x: Tensor, history: History) -> Tensor:
        x = convolve(self.conv1, x, history)
        for layer in self.downsamples[: self.large]:
            x = layer(x, history)
        return x


class Decoder(nn.Module):
    """Latents to pixels: 1 latent frame, or several; only the first layers see more than one at a time."""

    def __init__(self, ops: OperationsLike, base_dim: int) -> None:
        super().__init__()
        widths = [base_dim * m for m in (STAGES[-1], *STAGES[::-1])]
        dim = widths[0]
        self.conv1 = causal_conv3d(ops, LATENT_CHANNELS, dim, (3, 3, 3))
        self.middle = nn.ModuleList(
            [ResidualBlock(ops, dim, dim), SpatialAttention(ops, dim), ResidualBlock(ops, dim, dim)]
        )
        layers: list[nn.Module] = []
        for stage, dim_out in enumerate(widths[1:]):
            layers += [
                ResidualBlock(ops, dim, dim_out),
                ResidualBlock(ops, dim_out, dim_out),
                ResidualBlock(ops, dim_out, dim_out),
            ]
            dim = dim_out
            if stage < len(STAGES) - 1:
                layers.append(Upsample(ops, dim, time=stage < 2))
                dim //= 2
        self.upsamples = nn.ModuleList(layers)
        doubled = [i for i, layer in enumerate(layers) if getattr(layer, "time_conv", None) is not None]
        self.small, self.large = min(doubled), 1 + max(doubled)
        self.head = nn.ModuleDict({"0": RMSNorm(dim, 3), "2": causal_conv3d(ops, dim, 3, (3, 3, 3))})

    def forward(self, x: Tensor, history: History) -> Tensor:
        x = convolve(self.conv1, x, history)
        for layer in (*self.middle, *self.upsamples[: self.small]):
            x = layer(x, history)
        # from the first doubling of time on, the first latent of a clip has fewer frames than those after it
        return history.in_turn(self._from_doubling, x, 1) if x.shape[2] > 1 else self._from_doubling(x, history)

    def _from_doubling(self, x: Tensor, history: History) -> Tensor:
        for layer in self.upsamples[self.small : self.large]:
            x = layer(x, history)
        return history.by_few_frames(self._large, x)

    def _large(self, x: Tensor, history: History) -> Tensor:
        for layer in self.upsamples[self.large :]:
            x = layer(x, history)
        return convolve(self.head["2"], x, history, self.head["0"])


class WanVAE(nn.Module):
    """The whole VAE. base_dim is 96 in the published file; smaller ones share the shape of the network.

    compute_dtype: dtype of the activations; weights may be stored in another one. The state is kept in the
    smaller of the two.
    """

    encode_at_once = False
    state_device: torch.device | None = None

    def __init__(self, base_dim: int = 96, operations: OperationsLike = Operations) -> None:
        super().__init__()
        self.base_dim = base_dim
        self.compute_dtype = torch.float32
        self.encoder = Encoder(operations, base_dim)
        self.conv1 = operations.Conv3d(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1)
        self.conv2 = operations.Conv3d(LATENT_CHANNELS, LATENT_CHANNELS, 1)
        self.decoder = Decoder(operations, base_dim)

    def encode(self, pixels: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoEncoder.encode."""
        _check_pixels(pixels, state)
        latents: list[Tensor] = []
        history = History(state, self.state_dtype)
        for chunk in _chunks(pixels, state is None):
            history = history.following() if latents else history
            moments = self.conv1(self.encoder(fast_layout(chunk.to(self.compute_dtype)), history))
            latents.append(moments[:, :LATENT_CHANNELS])
        return normalise(torch.cat(latents, dim=2).float()), history.state()

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        pixels: list[Tensor] = []
        history = History(state, self.state_dtype)
        together = latents.shape[2] if trial_is_chosen("latents-together") else 1
        for latent in denormalise(latents.float()).to(self.compute_dtype).split(together, dim=2):
            history = history.following() if pixels else history
            pixels.append(self.decoder(self.conv2(fast_layout(latent)), history))
        return torch.cat(pixels, dim=2), history.state()

    def lay_weights(self, device: torch.device) -> None:
        """Store the weights in the layout that is fastest on `device`, where they are or will be."""
        if wants_channels_last(device):
            lay_channels_last(self)

    @property
    def input_device(self) -> torch.device:
        """See VideoEncoder.input_device."""
        return self.conv1.weight.device

    @property
    def latents_behind(self) -> int:
        """See VideoDecoder.latents_behind: 38."""
        # at the rate of latents: the first convolution, two blocks in the middle, three in the first stage, the
        # doubling of time; then a stage of three blocks and a doubling at twice that rate; then all others and the
        # last one at four times
        quarters = 4 * (1 + 2 * 2 + 3 * 2 + 1) + 2 * (3 * 2 + 1) + (len(STAGES) - 2) * 3 * 2 + 1
        return math.ceil(MEMORY * quarters / 4)

    def decoder_state_elements(self, places: int) -> int:
        """Numbers in the decoder's state for latents of so many places: what its layers keep, each at its own size.

        Counted and not run, which is twenty times quicker and needs no compiler (torch imports one for the meta
        device).
        """
        total, layers = 0, self.decoder
        for layer in (layers.conv1, *layers.middle, *layers.upsamples, layers.head):
            total += sum(MEMORY * conv.in_channels * places for conv in _over_time(layer))
            places *= 4 if isinstance(layer, Upsample) else 1
        return total

    def encoder_state_elements(self, places: int) -> int:
        """Numbers in the encoder's state for frames of so many pixels, counted in the same way."""
        total, layers = 0, self.encoder
        for layer in (layers.conv1, *layers.downsamples, *layers.middle, layers.head):
            places //= 4 if isinstance(layer, Downsample) else 1
            total += sum(
                (1 if conv.stride[0] > 1 else MEMORY) * conv.in_channels * places for conv in _over_time(layer)
            )
        return total

    @property
    def state_dtype(self) -> torch.dtype:
        """The dtype that the state is kept in."""
        stored = self.conv2.weight.dtype
        return stored if stored.itemsize == 2 else self.compute_dtype


def state_shapes(base_dim: int, worlds: int, rows: int, columns: int) -> list[tuple[int, ...]]:
    """The shapes of a decoder's state, for latents of rows x columns: the last frames that each of its convolutions
    over time has seen, in their order."""
    state: list[tuple[int, ...]] = []

    def convolution(channels: int, scale: int) -> None:
        state.append((worlds, channels, MEMORY, rows * scale, columns * scale))

    dim = STAGES[-1] * base_dim
    convolution(LATENT_CHANNELS, 1)
    for _ in range(4):  # two blocks of two
        convolution(dim, 1)
    for stage, multiple in enumerate(STAGES[::-1]):
        scale, dim_out = 2 ** min(stage, len(STAGES) - 1), multiple * base_dim
        for channels in (dim, *[dim_out] * 5):  # three blocks of two
            convolution(channels, scale)
        dim = dim_out
        if stage < 2:
            convolution(dim, scale)
        if stage < len(STAGES) - 1:
            dim //= 2
    convolution(dim, 2 ** (len(STAGES) - 1))
    return state


def _over_time(layer: nn.Module) -> list[nn.Conv3d]:
    return [m for m in layer.modules() if isinstance(m, nn.Conv3d) and m.kernel_size[0] > 1]


def _chunks(pixels: Tensor, first: bool) -> Iterator[Tensor]:
    if first:
        yield pixels[:, :, :1]
        pixels = pixels[:, :, 1:]
    yield from pixels.split(4, dim=2) if pixels.shape[2] else ()


def _check_pixels(pixels: Tensor, state: State | None) -> None:
    frames, height, width = pixels.shape[2:]
    if height % SPATIAL_STRIDE or width % SPATIAL_STRIDE:
        raise ImageError(
            f"A clip of {width}x{height} cannot be encoded; both sides must be multiples of {SPATIAL_STRIDE}."
        )
    if frames < 1 or (frames - (state is None)) % 4:
        raise ImageError(
            f"{frames} frames cannot be encoded; "
            + ("a clip starts with 1 + 4k frames." if state is None else "a clip goes on with 4k frames.")
        )
