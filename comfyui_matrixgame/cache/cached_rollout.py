"""A rollout with a cache: stored blocks are read, all others are made and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from weakref import ref

from torch import Tensor

from ..actions.track import ActionTrack, blocks_of_rows
from ..compute.devices import computes, computing_on
from ..errors import WorldError
from ..networks.vae.base import State, to_uint8
from ..system.words import counted
from ..world.block.finish import Block
from ..world.block.inputs import tracks_for
from ..world.block.passes import OnPass, PassProgress
from ..world.files import state_of_tensors, state_tensors
from ..world.models import Models
from ..world.rollout import Rollout, rollout
from ..world.take_over import at_work, state_at_work, taken_over
from ..world.world import World
from .blocks import CONDITION, FRAMES, LATENTS, PINNED, SNAPSHOT, BlockCache
from .fits import fits_condition, fits_frames, fits_latents, fits_state
from .keys import BlockKeys
from .records import Record
from .replay import context_blocks, decoder_blocks, replay_context, replay_decoder

SPARE_EVERY = 4  # blocks between the snapshots on the way, which are kept only while there is memory for them
SMALL = 1 / 64  # of the memory budget: a snapshot that takes less is kept at every block

REUSED, MADE, DECODED, MAKING = "reused", "made", "decoded", "making"
OnBlock = Callable[[int, str], None]
"""Called with a block's index and what becomes of it: MAKING, then REUSED, DECODED or MADE."""


@dataclass
class Counts:
    """What a rollout did. replayed: clean passes that brought caches to where something had to be made."""

    reused: int = 0
    decoded: int = 0
    made: int = 0
    replayed: int = 0

    def __str__(self) -> str:
        parts = [f"{counted(self.made, 'block')} made", f"{self.reused} reused"]
        parts += [f"{self.decoded} only decoded"] if self.decoded else []
        parts += [f"{self.replayed} replayed"] if self.replayed else []
        return ", ".join(parts)


