"""Wan 2.1's causal 3D VAE, run chunk by chunk with its state outside the module.

A causal convolution over time needs the last two frames it saw before. Those frames are the state: `encode` and
`decode` take it and return the next one, so a clip can be stopped, branched and resumed. Parameter names are
those of the published file (measured: golden/vae, golden/manifest/wan_vae).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...compute.fused import add_into, channel_norm_silu_into, narrow_convolution, triton_for, under_autocast
from ...compute.ops import Operations, OperationsLike, cast, is_wrapped, lay_channels_last, on_cpu, wants_channels_last
from ...compute.trials import chosen
from ...errors import ImageError
from .base import LATENT_CHANNELS, SPATIAL_STRIDE, State, denormalise, normalise
from .doubling import double_and_convolve, doubling_conv2d
from .planes import convolve_in_planes, pays_in_planes

STAGES = (1, 2, 4, 4)  # width of each resolution, in base widths
MEMORY = 2  # frames a causal convolution looks back
AT_ONCE = 2  # large frames that a CPU takes through all layers together


class History:
    """Walks the layers' memories in order: reads what the last chunk left, collects what this one leaves.

    A memory is let go as soon as it was read, so that old and new ones never all lie side by side. On a CPU memories
    that this walk made itself are written over by the next chunk's, and all layers join frames in the same room: new
    pages cost time there (measured on a Xeon: a decode in float32 took 15% less without them).
    """

    def __init__(self, state: Sequence[Tensor] | None, storage: torch.dtype) -> None:
        self._past = deque(state) if state is not None else None
        self._next: list[Tensor] = []
        self._storage = storage
        self._own = False  # whether the memories to be read were made by this walk, and nobody else has them
        self._read: Tensor | None = None  # of those the last one
        self._room: Tensor | None = None

    @property
    def first(self) -> bool:
        """Whether this is the first chunk of a clip."""
        return self._past is None

    def past(self) -> Tensor | None:
        """The memory of the layer at hand, good until `keep` is called; None in the first chunk."""
        past = None if self._past is None else self._past.popleft()
        self._read = past if self._own else None
        return past

    def join(self, like: Tensor) -> Tensor:
        """Room [B, C, 2 + T, H, W] for the next frames, which are of `like`'s shape [B, C, T, H, W] and are to be
        written, with the two before them in front (zeros where the clip begins). Good until the next layer's `join`."""
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
        """What the layer at hand wants to see again in the next chunk; a copy of it is kept."""
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
        """run(x, self), on a CPU two frames at a time: what lies between the layers of the largest frames then needs
        half of the memory. One at a time, in float32, takes a sixth longer; four, as long as two."""
        if x.device.type != "cpu" or self._past is None or torch.is_grad_enabled():
            return run(x, self)
        return self.in_turn(run, x, AT_ONCE)

    def in_turn(self, run: Callable[[Tensor, History], Tensor], x: Tensor, count: int) -> Tensor:
        """run(x, self), so many frames at a time, as chunks that follow each other."""
        part = copy.copy(self)  # the first ones read on where this walk stands
        part._next = []
        frames = []
        for few in x.split(count, dim=2):
            part = part.following() if frames else part
            frames.append(run(few, part))
        self._next += part._next
        self._room = part._room
        return torch.cat(frames, dim=2)


def causal_conv3d(ops: OperationsLike, dim_in: int, dim_out: int, kernel: tuple[int, int, int]) -> nn.Module:
    """A convolution padded in space only: `convolve` puts the frames before in front."""
    conv = ops.Conv3d(dim_in, dim_out, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))
    conv.weights_in_use = ops.weights_in_use
    return conv


