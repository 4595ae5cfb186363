"""What a session plays: a model's world, one block at a time, that can go back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..cache import BlockCache
from ..cache.rollout.progress import Counts
from ..errors import WorldError
from ..memory import WORLD_BYTES, worlds_kept
from ..networks.vae import VideoDecoder
from ..variants import Variant
from ..world import Models, Rollout, World, rollout
from ..world.change import last_frame
from ..world.models import network_id
from ..world.start import fill_from_latents
from ..world.take_over import take_over_world, world_on_device
from ..world.world import next_name
from .changes.made import MadeChange, See, make_change, sees_with
from .early_frames import Frames, OnFrames, parts_of_block, with_early_frames
from .played_blocks import PlayedBlocks
from .stored_blocks import StoredBlocks

OnPass = Callable[[], None]


class Playable(Protocol):
    """A world that is played. seed: of the noise; the same seed and inputs give the same frames."""

    variant: Variant
    seed: int

    @property
    def block(self) -> int:
        """The block of the world's life that comes next."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        ...

    def make(self, rows: ActionTrack, on_frames: OnFrames, on_pass: OnPass | None = None) -> None:
        """Make the next block from the rows it is the first to read. An exception of `on_pass` leaves all as it was."""
        ...

    def go_to(self, block: int, changes: int | None = None) -> None:
        """Stand before `block`, one that was made, or the next. changes: how many of the changes of the picture that
        were made there stay; all by default."""
        ...

    def still(self) -> Frames:
        """The last frame before the next block, [H, W, 3]; the start image before the first, and where a world that
        was given does not know its last blocks."""
        ...

    @property
    def sees(self) -> tuple[str, ...]:
        """Which pictures a change may show the network, the default first; none where the picture cannot be changed."""
        ...

    def change(self, picture: Frames, strength: float, seen: str) -> bool:
        """Go on from what the last frame should look like, [H, W, 3]; False where nothing changes. See `plan_change`.
        What it raises leaves all as it was."""
        ...

    def close(self) -> None:
        """Let go of what is only there while this is played."""
        ...


StartWorld = Callable[["str | bytes | None", int], Playable]
"""Makes a world from a picture (a path, a file's bytes, or None for the one it was told of) and a seed."""


