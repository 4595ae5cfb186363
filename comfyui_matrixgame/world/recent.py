"""The last blocks of a world as latents: what a change of its last frames begins with.

They lie in main memory and are the very tensors that the blocks were handed out with, so a world after a world holds
only one block more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..actions.track import ActionTrack
from ..networks.vae.base import VideoDecoder
from ..variants import LATENTS_PER_BLOCK


@dataclass(frozen=True, eq=False)
class RecentBlock:
    """A block that was made. latents: clean, [B, 16, 3, h, w], float32, in main memory. rows: the inputs that it was
    the first to read, one track per world."""

    latents: Tensor
    rows: tuple[ActionTrack, ...]


Recent = tuple[RecentBlock, ...]
"""The last blocks before a world's next one, oldest first, without a gap."""


def decoder_blocks(decoder: VideoDecoder) -> int:
    """Blocks whose latents decide a decoder's state."""
    return math.ceil(decoder.latents_behind / LATENTS_PER_BLOCK)


def blocks_to_change(decoder: VideoDecoder) -> int:
    """Recent blocks with which the last one can be made anew: itself, and those that decide the decoder's state before
    it."""
    return decoder_blocks(decoder) + 1


def with_block(recent: Recent, latents: Tensor, rows: Sequence[ActionTrack], decoder: VideoDecoder) -> Recent:
    """Recent blocks with one more, which lies in main memory, and no more of them than a change needs."""
    return (*recent, RecentBlock(latents, tuple(rows)))[-blocks_to_change(decoder) :]


def stack_recent(worlds: Sequence[Recent]) -> Recent:
    """Those of worlds that stand before the same block, as those of their batch."""
    count = min(len(recent) for recent in worlds)
    blocks = zip(*(recent[len(recent) - count :] for recent in worlds), strict=True)
    return tuple(
        RecentBlock(torch.cat([block.latents for block in same]), sum((block.rows for block in same), ()))
        for same in blocks
    )


def select_recent(recent: Recent, index: int) -> Recent:
    """Those of one world of a batch."""
    return tuple(RecentBlock(block.latents[index : index + 1].clone(), (block.rows[index],)) for block in recent)
