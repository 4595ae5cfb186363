"""Several rollouts at once on one device, each as it would be alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...cache.blocks import BlockCache
from ...cache.cached_rollout import CachedRollout
from ...world import (
    Models,
    PassProgress,
    World,
    rollout,
    select_world,
    stack_worlds,
    start_world,
    start_world_from_clip,
)
from ...world.world import first_name
from ..jobs.settings import JobFile
from ..jobs.task import Source, Task

KEPT_STARTS = 8
CACHE_FOLDER, CACHE_PROJECT = "blocks", "batch"  # a folder of its own: what is old in it is deleted to make room


@dataclass(frozen=True)
class Made:
    """A block of one task: frames [N, H, W, 3] of 8 bits, latents [16, 3, h, w]. last: of its task, with the
    world where it is kept. seconds: of the models so far, shared among the tasks of the batch."""

    index: int
    frames: NDArray[np.uint8]
    latents: Tensor
    last: bool
    world: World | None
    seconds: float


def open_cache(jobs: JobFile) -> BlockCache | None:
    """The cache of a job file; None where it has none."""
    return None if jobs.cache is None else BlockCache(jobs.cache / CACHE_FOLDER, CACHE_PROJECT)


class Renderer:
    """Models on a device, and the starts that were encoded last.

    worlds: how many tasks run as one batch. A group with fewer is filled up with copies: the last digits of a sum
    depend on the size of a batch, but not on what else is in it, so a result does not depend on its neighbours.
    cache: blocks that were made before, with worlds = 1; the bytes are the same with and without it.
    """

    def __init__(self, models: Models, worlds: int = 1, cache: BlockCache | None = None) -> None:
        self.models, self.worlds, self.cache = models, worlds, cache
        self._starts: dict[tuple, World] = {}

    @torch.inference_mode()
    def render(
        self, tasks: Sequence[Task], sources: Sequence[Source], on_pass: Callable[[PassProgress], None]
    ) -> Iterator[Made]:
        """The blocks of up to `worlds` tasks with equal blocks; on_pass may raise to stop."""
        mark, spent = time.perf_counter(), 0.0
        starts = [self._start(task, source) for task, source in zip(tasks, sources, strict=True)]
        blocks = tasks[0].blocks
        if self.cache is not None:
            run = CachedRollout(self.models, starts[0], tasks[0].track, blocks, self.cache, on_pass=on_pass)
        else:
            filled = [*starts, *([starts[-1]] * (self.worlds - len(starts)))]
            tracks = [task.track for task in tasks]
            tracks += [tracks[-1]] * (len(filled) - len(tracks))
            run = rollout(self.models, stack_worlds(filled), tracks, blocks, on_pass=on_pass)
        for _, block in zip(range(blocks), run, strict=False):  # not beyond: a cache would store the state after it
            last = run.done == run.blocks
            spent += time.perf_counter() - mark  # not while the block waits to be written
            for index, task in enumerate(tasks):
                world = select_world(run.world, index).to("cpu") if last and "world" in task.keep else None
                latents = block.latents[index].to("cpu")
                yield Made(index, block.frames[index].numpy(), latents, last, world, spent / len(tasks))
            mark = time.perf_counter()

    def _start(self, task: Task, source: Source) -> World:
        """The world before a task's first new block; one that was encoded before only changes its seed."""
        key = (source.name, task.size)
        if source.clip_blocks:
            assert source.clip_track is not None
            return start_world_from_clip(self.models, source.pixels(task.size), source.clip_track, task.seed)
        start = self._starts.get(key)
        if start is None:
            # in main memory: on the device a start takes as much as the state of the encoder
            start = start_world(self.models, source.pixels(task.size), task.seed).to("cpu")
            self._starts[key] = start
            while len(self._starts) > KEPT_STARTS:
                del self._starts[next(iter(self._starts))]
        variant = self.models.variant
        name = first_name(start.models_id, variant, start.image[0], task.seed, variant.steps)
        return replace(start, seeds=(task.seed,), names=(name,))
