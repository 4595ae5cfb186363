"""Warming up: on a GPU the first work of every kind loads kernels, compiles some and chooses among others.

That takes seconds, once in a process and for a size. Done here it has a progress bar of its own, and no block of a
video, no key press of a player waits for it.
"""

from __future__ import annotations

import torch

from ..actions.track import ActionTrack, rows_of_blocks
from .models import Models
from .rollout import OnPass, rollout
from .start import start_world

BLOCKS = 3  # the first one decodes in its own way; in the third the window is full
_warm: set[tuple[str, int, int, int]] = set()


def passes_of_warm_up(models: Models, height: int, width: int, batch: int = 1) -> int:
    """Passes that `warm_up` will make: none on a CPU, and none where it was done."""
    if models.device.type == "cpu" or (models.identity(), height, width, batch) in _warm:
        return 0
    return BLOCKS * (len(models.variant.steps) + 1)


def warm_up(models: Models, height: int, width: int, batch: int = 1, on_pass: OnPass | None = None) -> None:
    """Make blocks of this size, for so many worlds at once, and forget them. on_pass: as in `rollout`."""
    if not passes_of_warm_up(models, height, width, batch):
        return
    features = torch.zeros(1, 257, models.generator.config.visual_dim)
    world = start_world(models, torch.zeros(3, height, width), list(range(batch)), features=features)
    track = ActionTrack.idle(models.variant, rows_of_blocks(BLOCKS))
    for _ in rollout(models, world, track, BLOCKS, on_pass=on_pass):
        pass
    _warm.add((models.identity(), height, width, batch))
