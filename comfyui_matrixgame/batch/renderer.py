"""Several rollouts at once on one device, each as it would be alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..world import Models, PassProgress, World, rollout, select_world, stack_worlds, start_world, start_world_from_clip
from ..world.world import first_name
from .task import Source, Task

KEPT_STARTS = 8


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


class Renderer:
    """Models on a device, and the starts that were encoded last.

    worlds: how many tasks run as one batch. A group with fewer is filled up with copies: the last digits of a sum
    depend on the size of a batch, but not on what else is in it, so a result does not depend on its neighbours.
    """

    def __init__(self, models: Models, worlds: int = 1) -> None:
        self.models, self.worlds = models, worlds
        self._starts: dict[tuple, World] = {}

    @torch.inference_mode()
    def render(
        self, tasks: Sequence[Task], sources: Sequence[Source], on_pass: Callable[[PassProgress], None]
    ) -> Iterator[Made]:
        """The blocks of up to `worlds` tasks with equal blocks; on_pass may raise to stop."""
        mark, spent = time.perf_counter(), 0.0
        starts = [self._start(task, source) for task, source in zip(tasks, sources, strict=True)]
        filled = [*starts, *([starts[-1]] * (self.worlds - len(starts)))]
        tracks = [task.track for task in tasks]
        tracks += [tracks[-1]] * (len(filled) - len(tracks))
        run = rollout(self.models, stack_worlds(filled), tracks, tasks[0].blocks, on_pass=on_pass)
        for block in run:
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
        known = self._starts.get(key)
        if known is None:
            known = start_world(self.models, source.pixels(task.size), task.seed)
            self._starts[key] = known
            while len(self._starts) > KEPT_STARTS:
                del self._starts[next(iter(self._starts))]
        variant = self.models.variant
        name = first_name(known.models_id, variant, known.image[0], task.seed, variant.steps)
        return replace(known, seeds=(task.seed,), names=(name,))
