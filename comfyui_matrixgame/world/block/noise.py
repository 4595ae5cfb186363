"""Noise with names: the noise of (seed, block, step) comes from a generator of its own, on the CPU.

So a longer rollout begins like a shorter one, a block can be made again alone, and every device starts from the
same noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from ...networks.vae.base import LATENT_CHANNELS
from ...variants import LATENTS_PER_BLOCK
from ..world import World

NoiseSource = Callable[[int, int, int, tuple[int, ...]], Tensor]
"""(seed, block, step, shape [16, 3, h, w]) -> float32 on the CPU. Step 0 is the start, step i the renoise before
pass i."""


def named_noise(seed: int, block: int, step: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise of this name."""
    digest = hashlib.sha256(f"matrixgame/{seed}/{block}/{step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(shape, generator=generator)


def noise_of_block(source: NoiseSource, world: World) -> Tensor:
    """The noise of all steps of the world's next block, [steps, B, 16, 3, h, w], in main memory."""
    shape = (LATENT_CHANNELS, LATENTS_PER_BLOCK, *world.latent_size)
    steps = range(len(world.variant.steps))
    return torch.stack(
        [torch.stack([source(seed, world.block, step, shape) for seed in world.seeds]) for step in steps]
    )
