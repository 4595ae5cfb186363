"""Seed Gallery: how a world's next blocks look with one seed after the other."""

# pyright: reportMissingImports=false

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

import comfy.model_management as memory
import comfy.utils
import numpy as np
import torch
from torch import Tensor

from ...actions.track import ActionTrack, rows_of_blocks
from ...cache import BlockCache, CachedRollout
from ...cache.recent_blocks import RecentBlocks
from ...media.grid import labelled_sheet
from ...system.words import counted
from ...world import PassProgress
from ..models.ready import HostModels, ready
from ..running.folders import temporary_path
from ..running.live_world import LiveWorld


class Gallery(NamedTuple):
    """seeds: one for each picture. images: the last frame of each, IMAGE [N, H, W, 3]. sheet: all of them with their
    seeds, IMAGE [1, H, W, 3]. text: what was made, and whether it is kept."""

    seeds: list[int]
    images: Tensor
    sheet: Tensor
    text: str


def seed_gallery(
    start: LiveWorld, actions: ActionTrack, first: int, count: int, blocks: int, cache: BlockCache | None, node_id: str
) -> Gallery:
    """The next `blocks` blocks of a world with the seeds first..first + count - 1, one after the other: each is what
    Roll Out makes of the inputs with that seed for their first block. Raises WorldError where they do not fit."""
    seeds = list(range(first, first + count))
    passes = start.world.variant.passes
    bar = comfy.utils.ProgressBar(count * blocks * passes, node_id)
    frames, made = [], 0
    store = RecentBlocks(temporary_path(), memory.intermediate_device()) if cache is None else cache
    with ExitStack() as awake:
        models: list[object] = []

        def wake() -> None:
            if not models:
                models.append(awake.enter_context(ready(start.model, start.vae, *start.world.size)))

        for index, seed in enumerate(seeds):

            def on_pass(at: PassProgress, before: int = index * blocks) -> None:
                memory.throw_exception_if_processing_interrupted()
                bar.update_absolute((before + at.done) * passes + at.step)

            track = seeded(actions, seed, start.world.block)
            host_models = HostModels(start.model, start.vae)
            with CachedRollout(host_models, start.world, track, blocks, store, on_pass=on_pass, wake=wake) as run:
                last = [block.frames[0, -1] for block in run][-1]
            made += run.counts.made
            frames.append(last.cpu())
            bar.update_absolute((index + 1) * blocks * passes)
    pictures = torch.stack(frames)
    sheet = labelled_sheet([each.numpy() for each in frames], [f"seed {seed}" for seed in seeds])
    kept = "not kept: without a World Cache, Run makes them again" if cache is None else f"kept in '{cache.project}'"
    return Gallery(
        seeds,
        pictures.float() / 255,
        torch.from_numpy(np.asarray(sheet).copy()).float()[None] / 255,
        f"{counted(made, 'block')} made, {count * blocks - made} reused; {kept}",
    )


def seeded(actions: ActionTrack, seed: int, block: int) -> ActionTrack:
    """Inputs from a block on with another seed for that block; what they change later stays."""
    later = [change for change in actions.seeds if change[0] >= rows_of_blocks(1, block)]
    return actions.with_seeds([(0, seed), *later])
