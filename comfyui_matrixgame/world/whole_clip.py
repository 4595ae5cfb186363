"""A clip that the foundation model makes at once: many small steps along its flow, from noise to latents."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..actions.track import ActionTrack
from ..compute.devices import computes
from ..compute.ops import upload
from ..networks.generator.bidirectional import FoundationGenerator
from ..networks.generator.schedule import SHIFT, TABLE_SIZE
from ..networks.vae.base import LATENT_CHANNELS
from ..variants import FRAMES_PER_LATENT, LATENTS_PER_BLOCK
from .block.condition import block_condition, with_condition
from .block.inputs import block_windows, tracks_for
from .block.noise import NoiseSource, named_noise
from .models import Models
from .world import World

STEPS = 50


def flow_sigmas(steps: int, shift: float = SHIFT) -> list[float]:
    """The noise levels between `steps` steps, from 1 to 0: evenly apart, and then shifted as the noise table is."""
    even = [1 - i / steps for i in range(steps + 1)]
    return [shift * s / (1 + (shift - 1) * s) for s in even]


@computes
def sample_clip(
    models: Models,
    world: World,
    track: ActionTrack,
    blocks: int,
    steps: int = STEPS,
    *,
    noise: NoiseSource = named_noise,
    on_step: Callable[[int], object] = lambda _: None,
) -> Tensor:
    """Latents [1, 16, 3 * blocks, h, w] of a clip that begins with a world's picture, by Euler's method.

    models: of a FoundationGenerator. world: before its first block. track: a row for each frame; a short one repeats
    its last. on_step: called with each step's number before it; what it raises stops all. Raises WorldError where the
    inputs are not of the world's variant.
    """
    generator, frames = models.generator, LATENTS_PER_BLOCK * blocks
    assert isinstance(generator, FoundationGenerator)
    (inputs,) = tracks_for(world, track)
    rows = inputs.padded(FRAMES_PER_LATENT * (frames - 1) + 1)
    world = with_condition(world, models.vae, frames)
    condition = block_condition(world, 0, frames)
    size, device = world.latent_size, models.device
    caches = generator.empty_caches(1, *size, device, models.cache_dtype)
    clip = generator.prepare_block(0, frames, *size, block_windows(None, [rows], device, frames), caches)
    sigmas = flow_sigmas(steps, world.variant.shift)
    constants = generator.prepare_rollout(world.features, [TABLE_SIZE * sigma for sigma in sigmas[:-1]])
    shape = (LATENT_CHANNELS, LATENTS_PER_BLOCK, *size)
    parts = [noise(world.seeds[0], block, 0, shape) for block in range(blocks)]
    latents = upload(torch.cat(parts, dim=1).unsqueeze(0), device)
    for step in range(steps):
        on_step(step)
        velocity = generator(latents, condition, step, constants, clip, caches)
        latents = latents + (sigmas[step + 1] - sigmas[step]) * velocity.float()
    return latents
