"""What a rollout asks of its cache: records of its blocks and of the states between them, by the block's index."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ...world.block.finish import Block
from ...world.models import Models
from ...world.take_over import at_work
from ...world.world import World
from ..blocks import BlockCache
from ..contents import (
    fits_condition,
    fits_frames,
    fits_latents,
    fits_state,
    state_of_record,
    state_record,
    store_block,
    store_condition,
)
from ..keys import BlockKeys
from ..projects import CONDITION, FRAMES, LATENTS, PINNED, SNAPSHOT


class LatentsAreGone(Exception):
    """Latents that were there are damaged; they are gone now."""


class RolloutRecords:
    """The records of one rollout. Blocks are counted over the world's life."""

    def __init__(self, cache: BlockCache, block_keys: BlockKeys, models: Models) -> None:
        self.cache, self.block_keys = cache, block_keys
        self._models = models

    # blocks

    def whole(self, block: int) -> bool:
        """Whether latents and frames of a block are there, as far as that shows without reading them."""
        return self.has_latents(block) and self.cache.has(FRAMES, self.block_keys.frames_key(block))

    def has_latents(self, block: int) -> bool:
        """Whether latents of a block are there, as far as that shows without reading them."""
        return self.cache.has(LATENTS, self.block_keys.latents_key(block))

    def find_latents(self, block: int) -> Tensor | None:
        """Latents [1, 16, 3, h, w]."""
        record = self.cache.get(LATENTS, self.block_keys.latents_key(block), fits_latents(self.block_keys.world))
        return None if record is None else record.tensors["latents"]

    def latents(self, block: int) -> Tensor:
        """Latents [1, 16, 3, h, w]; raises LatentsAreGone."""
        latents = self.find_latents(block)
        if latents is None:
            raise LatentsAreGone
        return latents

    def find_frames(self, block: int) -> Tensor | None:
        """Frames [1, N, H, W, 3]."""
        record = self.cache.get(FRAMES, self.block_keys.frames_key(block), fits_frames(self.block_keys.world, block))
        return None if record is None else record.tensors["frames"]

    def store_block(self, block: Block) -> None:
        """Keep a block whose latents are in main memory."""
        keys = self.block_keys
        store_block(
            self.cache, keys.latents_key(block.index), keys.frames_key(block.index), block.latents, block.frames
        )

    # states

    def has_state(self, block: int) -> bool:
        """Whether the state before a block is there, as far as that shows without reading it."""
        key = self.block_keys.state_key(block)
        return self.cache.has(PINNED, key) or self.cache.has(SNAPSHOT, key)

    def has_pinned_state(self, block: int) -> bool:
        """The same for one that is kept."""
        return self.cache.has(PINNED, self.block_keys.state_key(block))

    def state_on_disk(self, block: int) -> bool:
        """Whether the state before a block outlives this process."""
        key = self.block_keys.state_key(block)
        return self.cache.on_disk(PINNED, key) or self.cache.on_disk(SNAPSHOT, key)

    def find_state(self, block: int) -> World | None:
        """The world before a block."""
        key = self.block_keys.state_key(block)
        fits = fits_state(self.block_keys.world, self._models)
        record = self.cache.get(PINNED, key, fits) or self.cache.get(SNAPSHOT, key, fits)
        if record is None:
            return None
        state = state_of_record(record, self.block_keys.world.variant.sink)
        return self.with_condition(at_work(self.block_keys.world_at(block, *state), self._models))

    def store_state(self, kind: str, world: World, spare: bool = False) -> None:
        """Keep where a world stands. kind: SNAPSHOT or PINNED. spare: as in `BlockCache.put`."""
        self.cache.put(kind, self.block_keys.state_key(world.block), state_record(world), spare)

    # the image

    def with_condition(self, world: World) -> World:
        """`world` with the longest condition that was made for its image."""
        record = self.cache.get(CONDITION, self.block_keys.root, fits_condition(self.block_keys.world))
        if record is not None and record.tensors["condition"].shape[2] > world.condition.shape[2]:
            condition = record.tensors["condition"].to(self._models.device)
            return replace(world, condition=condition, encoder_state=None)
        return world

    def store_condition(self, condition: Tensor) -> None:
        """Keep a condition [1, 16, n, h, w] where it is longer than the one that is kept."""
        store_condition(self.cache, self.block_keys.root, condition)
