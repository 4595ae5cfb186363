"""What the network reads of a track: windows of 12 input rows for each latent frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ...actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ...compute.ops import upload
from ...errors import WorldError
from ...networks.generator.action_module import INPUT_ROWS, ActionInputs
from ...system.words import counted
from ...variants import FRAMES_PER_LATENT, LATENTS_PER_BLOCK, Variant
from ..world import World

TAIL_ROWS = 8  # rows behind the first unread one that the next block's windows reach back to


def tracks_for(world: World, tracks: ActionTrack | Sequence[ActionTrack]) -> list[ActionTrack]:
    """One track for each world, as inputs of the world's variant. Raises WorldError where they are not."""
    all_tracks = [tracks] * world.batch if isinstance(tracks, ActionTrack) else list(tracks)
    if len(all_tracks) != world.batch:
        raise WorldError(
            f"There are {counted(world.batch, 'world')} and {counted(len(all_tracks), 'track')}; give "
            "one track, or one for each."
        )
    return [track_for_variant(world.variant, track) for track in all_tracks]


def track_for_variant(variant: Variant, track: ActionTrack) -> ActionTrack:
    """A track as inputs of a variant. Raises WorldError where it is for another one."""
    if not variant.takes(track.variant):
        raise WorldError(
            f"The inputs are for {track.variant.name}, the generator is {variant.name}; choose {variant.name} where "
            "the inputs are written."
        )
    return track.of_variant(variant)


def with_seeds(world: World, rows: Sequence[ActionTrack]) -> World:
    """The world with the seeds of a block that is the first to read `rows`."""
    if all(track.last_seed is None for track in rows):
        return world
    given = (track.last_seed for track in rows)
    return replace(world, seeds=tuple(old if new is None else new for old, new in zip(world.seeds, given, strict=True)))


def blocks_of_longest_track(world: World, tracks: Sequence[ActionTrack]) -> int:
    """Blocks that the longest track asks for, from the world's next block on."""
    return max(blocks_of_rows(len(track), world.block) for track in tracks)


def repeated_rows(world: World, tracks: Sequence[ActionTrack], blocks: int) -> int:
    """How often the last row of the shortest track must be repeated to fill `blocks` blocks."""
    return max(0, rows_of_blocks(blocks, world.block) - min(len(track) for track in tracks))


def block_windows(
    before: Sequence[ActionTrack] | None,
    rows: Sequence[ActionTrack],
    device: torch.device,
    frames: int = LATENTS_PER_BLOCK,
) -> ActionInputs:
    """The windows of a block: rows 4i - 12 .. 4i - 1 of its latent frames i.

    before: the last 8 rows of each world that were read already; None for the first block, whose first row
    stands for all that came before it. rows: those that this block is the first to read.
    """
    keyboards, mice = [], []
    for i, track in enumerate(rows):
        lead = track.slice(0, 1).padded(INPUT_ROWS) if before is None else before[i]
        whole = lead.concat(track)
        starts = [FRAMES_PER_LATENT * j for j in range(frames)]
        keyboards.append(np.stack([whole.keyboard[s : s + INPUT_ROWS] for s in starts]))
        if whole.mouse is not None:
            mice.append(np.stack([whole.mouse[s : s + INPUT_ROWS].reshape(-1) for s in starts]))
    return ActionInputs(
        upload(torch.from_numpy(np.stack(keyboards)), device),
        upload(torch.from_numpy(np.stack(mice)), device) if mice else None,
    )


def next_world_tail(before: Sequence[ActionTrack] | None, rows: Sequence[ActionTrack]) -> tuple[ActionTrack, ...]:
    """The last 8 rows read, for the block after."""
    tails = []
    for i, track in enumerate(rows):
        whole = track if before is None else before[i].concat(track)
        tails.append(whole.slice(len(whole) - TAIL_ROWS).with_seeds(()))
    return tuple(tails)
