"""The tiny decoders (TAEHV family): a few convolutions in place of the VAE's decoder, with 25 times fewer operations.

They change pixels, never latents, so a rollout decoded with one is the same rollout. The two published files
have the same keys and shapes and differ in the latents they expect; the loader decides. Parameter names are
those of the published files (measured: golden/taehv, golden/manifest/taehv).
"""

from __future__ import annotations

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...compute.ops import Operations, OperationsLike, lay_channels_last, wants_channels_last
from .base import LATENT_CHANNELS, State, denormalise
from .doubling import double_and_convolve, doubling_conv2d

WIDTHS = (256, 128, 64, 64)
TIME_GROWTH = (1, 2, 2)
BLOCKS = 3  # memory blocks of each stage
LEADING_FRAMES = 3  # the first latent frame stands for one pixel frame; the decoder makes four of it


class MemoryBlock(nn.Module):
    """Three convolutions over a frame and the one before it, beside a shortcut."""

    def __init__(self, ops: OperationsLike, dim: int) -> None:
        super().__init__()
        self.conv = nn.ModuleDict(
            {
                "0": ops.Conv2d(2 * dim, dim, 3, padding=1),
                "2": ops.Conv2d(dim, dim, 3, padding=1),
                "4": ops.Conv2d(dim, dim, 3, padding=1),
            }
        )

    def forward(self, x: Tensor, past: Tensor | None) -> Tensor:
        """x: [B, T, C, H, W]; past: [B, 1, C, H, W], the last frame of the chunk before, None at the start."""
        batch = x.shape[0]
        x, both = x.flatten(0, 1), _beside_the_one_before(x, past)
        h = F.relu(self.conv["0"](both), inplace=True)
        h = F.relu(self.conv["2"](h), inplace=True)
        return F.relu(self.conv["4"](h) + x).unflatten(0, (batch, -1))


def _beside_the_one_before(x: Tensor, past: Tensor | None) -> Tensor:
    """Frames [B, T, C, H, W], each with the frame before it in its channels [BT, 2C, H, W]."""
    batch, frames, channels, height, width = x.shape
    both = torch.empty(
        batch * frames, 2 * channels, height, width, dtype=x.dtype, device=x.device, memory_format=_layout(x)
    )
    frames_of_both = both.unflatten(0, (batch, frames))
    here, before = frames_of_both[:, :, :channels], frames_of_both[:, :, channels:]
    here[:] = x
    before[:, :1] = 0 if past is None else past
    if frames > 1:
        before[:, 1:] = x[:, :-1]
    return both


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if wants_channels_last(x.device) else torch.contiguous_format


