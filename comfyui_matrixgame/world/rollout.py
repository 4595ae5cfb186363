"""The block loop: denoise three latent frames, refresh the caches, decode."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..devices import computes, computing_on, side_stream
from ..errors import BackendError, WorldError
from ..generator.graphs import Passes
from ..generator.kept import let_go, passes_for
from ..generator.kv_cache import Caches, copies, take_caches
from ..generator.model import BlockConstants, RolloutConstants
from ..generator.recording import recorder_for
from ..generator.schedule import Schedule, clean_latents, renoise
from ..ops import upload
from ..resources import give_back
from ..vae.base import LATENT_CHANNELS, State, to_uint8
from ..variants import LATENTS_PER_BLOCK
from .check import fits_caches
from .condition import block_condition, with_condition
from .files import state_tensors
from .inputs import block_windows, blocks_asked_for, repeated_rows, tail_after, tracks_for
from .models import Models, fingerprint
from .noise import NoiseSource, named_noise
from .world import World, next_name

log = logging.getLogger(__name__)
CLEAN = 0.0  # timestep of the pass that refreshes the caches
BLOCKS_WORTH_RECORDING = 2  # in fewer, passes are replayed too seldom


@dataclass(frozen=True)
class PassProgress:
    """Where a rollout is: pass `step` of `steps` in block `done` of `blocks` (both counted from 0)."""

    done: int
    blocks: int
    step: int
    steps: int


OnPass = Callable[[PassProgress], None]


@dataclass(frozen=True)
class Block:
    """A finished block: its index in the world's life, frames [B, 9 or 12, H, W, 3] of 8 bits on the CPU, and
    clean latents [B, 16, 3, h, w], normalised, float32. name: one per world."""

    index: int
    frames: Tensor
    latents: Tensor
    names: tuple[str, ...]


def rollout(
    models: Models,
    world: World,
    tracks: ActionTrack | Sequence[ActionTrack],
    blocks: int | None = None,
    *,
    noise: NoiseSource = named_noise,
    on_pass: OnPass | None = None,
    open_ended: bool = False,
) -> Rollout:
    """Go on from `world`, which stays as it is.

    tracks: one for all worlds or one for each; row 0 is the first input that the next block has not read. A
    track that is too short repeats its last row. blocks: how many; by default as many as the tracks ask for.
    on_pass: called before each pass; what it raises stops the rollout, and what was finished stays.
    open_ended: `Rollout.extend` will be called.
    Raises WorldError where world, models and tracks do not belong together.
    """
    return Rollout(models, world, tracks, blocks, noise, on_pass, open_ended)


class Rollout:
    """An iterator over finished blocks; `world` is where it stands.

    repeated: input rows that were missing and made by repeating the last one. on_pass: as in `rollout`; may be
    set anew between blocks.
    """

    def __init__(
        self,
        models: Models,
        world: World,
        tracks: ActionTrack | Sequence[ActionTrack],
        blocks: int | None,
        noise: NoiseSource,
        on_pass: OnPass | None,
        open_ended: bool,
    ) -> None:
        given = tracks_for(world, tracks)
        self.blocks = blocks_asked_for(world, given) if blocks is None else blocks
        if self.blocks < 1:
            raise WorldError("A rollout of zero blocks makes nothing; ask for at least one.")
        world = taken_over(models, world)
        self.models = models
        self.done = 0
        self._over = False  # whether the rings are another's
        self.repeated = repeated_rows(world, given, self.blocks)
        self._tracks = [track.padded(rows_of_blocks(self.blocks, world.block)) for track in given]
        self._noise = noise
        self.on_pass = on_pass
        self._open_ended = open_ended
        self._before: World | None = None  # the last block; only until the next one is begun, so it takes no room there
        self._schedule = Schedule.of(world.variant.steps)
        self._constants: RolloutConstants | None = None
        self._first_row = world.first_input
        self._may_run_over = models.generator.compute_dtype == torch.float16
        # latent frames that are decoded before the context pass; where memory is short their state has no room
        self._ahead = 0 if models.vae.encode_at_once else 1
        with computing_on(models.device):
            self._passes = self._passes_from(world)
        here = at_work(replace(world, caches=[]), models)
        self._world = replace(here, caches=self._passes.caches)

    def _passes_from(self, world: World) -> Passes:
        """Passes whose rings hold what the world's do."""
        models, worthwhile = self.models, self._open_ended or self.blocks > BLOCKS_WORTH_RECORDING
        kind = world.batch, world.latent_size, models.cache_dtype, world.features.shape[1:]
        recorder = recorder_for(models.generator, models.device)
        made: list[Caches] = []

        def new() -> Caches:
            made.append(copies(world.caches, models.device, models.cache_dtype) or new_caches(models, world))
            return made[0]

        passes = passes_for(models.generator, self, recorder, kind, models.device, new, worthwhile)
        if not made:
            take_caches(passes.caches, world.caches)
        return passes

    def extend(self, rows: ActionTrack) -> None:
        """One block more, for one world, from the rows that it is the first to read."""
        self._tracks = [track.concat(rows) for track in self._tracks]
        self.blocks += 1

    def step_back(self) -> bool:
        """Stand before the last finished block again, whose frames were lost; False where the next one was begun.

        The rings have all that is seen from there: a block overwrites only frames that it does not see itself.
        """
        if self._before is None:
            return False
        self._world, self._before = self._before, None
        self.done -= 1
        return True

    @property
    def passes(self) -> int:
        """Passes of the network that each block takes."""
        return len(self._schedule) + 1

    @property
    def block(self) -> int:
        """The block of the world's life that comes next."""
        return self._world.block

    @property
    def condition(self) -> Tensor:
        """The condition as far as it was made."""
        return self._world.condition

    @property
    def state_bytes(self) -> int:
        """Memory of what changes from block to block."""
        return sum(tensor.nbytes for tensor in state_tensors(self._world.caches, self._world.decoder_state).values())

    @property
    def world(self) -> World:
        """The world after the last finished block, with caches of its own."""
        if self._over:
            return self._world  # nothing will change it any more
        last = self.done == self.blocks and not self._open_ended
        if last and self._passes.recorder is None:
            return self.stop()
        world = replace(self._world, caches=[layer.copy() for layer in self._world.caches])
        if last:
            self._end(world, for_good=False)
        return world

    def stop(self) -> World:
        """End the rollout here. Returns the world after the last finished block, which takes over the rollout's caches:
        where memory is short there may be no room for others."""
        if not self._over:
            self._end(self._world, for_good=True)
        return self._world

    def _end(self, world: World, for_good: bool) -> None:
        self._over, self.blocks, self._open_ended, self._world = True, self.done, False, world
        if self._before is not None:
            self._before = replace(self._before, caches=world.caches)  # see step_back
        let_go(self.models.generator, self._passes, for_good)
        del self._passes

    @property
    def world_before(self) -> World | None:
        """The world before the last finished block, until the next one is begun; its caches are the rollout's own."""
        return self._before

    def __iter__(self) -> Iterator[Block]:
        return self

    @computes
    def __next__(self) -> Block:
        if self._over or self.done == self.blocks:
            raise StopIteration
        self._before = None
        models, world = self.models, self._world
        if self._constants is None:
            timesteps = [*self._schedule.timesteps, CLEAN]
            self._constants = models.generator.prepare_rollout(world.features, timesteps)
        first_frame = world.block * LATENTS_PER_BLOCK
        world = with_condition(world, models.vae, first_frame + LATENTS_PER_BLOCK)
        condition = block_condition(world, first_frame, LATENTS_PER_BLOCK)
        rows = self._rows_of(world.block)
        inputs = block_windows(world.tail, rows, models.device)
        block = models.generator.prepare_block(first_frame, LATENTS_PER_BLOCK, *world.latent_size, inputs, world.caches)
        latents = self._denoise(world, condition, block)
        self._report(len(self._schedule))  # the last time that it can be stopped; from here on its frames may be seen
        if not self.done:
            give_back(models.device)  # what starting the world and the first passes have used
        frames, decoder_state = self._finish(latents, condition, block)
        names = tuple(next_name(name, track) for name, track in zip(world.names, rows, strict=True))
        self._before = self._world
        self._world = replace(
            world,
            block=world.block + 1,
            names=names,
            decoder_state=decoder_state,
            tail=tail_after(world.tail, rows),
        )
        self.done += 1
        return Block(world.block, frames, latents, names)

    def _denoise(self, world: World, condition: Tensor, block: BlockConstants) -> Tensor:
        latents = self._noise_of(world, 0)
        for step, sigma in enumerate(self._schedule.sigmas):
            self._report(step)
            assert self._constants is not None
            velocity = self._passes(latents, condition, step, self._constants, block)
            latents = clean_latents(latents, velocity, sigma)
            if step + 1 < len(self._schedule):
                latents = renoise(latents, self._noise_of(world, step + 1), self._schedule.sigmas[step + 1])
        return latents

    def _finish(self, latents: Tensor, condition: Tensor, block: BlockConstants) -> tuple[Tensor, State]:
        """Refresh the caches with the clean latents, and decode them: at once where the device can, else the frames
        first, since somebody may be waiting for them."""
        assert self._constants is not None
        decoder, state, clean = self.models.decoder, self._world.decoder_state, len(self._schedule)
        whole = getattr(
            decoder, "whole", _at_once
        )  # where frames are shown early, nothing stops the block from there on
        refresh = partial(self._passes, latents, condition, clean, self._constants, block)
        if latents.device.type != "cuda":
            pixels, state = decoder.decode(latents, state)
            whole(refresh)
            _check_numbers(torch.isfinite(latents).all() if self._may_run_over else None)
            return to_uint8(pixels).cpu(), state
        main, side = torch.cuda.current_stream(latents.device), side_stream(latents.device)
        ready = main.record_event()
        first, rest = latents[:, :, : self._ahead], latents[:, :, self._ahead :]
        parts: list[Tensor] = []
        with torch.cuda.stream(side):
            side.wait_event(ready)
            if self._ahead:  # the first frames have the device for themselves
                part, state = decoder.decode(first, state)
                parts.append(part)
                main.wait_event(side.record_event())
        whole(refresh)
        with torch.cuda.stream(side):
            part, state = decoder.decode(rest, state)
            frames = to_uint8(torch.cat([*parts, part], dim=2))
            host = _to_host(frames)
            sound = _to_host(torch.isfinite(latents).all()) if self._may_run_over else None
            there = side.record_event()
        main.wait_event(there)  # which also keeps what the streams share until both are through with it
        there.synchronize()
        _check_numbers(sound)
        return host, state

    def _report(self, step: int) -> None:
        if self.on_pass is not None:
            self.on_pass(PassProgress(self.done, self.blocks, step, self.passes))

    def _noise_of(self, world: World, step: int) -> Tensor:
        shape = (LATENT_CHANNELS, LATENTS_PER_BLOCK, *world.latent_size)
        parts = [self._noise(seed, world.block, step, shape) for seed in world.seeds]
        return upload(torch.stack(parts), self.models.device)

    def _rows_of(self, block: int) -> list[ActionTrack]:
        start = rows_of_blocks(block) - self._first_row
        return [track.slice(start, start + rows_of_blocks(1, block)) for track in self._tracks]


