"""Worlds as they travel between nodes."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import NamedTuple

import comfy.model_management as memory
import comfy.model_patcher
from torch import Tensor

from ...cache.recent_blocks import RecentBlocks
from ...world import World
from ..models.core_values import HostVae
from ..models.names import tensors_of
from .folders import temporary_path


class LiveWorld(NamedTuple):
    """What travels as MATRIXGAME_WORLD: a world in main memory and the models it goes on with.

    recent: what was made from it without a World Cache. tensors: those of the world, in the open, so that core's cache
    sees how much memory it holds.
    """

    world: World
    model: comfy.model_patcher.ModelPatcher
    vae: HostVae
    recent: RecentBlocks
    tensors: list[Tensor]


def as_live_world(world: World, model: comfy.model_patcher.ModelPatcher, vae: HostVae) -> LiveWorld:
    """A world as it travels between nodes: in main memory, so that an idle graph holds nothing on the device."""
    place = memory.intermediate_device()
    world = world.to(place)
    return LiveWorld(world, model, vae, RecentBlocks(temporary_path(), place), list(tensors_of(world)))
