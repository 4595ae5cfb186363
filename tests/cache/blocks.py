"""What the tests of the cache share: small rollouts with and without one, and inputs that differ from a row on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.cache.projects import SNAPSHOT
from comfyui_matrixgame.variants import first_input_of_block
from comfyui_matrixgame.world import Block, Models, World, rollout


def plain(models: Models, world: World, track: ActionTrack) -> list[Block]:
    """All blocks, made without a cache."""
    return list(rollout(models, world, track))


def cached(
    models: Models, world: World, track: ActionTrack, cache: BlockCache, **options: Any
) -> tuple[list[Block], CachedRollout]:
    """All blocks with a cache, and the rollout that gave them, closed."""
    with CachedRollout(models, world, track, None, cache, **options) as run:
        blocks = list(run)
    return blocks, run


def same(a: Sequence[Block], b: Sequence[Block]) -> bool:
    """Whether two rollouts are equal to the last bit, names included."""
    return len(a) == len(b) and all(
        x.index == y.index
        and x.names == y.names
        and torch.equal(x.latents, y.latents)
        and torch.equal(x.frames, y.frames)
        for x, y in zip(a, b, strict=True)
    )


def edited(track: ActionTrack, block: int, column: int = 0) -> ActionTrack:
    """The track with one key flipped on the first row that a block reads."""
    keyboard = track.keyboard.copy()
    row = first_input_of_block(block)
    if track.variant.exclusive:
        keyboard[row] = keyboard[row][[*range(1, keyboard.shape[1]), 0]]
    else:
        keyboard[row, column] = 1 - keyboard[row, column]
    return ActionTrack(track.variant, keyboard, track.mouse)


def without_snapshots(folder: Path, project: str) -> BlockCache:
    """The project as a new process would find it, had it lost every snapshot."""
    cache = BlockCache(folder, project)
    for file in cache.files():
        if file.kind == SNAPSHOT:
            file.path.unlink()
    return cache
