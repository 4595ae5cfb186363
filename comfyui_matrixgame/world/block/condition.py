"""The condition: the encoded start image followed by encoded zeros, made only as far as a rollout has come.

From latent frame 29 on it is constant and the same for every image (measured: golden/vae, `condition`), so 30
latent frames are the most that are ever encoded, and the last one stands for all that follow.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...networks.vae import VideoEncoder
from ...variants import FRAMES_PER_LATENT
from ..world import World

CONSTANT_FROM = 29
MASK_CHANNELS = 4


def encode_start(vae: VideoEncoder, image: Tensor, latents: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The condition's first `latents` latent frames for image [B, 3, H, W], and the encoder's state."""
    device = vae.input_device
    frames = image.new_zeros(image.shape[0], 3, 1 + FRAMES_PER_LATENT * (latents - 1), *image.shape[2:], device=device)
    frames[:, :, 0] = image
    return vae.encode(frames)


def with_condition(world: World, vae: VideoEncoder, latents: int) -> World:
    """The world with its condition made up to `latents` latent frames, or to where it becomes constant."""
    wanted = min(latents, CONSTANT_FROM + 1)
    have = world.condition.shape[2]
    if have >= wanted:
        return world
    if world.encoder_state is None:  # it came from a file: from the start again, with the same chunks
        condition, state = encode_start(vae, world.image, wanted)
    else:
        zeros = world.image.new_zeros(world.batch, 3, FRAMES_PER_LATENT, *world.size, device=world.condition.device)
        state, parts = world.encoder_state, [world.condition]
        for _ in range(wanted - have):
            latent, state = vae.encode(zeros, state)
            parts.append(latent)
        condition = torch.cat(parts, dim=2)
    return replace(world, condition=condition, encoder_state=None if wanted > CONSTANT_FROM else state)


def whole_condition(world: World, vae: VideoEncoder) -> World:
    """The world with all of its condition where the VAE's encoder is to leave the device (vae/low_memory.py)."""
    return with_condition(world, vae, CONSTANT_FROM + 1) if vae.encode_at_once else world


def block_condition(world: World, first_frame: int, frames: int) -> Tensor:
    """What the network sees of the start image for a block: [B, 20, F, h, w], 4 mask channels in front."""
    return masked_condition(world.condition, first_frame, frames)


def masked_condition(condition: Tensor, first_frame: int, frames: int) -> Tensor:
    """Some latent frames of a condition [B, 16, n, h, w], which ends with what stands for all that follow, with the
    mask in front: [B, 20, F, h, w]. The mask is 1 on latent frame 0 and else 0."""
    encoded = condition[:, :, first_frame : first_frame + frames]
    missing = frames - encoded.shape[2]
    if missing:  # a list of indices would have to be copied to the device, and waited for
        last = condition[:, :, -1:].expand(-1, -1, missing, -1, -1)
        encoded = torch.cat([encoded, last], dim=2)
    mask = encoded.new_zeros(len(encoded), MASK_CHANNELS, *encoded.shape[2:])
    if first_frame == 0:
        mask[:, :, 0] = 1
    return torch.cat([mask, encoded], dim=1)
