"""The block loop: denoise three latent frames, refresh the caches, decode; and begin the next block meanwhile."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import ref

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..compute.devices import computes, computing_on, side_stream
from ..compute.ops import upload
from ..errors import BackendError, WorldError
from ..networks.generator.graphs import Passes
from ..networks.generator.kept import let_go, passes_for
from ..networks.generator.kv_cache import Caches, copies, take_caches
from ..networks.generator.model import RolloutConstants
from ..networks.generator.recording import recorder_for
from ..networks.generator.schedule import Schedule, clean_latents, renoise
from ..networks.vae.base import LATENT_CHANNELS, State, to_uint8
from ..system.resources import give_back
from ..variants import LATENTS_PER_BLOCK
from .check import fits_caches
from .condition import CONSTANT_FROM, block_condition, with_condition
from .files import state_tensors
from .inputs import block_windows, blocks_asked_for, repeated_rows, tail_after, tracks_for
from .making import Ahead, Making, noise_of_block
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
    """A finished block, in main memory: its index in the world's life, frames [B, 9 or 12, H, W, 3] of 8 bits, and
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
        self._in_tracks = world.block + self.blocks  # the first block whose rows `extend` brings
        self._added: list[ActionTrack] = []  # these rows, a block each
        self.on_pass = on_pass
        self._open_ended = open_ended
        self._before: World | None = None  # the last block; only until the next one is begun, so it takes no room there
        self._schedule = Schedule.of(world.variant.steps)
        self._constants: RolloutConstants | None = None
        self._first_row = world.first_input
        self._may_run_over = models.generator.compute_dtype == torch.float16
        # where memory is short nothing is held beside what a block needs: neither a decoder's state after the first
        # latent frame, which is decoded before the context pass, nor a block that was begun
        self._has_room = not models.vae.encode_at_once
        with computing_on(models.device):
            self._passes = self._passes_from(world)
        me = ref(self)  # or the two would hold each other, and the rings

        def begin(world: World) -> Making:
            rollout = me()
            assert rollout is not None
            return rollout._begun(world)

        self._ahead = Ahead(models.device, self._passes.caches, begin, partial(_noise_of, noise, models))
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
        """One block more, from the rows that it is the first to read. Raises WorldError where they are not as many."""
        tracks_for(self._world, rows)
        wanted = rows_of_blocks(1, self._in_tracks + len(self._added))
        if len(rows) != wanted:
            raise WorldError(f"The next block reads {wanted} input rows, and {len(rows)} were given.")
        self._added.append(rows)
        self.blocks += 1

    def step_back(self) -> bool:
        """Stand before the last finished block again, whose frames were lost; False where the next one was begun.

        The rings have all that is seen from there: a block overwrites only frames that it does not see itself.
        """
        if self._before is None:
            return False
        self._ahead.take_back()
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
        self._ahead.correct(world.caches)
        if last:
            self._end(world, for_good=False)
        return world

    def stop(self) -> World:
        """End the rollout here. Returns the world after the last finished block, which takes over the rollout's caches:
        where memory is short there may be no room for others."""
        if not self._over:
            self._ahead.take_back()
            self._end(self._world, for_good=True)
        return self._world

    def _end(self, world: World, for_good: bool) -> None:
        self._over, self.blocks, self._open_ended, self._world = True, self.done, False, world
        if self._before is not None:
            self._before = replace(self._before, caches=world.caches)  # see step_back
        let_go(self.models.generator, self._passes, for_good)
        del self._passes, self._ahead

    @property
    def world_before(self) -> World | None:
        """The world before the last finished block, until the next one is asked for; its caches are the rollout's
        own. What was begun is given up for it."""
        if self._before is not None and not self._over:
            self._ahead.take_back()
        return self._before

    def __iter__(self) -> Iterator[Block]:
        return self

    @computes
    def __next__(self) -> Block:
        if self._over or self.done == self.blocks:
            raise StopIteration
        self._ahead.raise_stopped()
        making = self._ahead.making_of(self._world)
        self._before = None
        if making is None:
            making = self._make_ready(self._world)
        else:
            self._passes.look_again()  # a host may have moved weights meanwhile
        self._denoise(making)
        self._report(len(self._schedule))  # the last time that it can be stopped; from here on its frames may be seen
        if not self.done:
            give_back(self.models.device)  # what starting the world and the first passes have used
        frames, latents, after = self._finish(making)
        self._before, self._world = self._world, after
        self.done += 1
        return Block(making.world.block, frames, latents, after.names)

    def _make_ready(self, world: World) -> Making:
        """All that the passes of a world's next block need."""
        models, first_frame = self.models, world.block * LATENTS_PER_BLOCK
        if self._constants is None:
            timesteps = [*self._schedule.timesteps, CLEAN]
            self._constants = models.generator.prepare_rollout(world.features, timesteps)
        world = with_condition(world, models.vae, first_frame + LATENTS_PER_BLOCK)
        condition = block_condition(world, first_frame, LATENTS_PER_BLOCK)
        rows = self._rows_of(world.block)
        inputs = block_windows(world.tail, rows, models.device)
        size, caches = world.latent_size, self._passes.caches
        constants = models.generator.prepare_block(first_frame, LATENTS_PER_BLOCK, *size, inputs, caches)
        return Making(world, rows, condition, constants, self._ahead.noise_of(world))

    def _denoise(self, making: Making) -> None:
        for step in range(len(self._schedule)):
            self._report(step)
            self._ahead.go_on()
            if step or making.latents is None:
                self._step(making, step)

    def _step(self, making: Making, step: int) -> None:
        """One pass, from the noise or from what the last one made."""
        sigma, noisy = self._schedule.sigmas[step], making.noise[step]
        if making.latents is not None:
            noisy = renoise(making.latents, noisy, sigma)
        assert self._constants is not None
        velocity = self._passes(noisy, making.condition, step, self._constants, making.constants)
        making.latents = clean_latents(noisy, velocity, sigma)

    def _finish(self, making: Making) -> tuple[Tensor, Tensor, World]:
        """Refresh the caches with the clean latents, and decode them: at once where the device can, else the frames
        first, since somebody may be waiting for them. Returns frames, latents and the world after them."""
        latents = making.latents
        assert latents is not None
        assert self._constants is not None
        decoder, state, clean = self.models.decoder, self._world.decoder_state, len(self._schedule)
        whole = getattr(
            decoder, "whole", _at_once
        )  # where frames are shown early, nothing stops the block from there on
        refresh = partial(self._passes, latents, making.condition, clean, self._constants, making.constants)
        if latents.device.type != "cuda":
            pixels, state = decoder.decode(latents, state)
            whole(refresh)
            _check_numbers(torch.isfinite(latents).all() if self._may_run_over else None)
            return to_uint8(pixels).cpu(), latents.cpu(), self._after(making, state)
        main, side = torch.cuda.current_stream(latents.device), side_stream(latents.device)
        ready = main.record_event()
        ahead = 1 if self._has_room else 0
        first, rest = latents[:, :, :ahead], latents[:, :, ahead:]
        parts: list[Tensor] = []
        with torch.cuda.stream(side):
            side.wait_event(ready)
            if ahead:  # the first frames have the device for themselves
                part, state = decoder.decode(first, state)
                parts.append(part)
                main.wait_event(side.record_event())
        whole(refresh)
        with torch.cuda.stream(side):
            part, state = decoder.decode(rest, state)
            frames = _to_host(to_uint8(torch.cat([*parts, part], dim=2)))
            del parts, part
            clean_on_host = _to_host(latents)
            sound = _to_host(torch.isfinite(latents).all()) if self._may_run_over else None
            there = side.record_event()
        main.wait_event(there)  # what comes next leaves the device to these frames
        after = self._after(making, state)
        self._begin(after)
        there.synchronize()
        _check_numbers(sound)
        return frames, clean_on_host.clone(), after  # of page-locked memory there is little, and latents are kept

    def _after(self, making: Making, state: State) -> World:
        """The world after a block whose decoder left this state."""
        world, rows = making.world, making.rows
        names = tuple(next_name(name, track) for name, track in zip(world.names, rows, strict=True))
        tail = tail_after(world.tail, rows)
        return replace(world, block=world.block + 1, names=names, decoder_state=state, tail=tail)

    def _begin(self, after: World) -> None:
        """While the device finishes a block, do what can be done of the one after it; `after` is the world there."""
        more = self.done + 1 < self.blocks
        if more and self._has_room and not self._open_ended:
            self._ahead.begin(after)
        elif more or self._open_ended:
            self._ahead.make_noise(after)

    def _begun(self, world: World) -> Making:
        """A world's next block with its first pass launched, beside the world that is still the rollout's."""
        wanted = min((world.block + 1) * LATENTS_PER_BLOCK, CONSTANT_FROM + 1)
        if world.condition.shape[2] < wanted:  # no third state of the encoder: the oldest can be made again
            self._world = replace(self._world, encoder_state=None)
        making = self._make_ready(world)
        self._step(making, 0)
        return making

    def _report(self, step: int) -> None:
        if self.on_pass is not None:
            self.on_pass(PassProgress(self.done, self.blocks, step, self.passes))

    def _rows_of(self, block: int) -> list[ActionTrack]:
        if block >= self._in_tracks:
            return [self._added[block - self._in_tracks]] * len(self._tracks)
        start = rows_of_blocks(block) - self._first_row
        return [track.slice(start, start + rows_of_blocks(1, block)) for track in self._tracks]


def _noise_of(source: NoiseSource, models: Models, world: World) -> Tensor:
    shape = (LATENT_CHANNELS, LATENTS_PER_BLOCK, *world.latent_size)
    return upload(noise_of_block(source, world, len(world.variant.steps), shape), models.device)


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
