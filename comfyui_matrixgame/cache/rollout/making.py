"""What a rollout with a cache makes: blocks, and the worlds before them, from the nearest state that is at hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from ...networks.vae.base import State
from ...world.block.finish import Block
from ...world.models import Models
from ...world.recent import decoder_blocks
from ...world.rollout import Rollout, rollout
from ...world.take_over import state_on_device, world_on_device
from ...world.world import World
from .progress import Counts, Progress
from .records import RolloutRecords
from .replay import replay_context, replay_decoder, replayed_blocks


class LatentsAreGone(Exception):
    """Latents that were there are damaged; they are gone now."""


class Maker:
    """Makes blocks and states, and counts what it did.

    run: one that stands before the next block to be made, where one has been begun.
    """

    def __init__(self, models: Models, records: RolloutRecords, progress: Progress, counts: Counts) -> None:
        self.run: Rollout | None = None
        self._models, self._records, self._progress, self._counts = models, records, progress, counts

    def begin(self, world: World) -> None:
        """Have `run` go on from a world."""
        self._progress.awake()
        self.run = None  # so that the next one may have its rings
        keys, step = self._records.block_keys, self._progress.step
        rows, count = keys.rest(world.block), keys.last - world.block
        self.run = rollout(self._models, world, rows, count, on_pass=lambda at: step(at.step))

    def make(self) -> Block:
        """The next block of `run`, stored."""
        assert self.run is not None
        block = next(self.run)
        block = replace(block, latents=block.latents.cpu())
        self._counts.made += 1
        self._records.store_block(block)
        return block

    def world_at(self, index: int) -> World:
        """The world before a block; where latents are gone, they are made again."""
        while True:
            start = self._nearest(index)
            if start.block == index:
                return start
            of_sink, last = replayed_blocks(self._models.generator, start.block, index)
            needed = {*of_sink, *last, *range(self._decoder_begin(start, index), index)}
            if self._hole(needed) is not None:
                needed = set(range(start.block, index))
            hole = self._hole(needed)
            if hole is not None:
                self._fill(hole, index)
                continue
            try:
                return self._replay(start, index)
            except LatentsAreGone:
                continue

    def decoder_at(self, index: int) -> State | None:
        """The decoder's state before a block, from the stored latents before it."""
        start = self._nearest(index)
        if self._hole(range(self._decoder_begin(start, index), index)) is None:
            try:
                return self._decoder_from(start, index)
            except LatentsAreGone:
                pass
        return self.world_at(index).decoder_state

    def _nearest(self, index: int) -> World:
        """The last world at or before a block whose state is at hand."""
        keys = self._records.block_keys
        run = self.run if self.run is not None and self.run.block <= index else None
        for block in range(index, keys.first if run is None else run.block, -1):
            world = self._records.find_state(block)
            if world is not None:
                return self._records.with_condition(world_on_device(world, self._models))
        return self._records.with_condition(world_on_device(keys.world, self._models)) if run is None else run.world

    def _hole(self, blocks: Iterable[int]) -> int | None:
        """The first of some blocks whose latents are not stored."""
        return next((block for block in sorted(blocks) if not self._records.has_latents(block)), None)

    def _fill(self, hole: int, until: int) -> None:
        """Make blocks whose latents are gone, from `hole` to the next that is there."""
        self.run = None
        self.begin(self.world_at(hole))
        assert self.run is not None
        while self.run.block < until and not self._records.has_latents(self.run.block):
            self.make()

    def _replay(self, start: World, index: int) -> World:
        self._progress.awake()
        models, records, keys = self._models, self._records, self._records.block_keys
        of_sink, last = replayed_blocks(models.generator, start.block, index)
        skips = last.start > of_sink.stop
        caches = [layer.copy() for layer in start.caches] if start.variant.sink or not skips else []
        world = replace(start, caches=caches)
        for blocks in (of_sink, last):
            if blocks is last and skips:  # of what is between nothing is seen any more
                world = records.with_condition(keys.world_at(last.start, world.caches, None))
            begin = world_on_device(world, models)
            world = replay_context(models, begin, self._latents, keys.rows, blocks.stop, self._count_replay)
        state = self._decoder_from(start, index)
        return replace(world, names=(keys.names[index - keys.first],), decoder_state=state)

    def _decoder_from(self, start: World, index: int) -> State | None:
        begin = self._decoder_begin(start, index)
        state = state_on_device(start.decoder_state, self._models) if begin == start.block else None
        blocks = range(begin, index)
        return replay_decoder(self._models, state, self._latents, blocks, lambda: self._progress.step(0))

    def _decoder_begin(self, start: World, index: int) -> int:
        return max(start.block, index - decoder_blocks(self._models.decoder))

    def _latents(self, block: int) -> Tensor:
        latents = self._records.find_latents(block)
        if latents is None:
            raise LatentsAreGone
        return latents

    def _count_replay(self) -> None:
        self._counts.replayed += 1
        self._progress.step(0)