class _Missing(Exception):
    """Latents that were there are damaged; they are gone now."""


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
        cache: BlockCache,
        *,
        pins: Sequence[int] = (),
        on_pass: OnPass | None = None,
        on_block: OnBlock | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        self.blocks = blocks_of_rows(len(track), world.block) if blocks is None else blocks
        if self.blocks < 1:
            raise WorldError("A rollout of zero blocks makes nothing; ask for at least one.")
        tracks_for(world, track)
        world = taken_over(models, world)
        self.models, self.cache = models, cache
        self.block_keys = BlockKeys(models, world, track, self.blocks)
        self.counts = Counts()
        self.done = 0
        self._on_pass, self._on_block, self._wake = on_pass, on_block, wake
        self._pins = {pin for pin in pins if self.block_keys.first < pin <= self.block_keys.last}
        self._steps = world.variant.passes
        self._run: Rollout | None = None  # one that stands before the next block to be made
        self._decoder: tuple[int, State | None] | None = None  # before a block, while blocks are only decoded

    @property
    def next_block(self) -> int:
        """The block that comes next."""
        return self.block_keys.first + self.done

    def skip_to(self, block: int) -> None:
        """Pass over the blocks before `block`: they are neither read nor made unless a later one, or a pin between
        them, needs them."""
        begun = self.next_block
        self.counts.reused += max(0, block - begun)
        with computing_on(self.models.device):
            for pin in sorted(pin for pin in self._pins if begun < pin <= block):
                self.done = pin - self.block_keys.first
                self._pin(pin)
        self.done = max(self.done, block - self.block_keys.first)

    def last_frame(self, block: int) -> Tensor | None:
        """The last frame [H, W, 3] of a block, where it is stored."""
        record = self.cache.get(FRAMES, self.block_keys.frames_key(block), fits_frames(self.block_keys.world, block))
        return None if record is None else record.tensors["frames"][0, -1]

    def stored(self, block: int) -> bool:
        """Whether nothing need be computed for a block."""
        block_keys, cache = self.block_keys, self.cache
        return cache.has(LATENTS, block_keys.latents_key(block)) and cache.has(FRAMES, block_keys.frames_key(block))

    def resumable(self, block: int) -> bool:
        """Whether the state before a block is stored."""
        key = self.block_keys.state_key(block)
        return block == self.block_keys.first or self.cache.has(PINNED, key) or self.cache.has(SNAPSHOT, key)

    @property
    def world(self) -> World:
        """The world before the next block. Where its state is not stored it is made from the latents."""
        if self._run is not None and self._run.block == self.next_block:
            return self._run.world
        with computing_on(self.models.device):
            return self._state_at(self.next_block)

    def __iter__(self) -> Iterator[Block]:
        return self

    @computes
    def __next__(self) -> Block:
        if self.done == self.blocks:
            self.close()
            raise StopIteration
        index = self.next_block
        block = self._reuse(index) or self._decode(index) or self._make(index)
        self.done += 1
        if self.next_block in self._pins:
            self._pin(self.next_block)
        return block

    def close(self) -> None:
        """Store where the next run will want to go on from."""
        if self._run is not None and self._run.done:
            self._store_condition(self._run.condition)
            if not self._state_on_disk(self._run.block):
                self._store_state(SNAPSHOT, self._run.world)

    def __enter__(self) -> CachedRollout:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # blocks

    def _reuse(self, index: int) -> Block | None:
        latents = self._stored_latents(index)
        fits = fits_frames(self.block_keys.world, index)
        record = None if latents is None else self.cache.get(FRAMES, self.block_keys.frames_key(index), fits)
        if latents is None or record is None:
            return None
        self.counts.reused += 1
        self._tell(index, REUSED)
        return self._block(index, record.tensors["frames"], latents)

    def _decode(self, index: int) -> Block | None:
        latents = self._stored_latents(index)
        if latents is None:
            return None
        self._awake()
        if self._decoder is None or self._decoder[0] != index:
            self._decoder = (index, self._decoder_at(index))
        self._progress(self._steps - 1)
        pixels, state = self.models.decoder.decode(latents.to(self.models.device), self._decoder[1])
        self._decoder = (index + 1, state)
        self.counts.decoded += 1
        block = self._block(index, to_uint8(pixels).cpu(), latents)
        self._store_block(block)
        self._tell(index, DECODED)
        return block

    def _make(self, index: int) -> Block:
        self._tell(index, MAKING)
        self._decoder = None
        if self._run is None or self._run.block != index:
            world = self._state_at(index)
            if index > self.block_keys.first and not self._state_on_disk(index):
                self._store_state(SNAPSHOT, world)  # where one edit was, the next one often is
            self._begin(world)
        assert self._run is not None
        block = next(self._run)
        block = replace(block, latents=block.latents.cpu())
        self.counts.made += 1
        self._store_block(block)
        self._tell(index, MADE)
        size = self._run.state_bytes
        every = 1 if size <= SMALL * self.cache.memory_bytes else SPARE_EVERY
        if (index + 1 - self.block_keys.first) % every == 0 and self.cache.worth_keeping(size):
            self._store_state(SNAPSHOT, self._run.world, spare=True)
        return block

    def _begin(self, world: World) -> None:
        self._awake()
        count = self.block_keys.last - world.block
        self._run = None  # so that the next one may have its rings
        me = ref(self)  # or the two of them would hold each other, and those rings, until they are searched for

        def on_pass(at: PassProgress) -> None:
            if (mine := me()) is not None:
                mine._progress(at.step)

        self._run = rollout(self.models, world, self.block_keys.rest(world.block), count, on_pass=on_pass)

    def _block(self, index: int, frames: Tensor, latents: Tensor) -> Block:
        return Block(index, frames, latents, (self.block_keys.names[index - self.block_keys.first + 1],))

    # states

    def _state_at(self, index: int) -> World:
        """The world before a block; where latents are gone, they are made again."""
        while True:
            start = self._nearest(index)
            if start.block == index:
                return start
            reach = max(context_blocks(self.models.generator.config), decoder_blocks(self.models.decoder))
            begin = max(start.block, index - reach)
            if begin > start.block and not all(self._has_latents(block) for block in range(begin, index)):
                begin = start.block
            hole = next((block for block in range(begin, index) if not self._has_latents(block)), None)
            if hole is not None:
                self._fill(hole, index)
                continue
            try:
                return self._replay(start, index)
            except _Missing:
                continue

    def _nearest(self, index: int) -> World:
        """The last world at or before a block whose state is at hand."""
        run = self._run if self._run is not None and self._run.block <= index else None
        for block in range(index, self.block_keys.first if run is None else run.block, -1):
            world = self._stored_state(block)
            if world is not None:
                return world
        return self._with_condition(at_work(self.block_keys.world, self.models)) if run is None else run.world

    def _replay(self, start: World, index: int) -> World:
        self._awake()
        models = self.models
        cold = index - context_blocks(models.generator.config)
        if cold > start.block:
            begin = self._with_condition(self.block_keys.world_at(cold, [], None))
        else:
            begin = replace(start, caches=[layer.copy() for layer in start.caches])
        world = replay_context(
            models, at_work(begin, models), self._latents, self.block_keys.rows, index, self._count_replay
        )
        state = self._decoder_from(start, index)
        names = (self.block_keys.names[index - self.block_keys.first],)
        return replace(world, names=names, decoder_state=state)

    def _decoder_at(self, index: int) -> State | None:
        """The decoder's state before a block, from the stored latents before it."""
        start = self._nearest(index)
        begin = self._decoder_begin(start, index)
        if all(self._has_latents(block) for block in range(begin, index)):
            try:
                return self._decoder_from(start, index)
            except _Missing:
                return self._decoder_at(index)
        return self._state_at(index).decoder_state

    def _decoder_from(self, start: World, index: int) -> State | None:
        begin = self._decoder_begin(start, index)
        state = state_at_work(start.decoder_state, self.models) if begin == start.block else None
        blocks = range(begin, index)
        return replay_decoder(self.models, state, self._latents, blocks, lambda: self._progress(0))

    def _decoder_begin(self, start: World, index: int) -> int:
        return max(start.block, index - decoder_blocks(self.models.decoder))

    def _fill(self, hole: int, until: int) -> None:
        """Make blocks whose latents are gone, from `hole` to the next that is there."""
        self._run = None
        self._begin(self._state_at(hole))
        assert self._run is not None
        while self._run.block < until and not self._has_latents(self._run.block):
            block = next(self._run)
            self.counts.made += 1
            self._store_block(replace(block, latents=block.latents.cpu()))

    # what is stored

    def _has_latents(self, block: int) -> bool:
        return self.cache.has(LATENTS, self.block_keys.latents_key(block))

    def _stored_latents(self, block: int) -> Tensor | None:
        record = self.cache.get(LATENTS, self.block_keys.latents_key(block), fits_latents(self.block_keys.world))
        return None if record is None else record.tensors["latents"]

    def _latents(self, block: int) -> Tensor:
        latents = self._stored_latents(block)
        if latents is None:
            raise _Missing
        return latents

    def _stored_state(self, block: int) -> World | None:
        key = self.block_keys.state_key(block)
        fits = fits_state(self.block_keys.world, self.models)
        record = self.cache.get(PINNED, key, fits) or self.cache.get(SNAPSHOT, key, fits)
        if record is None:
            return None
        caches, decoder_state = state_of_tensors(record.tensors, record.note["tokens"])
        world = at_work(self.block_keys.world_at(block, caches, decoder_state), self.models)
        return self._with_condition(world)

    def _with_condition(self, world: World) -> World:
        """The longest condition that was made for this image."""
        record = self.cache.get(CONDITION, self.block_keys.root, fits_condition(self.block_keys.world))
        if record is not None and record.tensors["condition"].shape[2] > world.condition.shape[2]:
            condition = record.tensors["condition"].to(self.models.device)
            return replace(world, condition=condition, encoder_state=None)
        return world

    def _store_block(self, block: Block) -> None:
        store_block(
            self.cache,
            self.block_keys.latents_key(block.index),
            self.block_keys.frames_key(block.index),
            block.latents,
            block.frames,
        )

    def _store_state(self, kind: str, world: World, spare: bool = False) -> None:
        self.cache.put(kind, self.block_keys.state_key(world.block), state_record(world), spare)

    def _state_on_disk(self, block: int) -> bool:
        key = self.block_keys.state_key(block)
        return self.cache.on_disk(PINNED, key) or self.cache.on_disk(SNAPSHOT, key)

    def _store_condition(self, condition: Tensor) -> None:
        store_condition(self.cache, self.block_keys.root, condition)

    def _pin(self, block: int) -> None:
        if not self.cache.has(PINNED, self.block_keys.state_key(block)):
            self._store_state(PINNED, self.world)

    # telling

    def _awake(self) -> None:
        if self._wake is not None:
            wake, self._wake = self._wake, None
            wake()

    def _count_replay(self) -> None:
        self.counts.replayed += 1
        self._progress(0)

    def _progress(self, step: int) -> None:
        if self._on_pass is not None:
            self._on_pass(PassProgress(self.done, self.blocks, step, self._steps))

    def _tell(self, index: int, what: str) -> None:
        if self._on_block is not None:
            self._on_block(index, what)


