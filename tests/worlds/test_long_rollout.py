"""400 blocks, past latent frame 1024: memory stays, and the last block costs what an early one did."""

from __future__ import annotations

import copy
import statistics
import time

import psutil
import torch

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Block, Rollout, rollout, start_world

from ..support.networks import random_track, small_image, small_models, thinned

BLOCKS = 400
COMPARED = 20  # of the last blocks, with those from block 15 on


def test_memory_and_time_stay_flat() -> None:
    models = copy.copy(small_models())
    models.vae = thinned(copy.deepcopy(models.vae))
    world = start_world(models, small_image(16, 16))
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    process = psutil.Process()
    resident, early, late, frames = [], [], [], 0
    run = rollout(models, world, track)
    young = None
    for index in range(BLOCKS):
        if index == 15:
            young = rollout(models, run.world, track.slice(rows_of_blocks(15), len(track)), COMPARED)
        seconds, block = timed(run)
        frames += block.frames.shape[1]
        resident.append(process.memory_info().rss)
        if index >= BLOCKS - COMPARED:  # in turns, so that what else the machine does slows down both
            assert young is not None
            late.append(seconds)
            early.append(timed(young)[0])
    assert next(run, None) is None
    assert frames == 4797
    assert run.world.block * 3 > 1024
    assert torch.isfinite(block.latents).all()
    assert max(resident[20:]) / resident[20] < 1.02
    assert statistics.median(b / a for a, b in zip(early, late, strict=True)) < 1.25


def timed(run: Rollout) -> tuple[float, Block]:
    began = time.thread_time()
    block = next(run)
    return time.thread_time() - began, block
