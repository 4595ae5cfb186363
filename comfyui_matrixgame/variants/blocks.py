"""Counts and indices of a rollout's rows, frames, latent frames and blocks."""

from __future__ import annotations

FPS = 25
MOST_BLOCKS = 100_000  # in one requested length: 13 hours
FRAMES_PER_LATENT = 4
LATENTS_PER_BLOCK = 3
FRAMES_PER_BLOCK = FRAMES_PER_LATENT * LATENTS_PER_BLOCK  # 12; the first block has 9


def frames_of_blocks(blocks: int) -> int:
    """Pixel frames of the first `blocks` blocks of a rollout: 9, then 12 more for each."""
    return FRAMES_PER_BLOCK * blocks - 3 if blocks > 0 else 0


def blocks_of_frames(frames: int) -> int:
    """Whole blocks that the first `frames` pixel frames of a rollout fill."""
    return (frames + 3) // FRAMES_PER_BLOCK


def first_input_of_block(block: int) -> int:
    """The first input row that block `block` is the first to read: 0, 8, 20, 32, ... (= 12 k - 4)."""
    return max(0, FRAMES_PER_BLOCK * block - FRAMES_PER_LATENT)


def block_of_input(t: int) -> int:
    """The first block that input row `t` can change."""
    return 0 if t == 0 else (t // FRAMES_PER_LATENT + 1) // LATENTS_PER_BLOCK