class PlayedWorld:
    """A world of a model.

    keep_frames: keep all frames of the way to here for `frames`; else the last of each block alone. cache: blocks
    that it holds are not made again, and it gets those that are made. folder: where files lie while this is played.
    world: stays where it is, best in main memory. world_bytes: what worlds kept on the way may take on the device.
    see: the image tower, with which changes of the picture can be shown to the network. counts: what was made, and what
    was stored.
    Raises WorldError for a batch, and what `rollout` raises. `close` it.
    """

    def __init__(
        self,
        models: Models,
        world: World,
        *,
        keep_frames: bool = False,
        cache: BlockCache | None = None,
        folder: Path | None = None,
        world_bytes: float = WORLD_BYTES,
        see: See | None = None,
    ) -> None:
        if world.batch != 1:
            raise WorldError(f"{world.batch} worlds cannot be played at once; choose one of them.")
        self._check_decoder(models.decoder, world)
        world = take_over_world(models, world)
        self.variant, self.seed, self.start = models.variant, world.seeds[0], world
        self.models, self.counts = models, Counts()
        self._models, self._early = with_early_frames(models)
        self._keep_frames, self._world_bytes = keep_frames, world_bytes
        self._worlds = {world.block: world}  # the first, which stays where it lies, the last, and some between
        self._rows: list[ActionTrack] = []
        self._see, self._changes = see, dict[int, list[MadeChange]]()  # by the block before which they were made
        self._changed: Frames | None = None  # the last frame, where it was changed before the block that comes next
        self._given: Frames | None = None  # the last frame of `start`, once it was looked at
        self._blocks = PlayedBlocks(folder)
        self._stored = None if cache is None else StoredBlocks(cache, models, world)
        self.world = world
        self._run: Rollout | None = None  # stands where `world` does, with what it has made and recorded

    @property
    def block(self) -> int:
        """The block of the world's life that comes next."""
        return self.world.block

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.world.size

    def make(self, rows: ActionTrack, on_frames: OnFrames, on_pass: OnPass | None = None) -> None:
        """See Playable.make."""
        stopped, self._early.stopped, self._early.shown = self._early.stopped, None, False
        if stopped is not None:  # came when the last block was shown already
            raise stopped
        rows = rows.padded(rows_of_blocks(1, self.block)).slice(0, rows_of_blocks(1, self.block))
        name = next_name(self.world.names[0], rows)
        stored = None if self._stored is None else self._stored.read(name)
        if stored is None:
            latents, frames = self._make_next_block(rows, on_frames, on_pass)
            self.counts.made += 1
            if self._stored is not None:
                self._stored.store(name, latents, frames)
        else:
            latents, frames = self._show_stored(rows, *stored, on_frames, on_pass)
        self._rows.append(rows)
        self._changed = None
        shown = frames[0].numpy()
        self._blocks.add(latents, shown if self._keep_frames else shown[-1:])

    @property
    def sees(self) -> tuple[str, ...]:
        """See Playable.sees."""
        return sees_with(self._see)

    def change(self, picture: Frames, strength: float, seen: str) -> bool:
        """See Playable.change."""
        self._run = None  # its rings would only take room
        changed = make_change(self._models, self.world, picture, strength, seen, self._see)
        if changed is None:
            return False
        made, world = changed
        self._changes.setdefault(self.block, []).append(made)
        if self.block == self.start.block:
            world = world.to(self.start.image.device)
        self.world = self._worlds[self.block] = world
        self._stands_changed()
        return True

    def go_to(self, block: int, changes: int | None = None) -> None:
        """See Playable.go_to. A world that was not kept is made again from the latents, to the bit."""
        done = block - self.start.block
        if not 0 <= done <= len(self._blocks):
            raise WorldError(f"Block {block} was not played yet; there are blocks up to {self.block}.")
        self._run = None
        had_changes, there = bool(self._changes), self._changes.get(block, [])
        stay = there[:changes]
        self._changes = {at: made for at, made in self._changes.items() if at < block} | ({block: stay} if stay else {})
        last = block if len(stay) == len(there) else block - 1
        self._worlds = {kept: world for kept, world in self._worlds.items() if kept <= last}
        first = self.start.block
        if first not in self._worlds:
            self._worlds[first] = self._with_changes(self.start).to(self.start.image.device)
        near = max(self._worlds)
        self.world = self._worlds[near]
        if near < block:
            self.world = self._worlds[block] = self._replay(self.world, done)
        del self._rows[done:]
        self._blocks.keep_first(done)
        if had_changes:
            self._stands_changed()

    def still(self) -> Frames:
        """See Playable.still."""
        if self._changed is not None:
            return self._changed
        if len(self._blocks):
            return self._blocks.frames(len(self._blocks) - 1)[-1]
        if self._given is None:
            self._given = last_frame(self._models, self.start).numpy()
        return self._given

    def frames(self) -> Iterator[Frames]:
        """The frames of the way to here, block by block."""
        for block in range(len(self._blocks)):
            yield self._blocks.frames(block)

    def close(self) -> None:
        """See Playable.close. Waits until the cache has what it gets. Whoever holds it from then on, such as the
        page that shows its end, holds no model and no world."""
        if self._stored is not None:
            self._stored.close(self.world)
        self._blocks.close()
        self._worlds.clear()
        del self.models, self._models, self._early, self._stored, self._run
        del self.start, self.world

    def _make_next_block(self, rows: ActionTrack, on_frames: OnFrames, on_pass: OnPass | None) -> tuple[Tensor, Tensor]:
        if self._run is None:
            self._run = rollout(self._models, self.world, rows, 1, open_ended=True, whole=self._early.whole)
        else:
            self._run.extend(rows)
        run = self._run
        run.on_pass = None if on_pass is None else lambda _: on_pass()
        self._early.on_frames = on_frames
        try:
            made = next(run)
        except BaseException:
            self._run = None  # its inputs were these rows
            raise
        finally:
            self._early.on_frames = None
        self._make_room(run.block)  # first, or there is one world more than planned while the run's is copied
        self.world = self._worlds[run.block] = run.world
        return made.latents.cpu(), made.frames

    def _show_stored(
        self, rows: ActionTrack, latents: Tensor, frames: Tensor | None, on_frames: OnFrames, on_pass: OnPass | None
    ) -> tuple[Tensor, Tensor]:
        """Show a stored block, and bring the world to its end: one pass in place of all steps."""
        if on_pass is not None:
            on_pass()
        parts: list[Tensor] = []

        def show(pictures: Frames, seconds: float) -> None:
            parts.append(torch.from_numpy(pictures))
            on_frames(pictures, seconds)

        if frames is not None:
            self._early.shown = True
            for part in parts_of_block(frames[0].numpy()):
                show(part, 0.0)
            self.counts.reused += 1
        else:
            self._early.on_frames = show
            self.counts.decoded += 1
        self._run = None
        try:
            world = self._early.whole(lambda: self._go_through(self._copy(self.world), latents, rows))
        finally:
            self._early.on_frames = None
        self._make_room(world.block)
        self.world = self._worlds[world.block] = world
        return latents, torch.cat(parts).unsqueeze(0)

    def _replay(self, world: World, done: int) -> World:
        world = self._copy(world)
        for index in range(world.block - self.start.block, done):
            self.counts.replayed += 1
            world = self._go_through(world, self._blocks.latents(index), self._rows[index])
            world = self._with_changes(world)
        return world

    def _with_changes(self, world: World) -> World:
        """The world after the changes that were made where it stands."""
        for made in self._changes.get(world.block, ()):
            world = made.of(self._models, world)
        return world

    def _stands_changed(self) -> None:
        """Whether the picture was changed where the world stands now, and what it is; the cache's keys follow."""
        changed = self.block in self._changes
        self._changed = last_frame(self._models, self.world).numpy() if changed else None
        if self._stored is not None:
            self._stored.go_on_from(self._models, self.world)

    def _go_through(self, world: World, latents: Tensor, rows: ActionTrack) -> World:
        """The world after a block whose latents are there; takes over the caches of the one before."""
        filled = fill_from_latents(self._models, world, latents.to(self._models.device), [rows])
        return replace(filled, names=(next_name(world.names[0], rows),))

    def _copy(self, world: World) -> World:
        """The world on the device, with caches that may be written to."""
        here = world_on_device(world, self._models)
        return replace(here, caches=[layer.copy() for layer in here.caches])

    def _make_room(self, block: int) -> None:
        """Let go of worlds, `world` among them, until the one before `block` fits: those that lie close together and
        far back go first."""
        room = worlds_kept(self.world.nbytes, self._world_bytes)
        self.world = self.start  # until the new one is there
        while len(self._worlds) > room:  # the start does not count: it stays where it was
            del self._worlds[least_useful(sorted([*self._worlds, block]))]

    @staticmethod
    def _check_decoder(decoder: VideoDecoder, world: World) -> None:
        if world.decoder_state is not None and world.decoder_id != network_id(decoder):
            raise WorldError("The world's frames were made with another decoder; load that one, or start a new world.")


def least_useful(kept: Sequence[int]) -> int:
    """The one of sorted blocks to let go of, never the first or last: gaps may grow with the distance from the end."""
    last = kept[-1]
    inner = range(1, len(kept) - 1)
    return kept[min(inner, key=lambda i: (kept[i + 1] - kept[i - 1]) / (last - kept[i]))]
