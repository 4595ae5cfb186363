"""A rollout with a cache: stored blocks are read, all others are made and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from ..actions.track import ActionTrack, blocks_of_rows
from ..compute.devices import computes_with_its_models, computing_on
from ..errors import WorldError
from ..networks.vae.base import State, pixels_to_frames
from ..world.block.finish import Block
from ..world.block.inputs import tracks_for
from ..world.block.passes import OnPass
from ..world.models import Models
from ..world.recent import RecentBlock, blocks_to_change
from ..world.take_over import take_over_world
from ..world.world import World
from .keys import BlockKeys
from .projects import PINNED, SNAPSHOT
from .rollout.making import Maker
from .rollout.progress import DECODED, MADE, MAKING, REUSED, Counts, OnBlock, Progress
from .rollout.records import RolloutRecords


class Keeper(Protocol):
    """What blocks that were made are kept in: a cache, or what holds them while their world lives."""

    def records_of(self, block_keys: BlockKeys, models: Models) -> RolloutRecords:
        """The records of one rollout, which begins."""
        ...


class CachedRollout:
    """An iterator over the blocks of a rollout, as `Rollout` is. Use it as a context manager: what the next run will
    want to go on from is stored when it is closed.

    pins: blocks (of the world's life) before which the state is stored and kept. on_pass: as in `rollout`; also
    called before each clean pass. wake: called once, before anything is computed.
    counts: what was done so far. Raises what `rollout` raises, and WorldError for a batch.
    """

    def __init__(
        self,
        models: Models,
        world: World,
        track: ActionTrack,
        blocks: int | None,
        cache: Keeper,
        *,
        pins: Sequence[int] = (),
        on_pass: OnPass | None = None,
        on_block: OnBlock | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        self.blocks = blocks_of_rows(len(track), world.block) if blocks is None else blocks
        if self.blocks < 1:
            raise WorldError("A rollout of zero blocks makes nothing; ask for at least one.")
        track = tracks_for(world, track)[0]
        world = take_over_world(models, world)
        self.models = models
        self.block_keys = BlockKeys(models, world, track, self.blocks)
        self.counts = Counts()
        self._progress = Progress(self.blocks, world.variant.passes, on_pass, on_block, wake)
        self._records = cache.records_of(self.block_keys, models)
        self._maker = Maker(models, self._records, self._progress, self.counts)
        self._pins = {pin for pin in pins if self.block_keys.first < pin <= self.block_keys.last}
        self._decoder: tuple[int, State | None] | None = None  # before a block, while blocks are only decoded

    @property
    def done(self) -> int:
        """Blocks that are finished."""
        return self._progress.done

    @property
    def next_block(self) -> int:
        """The block that comes next."""
        return self.block_keys.first + self.done

    def skip_to(self, block: int) -> None:
        """Pass over the blocks before `block`: they are neither read nor made unless a later one, or a pin between
        them, needs them."""
        begun, progress = self.next_block, self._progress
        self.counts.reused += max(0, block - begun)
        with computing_on(self.models.device):
            for pin in sorted(pin for pin in self._pins if begun < pin <= block):
                progress.done = pin - self.block_keys.first
                self._pin(pin)
        progress.done = max(progress.done, block - self.block_keys.first)

    def last_frame(self, block: int) -> Tensor | None:
        """The last frame [H, W, 3] of a block, where it is stored."""
        frames = self._records.find_frames(block)
        return None if frames is None else frames[0, -1]

    def stored(self, block: int) -> bool:
        """Whether nothing need be computed for a block."""
        return self._records.has_latents(block) and self._records.has_frames(block)

    def due(self, block: int) -> str:
        """What will become of a block: REUSED, DECODED or MADE."""
        if not self._records.has_latents(block):
            return MADE
        return REUSED if self._records.has_frames(block) else DECODED

    def resumable(self, block: int) -> bool:
        """Whether the state before a block is stored."""
        return block == self.block_keys.first or self._records.has_state(block)

    @property
    def world(self) -> World:
        """The world before the next block. Where its state is not stored it is made from the latents."""
        return self._with_recent(self._state())

    def _state(self) -> World:
        """The same, and of its recent blocks only those that it has at hand."""
        run = self._maker.run
        if run is not None and run.block == self.next_block:
            return run.world
        with computing_on(self.models.device):
            return self._maker.world_at(self.next_block)

    def _with_recent(self, world: World) -> World:
        """A world with its recent blocks, as many as are stored of those that a change needs."""
        keys, before = self.block_keys, self.block_keys.world.recent
        wanted = min(blocks_to_change(self.models.decoder), world.block)
        if len(world.recent) >= wanted:
            return world
        found: list[RecentBlock] = []
        for index in range(world.block - 1, world.block - wanted - 1, -1):
            if index < keys.first:
                found += before[::-1][: wanted - len(found)]
                break
            latents = self._records.find_latents(index)
            if latents is None:
                break
            found.append(RecentBlock(latents, tuple(keys.rows(index))))
        return replace(world, recent=tuple(found[::-1]))

    def __iter__(self) -> Iterator[Block]:
        return self

    @computes_with_its_models
    def __next__(self) -> Block:
        if self.done == self.blocks:
            self.close()
            raise StopIteration
        index = self.next_block
        block = self._reuse(index) or self._decode(index) or self._make_block(index)
        self._progress.done += 1
        if self.next_block in self._pins:
            self._pin(self.next_block)
        return block

    def close(self) -> None:
        """Store where the next run will want to go on from."""
        run = self._maker.run
        if run is not None and run.done:
            self._records.store_condition(run.condition)
            if not self._records.outlives(run.block):
                self._records.store_state(SNAPSHOT, run.world)

    def rest(self, place: torch.device) -> World:
        """The world before the next block, on `place`; what is stored there to go on from is no second copy of it."""
        run, index = self._maker.run, self.next_block
        if run is None or run.block != index:
            found = self._records.find_state(index)
            return (self.world if found is None else self._with_recent(self._records.with_condition(found))).to(place)
        world = self._with_recent(run.world).to(place)
        if run.done and not self._records.outlives(index):
            self._records.store_state(SNAPSHOT, world)
        return world

    def __enter__(self) -> CachedRollout:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reuse(self, index: int) -> Block | None:
        latents = self._records.find_latents(index)
        frames = None if latents is None else self._records.find_frames(index)
        if latents is None or frames is None:
            return None
        self.counts.reused += 1
        self._progress.tell(index, REUSED)
        return self._block(index, frames, latents)

    def _decode(self, index: int) -> Block | None:
        latents = self._records.find_latents(index)
        if latents is None:
            return None
        self._progress.awake()
        if self._decoder is None or self._decoder[0] != index:
            self._decoder = (index, self._maker.decoder_at(index))
        self._progress.step(self._progress.passes - 1)
        pixels, state = self.models.decoder.decode(latents.to(self.models.device), self._decoder[1])
        self._decoder = (index + 1, state)
        self.counts.decoded += 1
        block = self._block(index, pixels_to_frames(pixels).cpu(), latents)
        self._records.store_block(block)
        self._progress.tell(index, DECODED)
        return block

    def _make_block(self, index: int) -> Block:
        self._progress.tell(index, MAKING)
        self._decoder = None
        self._go_to(index)
        block = self._maker.make()
        self._progress.tell(index, MADE)
        self._store_spare()
        return block

    def _go_to(self, index: int) -> None:
        run = self._maker.run
        if run is not None and run.block == index:
            return
        world = self._maker.world_at(index)
        if self._records.wants_edited(index):
            self._records.store_state(SNAPSHOT, world)
        self._maker.begin(world)

    def _store_spare(self) -> None:
        """Keep where the run stands, now and then and while there is room."""
        run = self._maker.run
        assert run is not None
        if self._records.wants_spare(run.block, run.state_bytes):
            self._records.store_state(SNAPSHOT, run.world, spare=True)

    def _block(self, index: int, frames: Tensor, latents: Tensor) -> Block:
        return Block(index, frames, latents, (self.block_keys.names[index - self.block_keys.first + 1],))

    def _pin(self, block: int) -> None:
        if not self._records.has_pinned_state(block):
            self._records.store_state(PINNED, self._state())