def convolve(
    conv: nn.Module, x: Tensor, history: History, norm: nn.Module | None = None, added: Tensor | None = None
) -> Tensor:
    """Apply a causal convolution to the next frames x [B, C, T, H, W]; before the clip there are zeros.

    norm: applied to x before, with SiLU after it. It is done here so that no caller keeps the result alive: at
    full size each such tensor is a third of a gigabyte. added: to the result.
    """
    joined = history.join(x)
    if norm is None:
        joined[:, :, MEMORY:] = x
    elif torch.is_grad_enabled() or under_autocast(x) or is_wrapped(norm):
        joined[:, :, MEMORY:] = F.silu(norm(x))
    else:
        channel_norm_silu_into(joined[:, :, MEMORY:], x, cast(norm.gamma, x))  # type: ignore[arg-type]
    del x
    history.keep(joined[:, :, -MEMORY:])
    if (triton_for(joined) is not None or pays_in_planes(joined, conv)) and not is_wrapped(conv):
        return _convolve_fused(conv, joined, added)
    y = _fast_layout(conv(joined))
    if added is None:
        return y
    return y + added if y.requires_grad else y.add_(added)


def _convolve_fused(conv: Any, joined: Tensor, added: Tensor | None) -> Tensor:
    """The convolution with its bias and what is added in one pass, which cuDNN makes two of."""
    with conv.weights_in_use(conv, joined) as (weight, bias):
        y = narrow_convolution(joined, weight, bias, added)
        if y is None:
            if pays_in_planes(joined, conv):
                y = convolve_in_planes(joined, weight)
            else:
                y = F.conv3d(joined, weight, None, conv.stride, conv.padding)
            y = _fast_layout(y)
            if not add_into(y, bias, added):
                y = y.add_(bias.view(-1, 1, 1, 1))
                y = y if added is None else y.add_(added)
    return y


class RMSNorm(nn.Module):
    """Unit root mean square over channels, times gamma."""

    def __init__(self, dim: int, spatial_dims: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *(1,) * spatial_dims))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1).mul_(cast(self.gamma, x) * x.shape[1] ** 0.5)


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, beside a shortcut."""

    def __init__(self, ops: OperationsLike, dim_in: int, dim_out: int) -> None:
        super().__init__()
        # positions 0, 2, 3, 6 carry weights in the published file; SiLU and dropout had the others
        self.residual = nn.ModuleDict(
            {
                "0": RMSNorm(dim_in, 3),
                "2": causal_conv3d(ops, dim_in, dim_out, (3, 3, 3)),
                "3": RMSNorm(dim_out, 3),
                "6": causal_conv3d(ops, dim_out, dim_out, (3, 3, 3)),
            }
        )
        self.shortcut = ops.Conv3d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()

    def forward(self, x: Tensor, history: History) -> Tensor:
        layers = self.residual
        h = convolve(layers["2"], x, history, layers["0"])
        return convolve(layers["6"], h, history, layers["3"], added=self.shortcut(x))


class SpatialAttention(nn.Module):
    """Single-head self-attention among the places of each frame."""

    def __init__(self, ops: OperationsLike, dim: int) -> None:
        super().__init__()
        self.norm = RMSNorm(dim, 2)
        self.to_qkv = ops.Conv2d(dim, dim * 3, 1)
        self.proj = ops.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, history: History) -> Tensor:
        batch, dim, frames, height, width = x.shape
        y = x.transpose(1, 2).reshape(batch * frames, dim, height, width)
        q, k, v = self.to_qkv(self.norm(y)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)  # [BT, 1, HW, C]
        y = attend_widely(q, k, v).squeeze(1).transpose(1, 2).reshape(batch * frames, dim, height, width)
        return x + self.proj(y).reshape(batch, frames, dim, height, width).transpose(1, 2)


def attend_widely(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention with heads of more than 256, for which torch has no fused kernel: it computes in float32 instead.

    On CUDA in 16 bits two products on tensor cores, with scores in float32, take its place (profiled on an H100: the
    products in float32 took 1.4 ms a block).
    """
    if q.device.type != "cuda" or q.dtype.itemsize != 2 or q.shape[-1] <= 256 or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    try:
        scores = torch.bmm(q, k.transpose(1, 2), out_dtype=torch.float32)  # type: ignore[call-overload]
    except TypeError:  # torch before 2.8
        return F.scaled_dot_product_attention(q, k, v).unsqueeze(1)
    weights = scores.mul_(q.shape[-1] ** -0.5).softmax(dim=-1).to(v.dtype)
    return torch.bmm(weights, v).unsqueeze(1)


