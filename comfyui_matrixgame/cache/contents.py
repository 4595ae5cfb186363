"""What the records of a cache hold: latents, frames, conditions and states, each with how it is made, whether one fits,
and how it is read. One that does not fit is made again, not met in a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.generator.kv_cache import Caches
from ..networks.vae.base import LATENT_CHANNELS, State
from ..variants import LATENTS_PER_BLOCK, SAME_VIEW, frames_of_blocks
from ..world.block.condition import CONSTANT_FROM
from ..world.check import VIEWS, NoWorld, check_decoder, fits_caches, views_shape
from ..world.files import caches_of_tensors, state_tensors
from ..world.models import Models
from ..world.world import World
from .projects import CONDITION, FRAMES, LATENTS
from .records import Fits, Record, RecordStore


def store_block(cache: RecordStore, latents_key: str, frames_key: str, latents: Tensor, frames: Tensor) -> None:
    """Keep a finished block: latents [1, 16, 3, h, w], frames [1, N, H, W, 3], both in main memory."""
    cache.put(LATENTS, latents_key, Record({"latents": latents}))
    cache.put(FRAMES, frames_key, Record({"frames": _pageable(frames)}))


def fits_latents(world: World) -> Fits:
    """Whether a record has a block's latents [1, 16, 3, h, w] of a world of this size."""
    return lambda record: _has(record, "latents", (1, LATENT_CHANNELS, LATENTS_PER_BLOCK, *world.latent_size))


def fits_frames(world: World, block: int) -> Fits:
    """Whether a record has the frames [1, N, H, W, 3] of a block of a world's life."""
    count = frames_of_blocks(block + 1) - frames_of_blocks(block)
    return lambda record: _has(record, "frames", (1, count, *world.size, 3), torch.uint8)


def store_condition(cache: RecordStore, key: str, condition: Tensor) -> None:
    """Keep the condition of an image where it is longer than the one that is kept."""
    stored = cache.get(CONDITION, key, lambda record: _same_but_length(record.tensors.get("condition"), condition))
    if stored is None or stored.tensors["condition"].shape[2] < condition.shape[2]:
        cache.drop(CONDITION, key)
        cache.put(CONDITION, key, Record({"condition": condition.cpu()}))


def fits_condition(world: World) -> Fits:
    """Whether a record has the condition [1, 16, n, h, w] of a world's image."""

    def fits(record: Record) -> bool:
        tensor = record.tensors.get("condition")
        if tensor is None or tensor.ndim != 5 or not 0 < tensor.shape[2] <= CONSTANT_FROM + 1:
            return False
        return _has(record, "condition", (1, LATENT_CHANNELS, tensor.shape[2], *world.latent_size))

    return fits


def state_record(world: World) -> Record:
    """What a world has to go on with, beside what its image and names say."""
    state = state_tensors(world.caches, world.decoder_state, world.views)
    tensors = {name: _pageable(tensor.cpu()) for name, tensor in state.items()}
    return Record(tensors, {"block": world.block, "tokens": world.caches[0].video.tokens})


def state_of_record(record: Record, sink: int) -> tuple[Caches, State | None, Tensor | None]:
    """Caches, the decoder's state and views of a record that fits; sink: of the variant."""
    return *caches_of_tensors(record.tensors, record.note["tokens"], sink), record.tensors.get(VIEWS)


def fits_state(world: World, models: Models) -> Fits:
    """Whether a record has what a world of this size goes on with."""

    def fits(record: Record) -> bool:
        rows, columns = world.latent_size
        wanted_views = views_shape(world.variant, 1, rows, columns) if world.variant.keeps == SAME_VIEW else None
        wanted: Caches = models.generator.empty_caches(1, rows, columns, torch.device("meta"), models.cache_dtype)
        tokens = wanted[0].video.tokens
        try:
            if record.note.get("tokens") != tokens:
                return False
            caches, _ = caches_of_tensors(record.tensors, tokens, world.variant.sink)
            check_decoder({name: tuple(tensor.shape) for name, tensor in record.tensors.items()}, 1, rows, columns)
        except (NoWorld, KeyError, ValueError, IndexError):
            return False
        rings = sum(2 * len(layer.rings()) for layer in caches)
        decoder = sum(name.startswith("decoder.") for name in record.tensors)
        views = record.tensors.get(VIEWS)
        if len(record.tensors) != rings + decoder + (views is not None):  # others, which nobody looks at
            return False
        if (None if views is None else tuple(views.shape)) != wanted_views:
            return False
        return fits_caches(caches, wanted) and all(t.is_floating_point() for t in record.tensors.values())

    return fits


def _has(record: Record, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> bool:
    tensor = record.tensors.get(name)
    if tensor is None or tuple(tensor.shape) != shape or len(record.tensors) != 1:
        return False
    return tensor.is_floating_point() if dtype is None else tensor.dtype == dtype


def _same_but_length(stored: Tensor | None, condition: Tensor) -> bool:
    return stored is not None and (*stored.shape[:2], *stored.shape[3:]) == (*condition.shape[:2], *condition.shape[3:])


def _pageable(tensor: Tensor) -> Tensor:
    """A tensor of main memory that is to stay there: not in page-locked memory, of which a system has little."""
    return tensor.clone() if tensor.is_pinned() else tensor
