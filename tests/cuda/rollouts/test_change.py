"""A change of a world's last frames on a device, from a world in main memory, gives the frames of a rollout there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from comfyui_matrixgame.world import rollout
from comfyui_matrixgame.world.change import change_world, plan_change
from comfyui_matrixgame.world.start import fill_from_latents

from ...cache.blocks import same
from ...pretend_gpu import Machine
from ..networks import CUDA, at_home, begin, small_on, track_of

BLOCKS = 2


@pytest.mark.parametrize("device", CUDA, ids=str)
def test_a_world_of_main_memory_is_changed_on_the_device(two_gpus: Machine, device: torch.device) -> None:
    models = small_on(device)
    start, track = begin(models), track_of(models, BLOCKS)
    run = rollout(models, start.to("cpu"), track)
    made = list(run)
    world = run.world.to("cpu")
    change = plan_change(models, world, made[-1].frames[0, -1:] // 2)
    there, seen = change_world(models, change), change_world(models, change, world.features + 1)
    moved = there.recent[-1].latents
    assert moved.device.type == "cpu"
    assert not torch.equal(moved, made[-1].latents)
    latents = torch.cat([made[0].latents, moved], dim=2).to(device)
    filled = replace(fill_from_latents(models, start.to(device), latents, [track]), names=there.names)
    found, wanted, other = (
        [at_home(block) for block in rollout(models, each, track_of(models, 1))] for each in (there, filled, seen)
    )
    assert same(found, wanted)
    assert seen.image.is_cuda
    assert not torch.equal(found[0].latents, other[0].latents)  # the network is shown another picture