def _at_once(work: Callable[[], Tensor]) -> Tensor:
    return work()


def _to_host(tensor: Tensor) -> Tensor:
    """A copy in page-locked memory, which is there once the stream is through with it."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def _check_numbers(sound: Tensor | None) -> None:
    if sound is not None and not sound:
        raise BackendError(
            "The network's numbers are too large for float16, and its frames would be noise; load it with dtype "
            "float32."
        )


def taken_over(models: Models, world: World) -> World:
    """A world that goes on with these models, by their name. Where it comes from a device that computes in another
    dtype the next blocks have other numbers than there, so its own name changes as well.

    Raises WorldError where it cannot go on with them.
    """
    check_fits(models, world)
    identity = models.identity()
    if world.models_id == identity:
        return world
    log.info("The world comes from a device that computes in another dtype; the last digits of what follows differ.")
    names = tuple(hashlib.sha256(f"{name}/{identity}".encode()).hexdigest() for name in world.names)
    return replace(world, models_id=identity, names=names)


def at_work(world: World, models: Models) -> World:
    """The world with its tensors where they are worked on; the states of tiles stay in main memory between blocks."""
    here = replace(world, decoder_state=None).to(models.device)
    return replace(here, decoder_state=state_at_work(world.decoder_state, models))


def state_at_work(state: State | None, models: Models) -> State | None:
    """The same for a decoder's state alone."""
    place = getattr(models.decoder, "state_device", None) or models.device
    return None if state is None else tuple(tensor.to(place) for tensor in state)


def new_caches(models: Models, world: World) -> Caches:
    """Caches for a world that has none yet."""
    return models.generator.empty_caches(world.batch, *world.latent_size, models.device, models.cache_dtype)


def check_fits(models: Models, world: World) -> None:
    """Raise WorldError where a world cannot go on with these models."""
    if world.variant != models.variant:
        raise WorldError(
            f"The world is of {world.variant.name}, the generator of {models.variant.name}; load the generator that "
            "the world was made with, or start a new world."
        )
    if world.models_id != models.identity() and world.models_id not in models.identities():
        raise WorldError(
            "The world was made with other weights, or weights of another dtype, than the loaded ones, and going on "
            "would not be the same rollout; load what it was made with, or start a new world."
        )
    if world.decoder_state is not None and world.decoder_id != fingerprint(models.decoder):
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
