"""Warming up: on a GPU the first work of every kind loads kernels, compiles some and chooses among others.

That takes seconds, once in a process and for a size. Done here it has a progress bar of its own, and no block of a
video, no key press of a player waits for it.
"""

from __future__ import annotations

import torch

from ..actions.track import ActionTrack, rows_of_blocks
from ..networks.vae.base import LATENT_CHANNELS, SPATIAL_STRIDE
from .block.condition import CONSTANT_FROM
from .block.passes import OnPass
from .models import Models
from .rollout import rollout
from .start import start_world
from .world import World

BLOCKS = 3  # the first one decodes in its own way; in the third the window is full
_warm: set[tuple[str, int, int, int]] = set()


def passes_of_warm_up(models: Models, height: int, width: int, batch: int = 1) -> int:
    """Passes that `warm_up` will make: none on a CPU, and none where it was done."""
    if models.device.type == "cpu" or (models.id(), height, width, batch) in _warm:
        return 0
    return BLOCKS * models.variant.passes


def warm_up(models: Models, height: int, width: int, batch: int = 1, on_pass: OnPass | None = None) -> None:
    """Make blocks of this size, for so many worlds at once, and forget them. on_pass: as in `rollout`."""
    if not passes_of_warm_up(models, height, width, batch):
        return
    world = _blank_world(models, height, width, batch)
    track = ActionTrack.idle(models.variant, rows_of_blocks(BLOCKS))
    run = rollout(models, world, track, BLOCKS, on_pass=on_pass)
    del world  # or its encoder's state would lie beside the rollout's
    for _ in run:
        pass
    _warm.add((models.id(), height, width, batch))


def _blank_world(models: Models, height: int, width: int, batch: int) -> World:
    """A world to warm up with. Where the encoder leaves, it has done its work before, or will not matter: then nothing
    is encoded, which would be 30 latent frames."""
    features, image = torch.zeros(1, 257, models.generator.config.visual_dim), torch.zeros(3, height, width)
    if not models.vae.encode_at_once:
        return start_world(models, image, list(range(batch)), features=features)
    device, models_id = models.device, models.id()
    rows, columns = height // SPATIAL_STRIDE, width // SPATIAL_STRIDE
    return World(
        variant=models.variant,
        block=0,
        seeds=tuple(range(batch)),
        names=tuple(f"warm {seed}" for seed in range(batch)),
        models_id=models_id,
        decoder_id="",
        image=image.expand(batch, -1, -1, -1).to(device),
        features=features.expand(batch, -1, -1).to(device),
        condition=torch.zeros(batch, LATENT_CHANNELS, CONSTANT_FROM + 1, rows, columns, device=device),
        encoder_state=None,
        decoder_state=None,
        caches=[],
        tail=None,
    )
