"""A rollout whose picture is changed on its way: one rollout after the other, as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...actions.track import ActionTrack, rows_of_blocks
from ...world import Block, Models, PassProgress, Rollout, World, rollout
from ...world.block.passes import OnPass
from ..shared.change import ChangeOf


class ChangedRollout:
    """Goes on from a world for so many blocks, and changes it where a change is due.

    track: its row 0 is the first that the world has not read. changes: by the block of the world's life before which
    they are made. A world that it hands out before such a block is not changed yet, so that whoever goes on from it
    changes it once. repeated: rows that were missing.
    """

    def __init__(
        self,
        models: Models,
        world: World,
        track: ActionTrack,
        blocks: int,
        changes: Mapping[int, ChangeOf],
        on_pass: OnPass,
    ) -> None:
        rows = rows_of_blocks(blocks, world.block)
        self._models, self._track, self._changes, self._on_pass = models, track.padded(rows), changes, on_pass
        self._first, self._last = world.block, world.block + blocks
        self.repeated = max(0, rows - len(track))
        self._unchanged: World | None = None
        self._run = self._go_on(world)

    @property
    def block(self) -> int:
        """The block of the world's life that comes next."""
        return self._run.block

    @property
    def done(self) -> int:
        """Blocks that were made."""
        return self.block - self._first

    @property
    def world_before(self) -> World | None:
        """See Rollout.world_before."""
        return self._unchanged if self._unchanged is not None and self._run.done == 1 else self._run.world_before

    def step_back(self) -> bool:
        """See Rollout.step_back."""
        return self._run.step_back()

    def stop(self) -> World:
        """See Rollout.stop."""
        world = self._run.stop()
        return self._unchanged if self._unchanged is not None and not self._run.done else world

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        if self._run.done == self._run.blocks:
            if self.block == self._last:
                raise StopIteration
            self._run = self._go_on(self._run.stop())
        return next(self._run)

    def _go_on(self, world: World) -> Rollout:
        """The rollout up to the next change, from a world that may be changed first."""
        change, before = self._changes.get(world.block), world.block - self._first
        here = world if change is None else change(world)
        stop = min([block for block in self._changes if block > world.block], default=self._last)

        def on_pass(at: PassProgress) -> None:
            self._on_pass(replace(at, done=before + at.done, blocks=self._last - self._first))

        rows = self._track.slice(rows_of_blocks(before, self._first))
        unchanged = None if change is None else world.to("cpu")
        run = rollout(self._models, here, rows, min(stop, self._last) - world.block, on_pass=on_pass)
        self._unchanged = unchanged  # now, as whatever fails leaves the rollout before it in its place
        return run
