"""Whether a record of the cache holds what a rollout looks for in it: a wrong one is made again, not met in a layer."""

from __future__ import annotations

import torch

from ..networks.generator.kv_cache import Caches
from ..networks.vae.base import LATENT_CHANNELS
from ..variants import LATENTS_PER_BLOCK, frames_of_blocks
from ..world.block.condition import CONSTANT_FROM
from ..world.check import NoWorld, check_decoder, fits_caches
from ..world.files import state_of_tensors
from ..world.models import Models
from ..world.world import World
from .records import Fits, Record


def fits_latents(world: World) -> Fits:
    """Whether a record has a block's latents [1, 16, 3, h, w] of a world of this size."""
    return lambda record: _has(record, "latents", (1, LATENT_CHANNELS, LATENTS_PER_BLOCK, *world.latent_size))


def fits_frames(world: World, block: int) -> Fits:
    """Whether a record has the frames [1, N, H, W, 3] of a block of a world's life."""
    count = frames_of_blocks(block + 1) - frames_of_blocks(block)
    return lambda record: _has(record, "frames", (1, count, *world.size, 3), torch.uint8)


def fits_condition(world: World) -> Fits:
    """Whether a record has the condition [1, 16, n, h, w] of a world's image."""

    def fits(record: Record) -> bool:
        tensor = record.tensors.get("condition")
        if tensor is None or tensor.ndim != 5 or not 0 < tensor.shape[2] <= CONSTANT_FROM + 1:
            return False
        return _has(record, "condition", (1, LATENT_CHANNELS, tensor.shape[2], *world.latent_size))

    return fits


def fits_state(world: World, models: Models) -> Fits:
    """Whether a record has what a world of this size goes on with."""

    def fits(record: Record) -> bool:
        rows, columns = world.latent_size
        wanted: Caches = models.generator.empty_caches(1, rows, columns, torch.device("meta"), models.cache_dtype)
        tokens = wanted[0].video.tokens
        try:
            if record.note.get("tokens") != tokens:
                return False
            caches, _ = state_of_tensors(record.tensors, tokens)
            check_decoder({name: tuple(tensor.shape) for name, tensor in record.tensors.items()}, 1, rows, columns)
        except (NoWorld, KeyError, ValueError, IndexError):
            return False
        rings = sum(2 * len(layer.rings()) for layer in caches)
        decoder = sum(name.startswith("decoder.") for name in record.tensors)
        if len(record.tensors) != rings + decoder:  # others, which nobody looks at
            return False
        return fits_caches(caches, wanted) and all(t.is_floating_point() for t in record.tensors.values())

    return fits


def _has(record: Record, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> bool:
    tensor = record.tensors.get(name)
    if tensor is None or tuple(tensor.shape) != shape or len(record.tensors) != 1:
        return False
    return tensor.is_floating_point() if dtype is None else tensor.dtype == dtype