def store_block(cache: BlockCache, latents_key: str, frames_key: str, latents: Tensor, frames: Tensor) -> None:
    """Keep a finished block: latents [1, 16, 3, h, w], frames [1, N, H, W, 3], both in main memory."""
    cache.put(LATENTS, latents_key, Record({"latents": latents}))
    cache.put(FRAMES, frames_key, Record({"frames": pageable(frames)}))


def pageable(tensor: Tensor) -> Tensor:
    """A tensor of main memory that is to stay there: not in page-locked memory, of which a system has little."""
    return tensor.clone() if tensor.is_pinned() else tensor


def store_condition(cache: BlockCache, key: str, condition: Tensor) -> None:
    """Keep the condition of an image where it is longer than the one that is kept."""
    stored = cache.get(CONDITION, key, lambda record: _same_but_length(record.tensors.get("condition"), condition))
    if stored is None or stored.tensors["condition"].shape[2] < condition.shape[2]:
        cache.drop(CONDITION, key)
        cache.put(CONDITION, key, Record({"condition": condition.cpu()}))


def _same_but_length(stored: Tensor | None, condition: Tensor) -> bool:
    return stored is not None and (*stored.shape[:2], *stored.shape[3:]) == (*condition.shape[:2], *condition.shape[3:])


def state_record(world: World) -> Record:
    """What a world has to go on with, beside what its image and names say."""
    tensors = {
        name: pageable(tensor.cpu()) for name, tensor in state_tensors(world.caches, world.decoder_state).items()
    }
    return Record(tensors, {"block": world.block, "tokens": world.caches[0].video.tokens})