class Stage(nn.Module):
    """Three memory blocks, then `growth` times as many frames and twice the size in space."""

    def __init__(self, ops: OperationsLike, dim: int, dim_out: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([MemoryBlock(ops, dim) for _ in range(BLOCKS)])
        self.grow = ops.Conv2d(dim, dim * growth, 1, bias=False)
        self.out = doubling_conv2d(ops, dim, dim_out, bias=False)
        self.growth = growth

    def forward(self, x: Tensor, past: State | None) -> tuple[Tensor, State]:
        memory = []
        for i, block in enumerate(self.blocks):
            memory.append(x[:, -1:].clone())
            x = block(x, None if past is None else past[i])
        batch = x.shape[0]
        y = self.grow(x.flatten(0, 1))  # before the doubling, which would make the same sums four times
        y = double_and_convolve(self.out, _frames_of_channels(y, self.growth))
        return y.unflatten(0, (batch, -1)), tuple(memory)


def _frames_of_channels(x: Tensor, growth: int) -> Tensor:
    """[N, growth C, H, W] -> [growth N, C, H, W]: the frames of one input frame lie in its channels."""
    if not wants_channels_last(x.device):
        return x.unflatten(1, (growth, -1)).flatten(0, 1)
    x = x.permute(0, 2, 3, 1).unflatten(3, (growth, -1))  # stays channels last
    return x.permute(0, 3, 1, 2, 4).flatten(0, 1).permute(0, 3, 1, 2)


class TinyDecoder(nn.Module):
    """The decoder of taew2_1 or lighttaew2_1.

    denormalised: whether the file expects the VAE's own scale (lighttaew2_1) or the generator's (taew2_1).
    """

    state_device: torch.device | None = None

    def __init__(self, denormalised: bool = False, operations: OperationsLike = Operations) -> None:
        super().__init__()
        self.denormalised = denormalised
        self.compute_dtype = torch.float32
        self.conv_in = operations.Conv2d(LATENT_CHANNELS, WIDTHS[0], 3, padding=1)
        self.stages = nn.ModuleList(
            [Stage(operations, WIDTHS[i], WIDTHS[i + 1], growth) for i, growth in enumerate(TIME_GROWTH)]
        )
        self.conv_out = operations.Conv2d(WIDTHS[-1], 3, 3, padding=1)

    def lay_weights(self, device: torch.device) -> None:
        """Store the weights in the layout that is fastest on `device`, where they are or will be."""
        if wants_channels_last(device):
            lay_channels_last(self)

    @property
    def latents_behind(self) -> int:
        """See VideoDecoder.latents_behind: 8."""
        rate, latents = 1, 0.0
        for growth in TIME_GROWTH:  # three memory blocks a stage, one frame back each
            latents += BLOCKS / rate
            rate *= growth
        return math.ceil(latents)

    @staticmethod
    def decoder_state_elements(places: int) -> int:
        """Numbers in the state for latents of so many places: one frame for each memory block, at its own size."""
        return sum(BLOCKS * width * places * 4**stage for stage, width in enumerate(WIDTHS[: len(TIME_GROWTH)]))

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        scaled = denormalise(latents.float()) if self.denormalised else latents
        frames, next_state = self.decode_untrimmed(scaled, state)
        frames = frames[:, LEADING_FRAMES:] if state is None else frames
        return frames.transpose(1, 2) * 2 - 1, next_state

    def decode_untrimmed(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """latents [B, 16, F, h, w] -> frames [B, 4F, 3, 8h, 8w] in about [0, 1], none trimmed, and the state."""
        outputs = []
        for latent in latents.to(self.compute_dtype).split(1, dim=2):  # one at a time: the same sums whatever the chunk
            x = latent.transpose(1, 2)  # [B, 1, C, h, w]
            scaled = (torch.tanh(x.flatten(0, 1) / 3) * 3).contiguous(memory_format=_layout(x))
            x = F.relu(self.conv_in(scaled), inplace=True).unflatten(0, x.shape[:2])
            memories: list[Tensor] = []
            for i, stage in enumerate(self.stages):
                x, memory = stage(x, None if state is None else state[3 * i : 3 * i + 3])
                memories += memory
            state = tuple(memories)
            y = self.conv_out(F.relu(x.flatten(0, 1), inplace=True))
            outputs.append(y.unflatten(0, x.shape[:2]))
        assert state is not None
        return torch.cat(outputs, dim=1), state


def state_shapes(worlds: int, rows: int, columns: int) -> list[tuple[int, ...]]:
    """The shapes of a state, for latents of rows x columns: the last frame that each memory block has seen."""
    widths = WIDTHS[: len(TIME_GROWTH)]
    return [(worlds, 1, width, rows << i, columns << i) for i, width in enumerate(widths) for _ in range(BLOCKS)]


PUBLISHED_NAMES = {
    "conv_in": "decoder.1",
    "conv_out": "decoder.22",
    **{
        f"stages.{stage}.{ours}": f"decoder.{first + theirs}"
        for stage, first in enumerate((3, 9, 15))
        for ours, theirs in (("blocks.0", 0), ("blocks.1", 1), ("blocks.2", 2), ("grow", 4), ("out", 5))
    },
}
"""Our module -> the published one; `grow` carries its weight one level deeper there (`.conv.weight`)."""
