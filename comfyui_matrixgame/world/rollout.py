"""The block loop: denoise three latent frames, refresh the caches, decode; and begin the next block meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from weakref import ref

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..compute.devices import computes_with_its_models, computing_on
from ..compute.ops import upload
from ..errors import WorldError
from ..networks.generator.graphs import Passes
from ..networks.generator.kept import passes_for, release_passes
from ..networks.generator.kv_cache import Caches, Entries, copies, take_caches
from ..networks.generator.model import RolloutConstants
from ..networks.generator.recording import recorder_for
from ..networks.generator.schedule import Schedule, clean_latents, renoise
from ..system.resources import give_back
from ..variants import LATENTS_PER_BLOCK, NEWEST
from .block.condition import CONSTANT_FROM
from .block.finish import Block, Whole, at_once, finish_block
from .block.inputs import blocks_of_longest_track, repeated_rows, tracks_for, with_seeds
from .block.making import Ahead, Making
from .block.noise import NoiseSource, named_noise, noise_of_block
from .block.passes import OnPass, PassProgress, begin_block, empty_world_caches, rollout_constants
from .block.views import with_views
from .files import state_tensors
from .models import Models
from .recent import with_block
from .take_over import take_over_world, world_on_device
from .world import World, next_name

BLOCKS_WORTH_RECORDING = 2  # in fewer, passes are replayed too seldom


def rollout(
    models: Models,
    world: World,
    tracks: ActionTrack | Sequence[ActionTrack],
    blocks: int | None = None,
    *,
    noise: NoiseSource = named_noise,
    on_pass: OnPass | None = None,
    open_ended: bool = False,
    whole: Whole = at_once,
) -> Rollout:
    """Go on from `world`, which stays as it is.

    tracks: one for all worlds or one for each; row 0 is the first input that the next block has not read. A
    track that is too short repeats its last row. blocks: how many; by default as many as the tracks ask for.
    on_pass: called before each pass; what it raises stops the rollout, and what was finished stays.
    open_ended: `Rollout.extend` will be called. whole: does the clean pass; where frames are shown before a block is
    finished, nothing may stop it from there on.
    Raises WorldError where world, models and tracks do not belong together.
    """
    return Rollout(models, world, tracks, blocks, noise, on_pass, open_ended, whole)


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
        whole: Whole,
    ) -> None:
        given = tracks_for(world, tracks)
        self.blocks = blocks_of_longest_track(world, given) if blocks is None else blocks
        if self.blocks < 1:
            raise WorldError("A rollout of zero blocks makes nothing; ask for at least one.")
        world = take_over_world(models, world)
        self.models = models
        self.done = 0
        self._over = False  # whether the rings are another's
        self.repeated = repeated_rows(world, given, self.blocks)
        self._tracks = [track.padded(rows_of_blocks(self.blocks, world.block)) for track in given]
        self._in_tracks = world.block + self.blocks  # the first block whose rows `extend` brings
        self._added: list[ActionTrack] = []  # these rows, a block each
        self.on_pass = on_pass
        self._open_ended, self._whole = open_ended, whole
        self._gone: Entries | None = None  # what the last finished block's window let go of in place of an older one
        self._before: World | None = None  # the last block; only until the next one is begun, so it takes no room there
        self._schedule = Schedule.of(world.variant.steps, world.variant.shift)
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

        def make_noise(world: World) -> Tensor:
            return upload(noise_of_block(noise, world), models.device)

        self._ahead = Ahead(models.device, self._passes.caches, begin, make_noise)
        here = world_on_device(replace(world, caches=[]), models)
        self._world = replace(here, caches=self._passes.caches)

    def _passes_from(self, world: World) -> Passes:
        """Passes whose rings hold what the world's do."""
        models, worthwhile = self.models, self._open_ended or self.blocks > BLOCKS_WORTH_RECORDING
        kind = world.batch, world.latent_size, models.cache_dtype, world.features.shape[1:]
        recorder = recorder_for(models.generator, models.device)
        made: list[Caches] = []

        def new() -> Caches:
            made.append(copies(world.caches, models.device, models.cache_dtype) or empty_world_caches(models, world))
            return made[0]

        passes = passes_for(models.generator, self, recorder, kind, models.device, new, worthwhile)
        if not made:
            take_caches(passes.caches, world.caches)
        return passes

    def extend(self, rows: ActionTrack) -> None:
        """One block more, from the rows that it is the first to read. Raises WorldError where they are not as many."""
        rows = tracks_for(self._world, rows)[0]
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
        self._bring_back(self._world)
        self.done -= 1
        return True

    @property
    def passes(self) -> int:
        """Passes of the network that each block takes."""
        return self._world.variant.passes

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
        world = self._world
        state = state_tensors(world.caches, world.decoder_state, world.views)
        return sum(tensor.nbytes for tensor in state.values())

    @property
    def world(self) -> World:
        """The world after the last finished block, with caches of its own."""
        if self._over:
            return self._world  # nothing will change it any more
        last = self.done == self.blocks and not self._open_ended
        if last and self._passes.recorder is None:
            return self.stop()
        world = self._own(self._world)
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
            if self._gone is not None:  # other slots than in the world that is handed out
                self._before = self._own(self._before)
        release_passes(self.models.generator, self._passes, for_good)
        del self._passes, self._ahead

    @property
    def world_before(self) -> World | None:
        """The world before the last finished block, until the next one is asked for; its caches are the rollout's
        own, or copies where the window keeps an older block. What was begun is given up for it."""
        if self._before is not None and not self._over:
            self._ahead.take_back()
        if self._before is None or self._gone is None:
            return self._before
        before = self._own(self._before)
        self._bring_back(before)
        return before

    def _bring_back(self, world: World) -> None:
        """Have the caches hold again what the last finished block's window let go of."""
        if self._gone is not None:
            with computing_on(self.models.device):
                self._gone.put_into(world.caches)

    @staticmethod
    def _own(world: World) -> World:
        """A world with caches of its own."""
        return replace(world, caches=[layer.copy() for layer in world.caches])

    def __iter__(self) -> Iterator[Block]:
        return self

    @computes_with_its_models
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
        return Block(making.start.world.block, frames, latents, after.names)

    def _make_ready(self, world: World) -> Making:
        """All that the passes of a world's next block need."""
        if self._constants is None:
            self._constants = rollout_constants(self.models, world)
        start = begin_block(self.models, world, self._rows_of(world.block))
        return Making(start, self._ahead.noise_of(start.world))

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
        start = making.start
        velocity = self._passes(noisy, start.condition, step, self._constants, start.constants)
        making.latents = clean_latents(noisy, velocity, sigma)

    def _finish(self, making: Making) -> tuple[Tensor, Tensor, World]:
        """End a block, and begin the next one meanwhile. Returns frames, latents and the world after it."""
        assert making.latents is not None
        assert self._constants is not None
        start = making.start
        finishing = finish_block(
            self.models.decoder,
            self._world.decoder_state,
            making.latents,
            partial(self._passes, making.latents, start.condition, self.passes - 1, self._constants, start.constants),
            whole=self._whole,
            first_alone=self._has_room,
            may_run_over=self._may_run_over,
        )
        names = tuple(next_name(name, track) for name, track in zip(start.world.names, start.rows, strict=True))
        after = replace(start.world_after(), names=names, decoder_state=finishing.state)
        if finishing.under_way:
            self._begin(after)
        frames, latents = finishing.wait()
        after = replace(after, recent=with_block(self._world.recent, latents, start.rows, self.models.decoder))
        after, self._gone = with_views(after, making.latents)
        return frames, latents, after

    def _begin(self, after: World) -> None:
        """While the device finishes a block, do what can be done of the one after it; `after` is the world there."""
        more = self.done + 1 < self.blocks
        knows_window = self._world.variant.keeps == NEWEST  # else the latents of this block decide
        if more and self._has_room and not self._open_ended and knows_window:
            self._ahead.begin(after)
        elif more or self._open_ended:
            known = after.block < self._in_tracks + len(self._added)
            self._ahead.make_noise(with_seeds(after, self._rows_of(after.block)) if known else after)

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