class Downsample(nn.Module):
    """Half the size in space and, where `time`, in time: the first frame alone, then two to one."""

    def __init__(self, ops: OperationsLike, dim: int, time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": ops.Conv2d(dim, dim, 3, stride=2)})
        self.time_conv = ops.Conv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        x = per_frame(lambda y: self.resample["1"](F.pad(y, (0, 1, 0, 1))), x)
        if self.time_conv is None:
            return x
        past = history.past()
        y = x if past is None else self.time_conv(torch.cat([past.to(x.dtype), x], dim=2))
        history.keep(x[:, :, -1:])
        return y


class Upsample(nn.Module):
    """Twice the size in space and, where `time`, in time: the first latent frame stays one frame."""

    def __init__(self, ops: OperationsLike, dim: int, time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": doubling_conv2d(ops, dim, dim // 2)})
        self.time_conv = causal_conv3d(ops, dim, dim * 2, (3, 1, 1)) if time else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        if self.time_conv is not None:
            x = self._double_time(self.time_conv, x, history)
        return per_frame(lambda y: double_and_convolve(self.resample["1"], y), x)

    @staticmethod
    def _double_time(time_conv: nn.Module, x: Tensor, history: History) -> Tensor:
        if history.first:  # the first latent frame is not doubled, and later ones see zeros in its place
            history.keep(x.new_zeros(x.shape[0], x.shape[1], MEMORY, *x.shape[3:]))
            return x
        batch, dim, frames, height, width = x.shape
        x = convolve(time_conv, x, history)
        if not wants_channels_last(x.device):
            x = x.reshape(batch, 2, dim, frames, height, width)
            return x.permute(0, 2, 3, 1, 4, 5).reshape(batch, dim, frames * 2, height, width)
        x = x.permute(0, 2, 3, 4, 1).reshape(batch, frames, height, width, 2, dim)  # stays channels last
        return x.permute(0, 1, 4, 2, 3, 5).reshape(batch, frames * 2, height, width, dim).permute(0, 4, 1, 2, 3)


def per_frame(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of images to every frame of x [B, C, T, H, W].

    On a CPU one frame at a time: it is no slower there, and what lies between needs a quarter of the memory.
    """
    if x.device.type == "cpu":
        return _fast_layout(torch.stack([function(frame) for frame in x.unbind(2)], dim=2))
    y = function(x.transpose(1, 2).flatten(0, 1))
    return y.unflatten(0, (x.shape[0], -1)).transpose(1, 2)


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
    """Latents to pixels: 1 latent frame, or several, of which only the first layers see more than one at a time."""

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
        # from the first doubling of time on what comes after the first latent of a clip is another number of frames
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
            moments = self.conv1(self.encoder(_fast_layout(chunk.to(self.compute_dtype)), history))
            latents.append(moments[:, :LATENT_CHANNELS])
        return normalise(torch.cat(latents, dim=2).float()), history.state()

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        pixels: list[Tensor] = []
        history = History(state, self.state_dtype)
        together = latents.shape[2] if chosen("latents-together") else 1
        for latent in denormalise(latents.float()).to(self.compute_dtype).split(together, dim=2):
            history = history.following() if pixels else history
            pixels.append(self.decoder(self.conv2(_fast_layout(latent)), history))
        return torch.cat(pixels, dim=2), history.state()

    def lay_weights(self, device: torch.device) -> None:
        """Store the weights as `device`, on which they are or will be, takes them quickest."""
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
        """What the state is kept in."""
        stored = self.conv2.weight.dtype
        return stored if stored.itemsize == 2 else self.compute_dtype


def _over_time(layer: nn.Module) -> list[nn.Conv3d]:
    return [m for m in layer.modules() if isinstance(m, nn.Conv3d) and m.kernel_size[0] > 1]


def _fast_layout(x: Tensor) -> Tensor:
    """Channels last: 1.3 to 1.5 times faster convolutions on CPUs and on tensor cores."""
    return x.contiguous(memory_format=torch.channels_last_3d)


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
