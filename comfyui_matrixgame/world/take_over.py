"""A world goes on with the models at hand: whether it may, under which name, and where its tensors lie."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from ..errors import WorldError
from ..networks.vae.base import State
from .check import fits_caches
from .models import Models, network_id
from .world import World

log = logging.getLogger(__name__)


def take_over_world(models: Models, world: World) -> World:
    """A world that goes on with these models, by their name. Where it comes from a device that computes in another
    dtype the next blocks have other numbers than there, so its own name changes as well.

    Raises WorldError where it cannot go on with them.
    """
    check_fits(models, world)
    models_id = models.id()
    if world.models_id == models_id:
        return world
    log.info("The world comes from a device that computes in another dtype; the last digits of what follows differ.")
    names = tuple(hashlib.sha256(f"{name}/{models_id}".encode()).hexdigest() for name in world.names)
    return replace(world, models_id=models_id, names=names)


def world_on_device(world: World, models: Models) -> World:
    """The world with its tensors where they are worked on; the states of tiles stay in main memory between blocks."""
    here = replace(world, decoder_state=None).to(models.device)
    return replace(here, decoder_state=state_on_device(world.decoder_state, models))


def state_on_device(state: State | None, models: Models) -> State | None:
    """The same for a decoder's state alone."""
    place = models.decoder.state_device or models.device
    return None if state is None else tuple(tensor.to(place) for tensor in state)


def check_fits(models: Models, world: World) -> None:
    """Raise WorldError where a world cannot go on with these models."""
    ours, its = models.variant, world.variant
    if its.numbers != ours.numbers and its.own.numbers == ours.own.numbers:
        raise WorldError(
            f"The world was made with {its.settings}, the generator is loaded with {ours.settings}, "
            f"and going on would not be the same rollout; load it with those of the world, "
            "or start a new world."
        )
    if its.numbers != ours.numbers:
        raise WorldError(
            f"The world is of {its.name}, the generator of {ours.name}; load the generator that "
            "the world was made with, or start a new world."
        )
    if world.models_id != models.id() and world.loras != models.loras:
        raise WorldError(
            f"The world was made with {_with(world.loras)}, and the generator is loaded with {_with(models.loras)}; "
            "load those that the world was made with, or start a new world."
        )
    if world.models_id != models.id() and world.models_id not in models.ids():
        raise WorldError(
            "The world was made with other weights, or weights of another dtype, than the loaded ones, and going on "
            "would not be the same rollout; load what it was made with, or start a new world."
        )
    if world.decoder_state is not None and world.decoder_id != network_id(models.decoder):
        raise WorldError(
            "The world's frames were made with another decoder; load the one it was made with, or start a new world."
        )
    config = models.generator.config
    wanted = models.generator.empty_caches(world.batch, *world.latent_size, torch.device("meta"), models.cache_dtype)
    if (world.caches and not fits_caches(world.caches, wanted)) or world.features.shape[-1] != config.visual_dim:
        raise WorldError(
            "The world's caches or features are not those of the loaded generator; its file is damaged, use another "
            "copy or start a new world."
        )


def _with(loras: Sequence[str]) -> str:
    return f"the {'LoRA' if len(loras) == 1 else 'LoRAs'} {', '.join(loras)}" if loras else "no LoRA"
