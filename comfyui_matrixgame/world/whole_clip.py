"""A clip that the foundation model makes at once: many small steps along its flow, from noise to latents."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..compute.devices import computes, computing_on
from ..compute.ops import upload
from ..networks.generator.action_module import ActionInputs
from ..networks.generator.bidirectional import FoundationGenerator
from ..networks.generator.schedule import SHIFT, TABLE_SIZE
from ..networks.vae import VideoEncoder
from ..networks.vae.base import LATENT_CHANNELS
from ..variants import FRAMES_PER_LATENT, LATENTS_PER_BLOCK, Variant
from .block.condition import CONSTANT_FROM, block_condition, encode_start, masked_condition, with_condition
from .block.inputs import block_windows, track_for_variant, with_seeds
from .block.noise import NoiseSource, named_noise
from .models import Models
from .world import World

STEPS = 50


def flow_sigmas(steps: int, shift: float = SHIFT) -> list[float]:
    """The noise levels between `steps` steps, from 1 to 0: evenly apart, and then shifted as the noise table is."""
    even = [1 - i / steps for i in range(steps + 1)]
    return [shift * s / (1 + (shift - 1) * s) for s in even]


def clip_inputs(variant: Variant, track: ActionTrack, blocks: int, device: torch.device) -> ActionInputs:
    """What the network reads of a track, which has a row for each frame; a short one repeats its last. Raises
    WorldError where its inputs are not the variant's."""
    frames = LATENTS_PER_BLOCK * blocks
    rows = track_for_variant(variant, track).padded(FRAMES_PER_LATENT * (frames - 1) + 1)
    return block_windows(None, [rows], device, frames)


def clip_condition(vae: VideoEncoder, image: Tensor, blocks: int) -> Tensor:
    """What the network sees of the picture [1, 3, H, W] that a clip begins with: [1, 20, 3 * blocks, h, w]."""
    frames = LATENTS_PER_BLOCK * blocks
    with computing_on(vae.input_device):
        condition, _ = encode_start(vae, image, min(frames, CONSTANT_FROM + 1))
    return masked_condition(condition, 0, frames)


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
    its last, and a change of its seed is one of that block's part of the noise. on_step: called with each step's number
    before it; what it raises stops all. Raises WorldError where the inputs are not of the world's variant.
    """
    generator, frames = models.generator, LATENTS_PER_BLOCK * blocks
    assert isinstance(generator, FoundationGenerator)
    size, device = world.latent_size, models.device
    inputs = clip_inputs(world.variant, track, blocks, device)
    condition = block_condition(with_condition(world, models.vae, frames), 0, frames)
    caches = generator.empty_caches(1, *size, device, models.cache_dtype)
    clip = generator.prepare_block(0, frames, *size, inputs, caches)
    sigmas = flow_sigmas(steps, world.variant.shift)
    constants = generator.prepare_rollout(world.features, [TABLE_SIZE * sigma for sigma in sigmas[:-1]])
    shape = (LATENT_CHANNELS, LATENTS_PER_BLOCK, *size)
    parts = [noise(seed, block, 0, shape) for block, seed in enumerate(_seeds(world, track, blocks))]
    latents = upload(torch.cat(parts, dim=1).unsqueeze(0), device)
    for step in range(steps):
        on_step(step)
        velocity = generator(latents, condition, step, constants, clip, caches)
        latents = latents + (sigmas[step + 1] - sigmas[step]) * velocity.float()
    return latents


def _seeds(world: World, track: ActionTrack, blocks: int) -> list[int]:
    """The seed of each block's part of the noise."""
    rows = track.padded(rows_of_blocks(blocks))
    parts = (rows.slice(0, rows_of_blocks(block + 1)) for block in range(blocks))
    return [with_seeds(world, [part]).seeds[0] for part in parts]
