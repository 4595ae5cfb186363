"""Small networks on a device, and rollouts with them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.world import Models, World, rollout, start_world

from ..support.networks import random_track, small_image, small_models, thinned


def small_on(
    device: str, tiny: bool = False, name: str = "universal", layers: int | None = None, thin: bool = False
) -> Models:
    """The small models on a device; `layers`: with so many of them, no two equal; thin: with a thinned VAE, whose
    worlds no file can hold."""
    models = small_models(name, tiny)
    generator = copy.deepcopy(models.generator)
    if layers is not None:
        generator.blocks = torch.nn.ModuleList(copy.deepcopy(generator.blocks[0]) for _ in range(layers))
        generator.config = replace(generator.config, layers=layers, action_layers=tuple(range(layers)))
        for i in range(layers):
            generator.get_submodule(f"blocks.{i}.ffn.0").get_parameter("weight").data.mul_(1 + i / 4)
    vae: Any = copy.deepcopy(models.vae).to(device)
    if thin:
        vae = thinned(vae)
    decoder: Any = copy.deepcopy(models.decoder).to(device) if tiny else None
    return Models(generator.to(device), vae, decoder)


def begin(models: Models, size: tuple[int, int] = (16, 16), seed: int | Sequence[int] = 0) -> World:
    features = torch.zeros(1, 257, models.generator.config.visual_dim)
    return start_world(models, small_image(*size), seed, features=features)


def track_of(models: Models, blocks: int, first: int = 0, name: str = "track") -> ActionTrack:
    """Inputs that change on every row."""
    return random_track(models.variant, rows_of_blocks(first + blocks), name).slice(
        rows_of_blocks(first) if first else 0
    )


def made(models: Models, world: World, blocks: int, track: ActionTrack | None = None) -> tuple[Tensor, Tensor]:
    """Frames [B, N, H, W, 3] and latents [B, 16, 3n, h, w] of some blocks, in main memory."""
    run = rollout(models, world, track_of(models, blocks) if track is None else track, blocks)
    found = [(block.frames.clone(), block.latents.cpu()) for block in run]
    return torch.cat([frames for frames, _ in found], 1), torch.cat([latents for _, latents in found], 2)
