"""What a rollout asks of its cache: records of its blocks and of the states between them, by the block's index."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from torch import Tensor

from ...world.block.finish import Block
from ...world.models import Models
from ...world.world import World
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
from ..records import RecordStore

SPARE_EVERY = 4  # blocks between the snapshots on the way, which are kept only while there is memory for them
SMALL = 1 / 64  # of the memory budget: a snapshot that takes less is kept at every block


class RolloutRecords(Protocol):
    """The records of one rollout, wherever they are kept. Blocks are counted over the world's life."""

    block_keys: BlockKeys

    # blocks

    def has_latents(self, block: int) -> bool:
        """Whether latents of a block are there, as far as that shows without reading them."""
        ...

    def has_frames(self, block: int) -> bool:
        """The same for its frames."""
        ...

    def find_latents(self, block: int) -> Tensor | None:
        """Latents [1, 16, 3, h, w]."""
        ...

    def find_frames(self, block: int) -> Tensor | None:
        """Frames [1, N, H, W, 3]."""
        ...

    def store_block(self, block: Block) -> None:
        """Keep a block whose latents are in main memory."""
        ...

    # states

    def has_state(self, block: int) -> bool:
        """Whether the state before a block is there, as far as that shows without reading it."""
        ...

    def has_pinned_state(self, block: int) -> bool:
        """The same for one that is kept."""
        ...

    def outlives(self, block: int) -> bool:
        """Whether the state before a block is there for good: it need not be stored again."""
        ...

    def find_state(self, block: int) -> World | None:
        """The world before a block, where it lies."""
        ...

    def store_state(self, kind: str, world: World, spare: bool = False) -> None:
        """Keep where a world stands. kind: SNAPSHOT or PINNED. spare: only in memory, and the first to go."""
        ...

    def wants_edited(self, block: int) -> bool:
        """Whether the state before a block that is made anew is to be kept: where one edit was, the next often is."""
        ...

    def wants_spare(self, block: int, nbytes: int) -> bool:
        """Whether the state before a block, of so many bytes, is to be kept on the way, for edits to come."""
        ...

    # the image

    def with_condition(self, world: World) -> World:
        """`world` with the longest condition that was made for its image."""
        ...

    def store_condition(self, condition: Tensor) -> None:
        """Keep a condition [1, 16, n, h, w] where it is longer than the one that is kept."""
        ...


class RecordsInCache:
    """RolloutRecords in a cache."""

    def __init__(self, cache: RecordStore, block_keys: BlockKeys, models: Models) -> None:
        self.block_keys = block_keys
        self.cache, self._models = cache, models

    # blocks

    def has_latents(self, block: int) -> bool:
        """See RolloutRecords."""
        return self.cache.has(LATENTS, self.block_keys.latents_key(block))

    def has_frames(self, block: int) -> bool:
        """See RolloutRecords."""
        return self.cache.has(FRAMES, self.block_keys.frames_key(block))

    def find_latents(self, block: int) -> Tensor | None:
        """See RolloutRecords."""
        record = self.cache.get(LATENTS, self.block_keys.latents_key(block), fits_latents(self.block_keys.world))
        return None if record is None else record.tensors["latents"]

    def find_frames(self, block: int) -> Tensor | None:
        """See RolloutRecords."""
        record = self.cache.get(FRAMES, self.block_keys.frames_key(block), fits_frames(self.block_keys.world, block))
        return None if record is None else record.tensors["frames"]

    def store_block(self, block: Block) -> None:
        """See RolloutRecords."""
        keys = self.block_keys
        store_block(
            self.cache, keys.latents_key(block.index), keys.frames_key(block.index), block.latents, block.frames
        )

    # states

    def has_state(self, block: int) -> bool:
        """See RolloutRecords."""
        key = self.block_keys.state_key(block)
        return self.cache.has(PINNED, key) or self.cache.has(SNAPSHOT, key)

    def has_pinned_state(self, block: int) -> bool:
        """See RolloutRecords."""
        return self.cache.has(PINNED, self.block_keys.state_key(block))

    def outlives(self, block: int) -> bool:
        """See RolloutRecords."""
        key = self.block_keys.state_key(block)
        return self.cache.on_disk(PINNED, key) or self.cache.on_disk(SNAPSHOT, key)

    def find_state(self, block: int) -> World | None:
        """See RolloutRecords."""
        key = self.block_keys.state_key(block)
        fits = fits_state(self.block_keys.world, self._models)
        record = self.cache.get(PINNED, key, fits) or self.cache.get(SNAPSHOT, key, fits)
        if record is None:
            return None
        return self.block_keys.world_at(block, *state_of_record(record, self.block_keys.world.variant.sink))

    def store_state(self, kind: str, world: World, spare: bool = False) -> None:
        """See RolloutRecords."""
        self.cache.put(kind, self.block_keys.state_key(world.block), state_record(world), spare)

    def wants_edited(self, block: int) -> bool:
        """See RolloutRecords."""
        return block > self.block_keys.first and not self.outlives(block)

    def wants_spare(self, block: int, nbytes: int) -> bool:
        """See RolloutRecords."""
        every = 1 if nbytes <= SMALL * self.cache.memory_bytes else SPARE_EVERY
        return (block - self.block_keys.first) % every == 0 and self.cache.worth_keeping(nbytes)

    # the image

    def with_condition(self, world: World) -> World:
        """See RolloutRecords."""
        record = self.cache.get(CONDITION, self.block_keys.root, fits_condition(self.block_keys.world))
        if record is not None and record.tensors["condition"].shape[2] > world.condition.shape[2]:
            condition = record.tensors["condition"].to(self._models.device)
            return replace(world, condition=condition, encoder_state=None)
        return world

    def store_condition(self, condition: Tensor) -> None:
        """See RolloutRecords."""
        store_condition(self.cache, self.block_keys.root, condition)
