"""The bidirectional network gives the numbers of golden/foundation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.networks.generator.bidirectional import FoundationGenerator
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world.block.inputs import block_windows

from ..support.networks import golden, golden_config, largest_difference, stream, with_streams

TOLERANCE = 1e-4  # golden/README.md
BFLOAT16_TOLERANCE = 0.07  # measured 0.047
TIMESTEPS = (1000, 640, 0)
FRAMES = 6


@torch.inference_mode()
def velocities(dtype: torch.dtype) -> list[Tensor]:
    """The network's answers at all timesteps, each pass with the same inputs."""
    model = with_streams(FoundationGenerator(golden_config("foundation")), "foundation").to(dtype)
    assert isinstance(model, FoundationGenerator)
    model.compute_dtype = dtype
    answers = golden("foundation")
    track = ActionTrack(UNIVERSAL, answers["keyboard"][0].numpy(), answers["mouse"][0].numpy())
    inputs = block_windows(None, [track], torch.device("cpu"), FRAMES)
    caches = model.empty_caches(1, 44, 80, torch.device("cpu"), dtype)
    features = stream("foundation/visual_context", (1, 257, 1280))
    constants = model.prepare_rollout(features, [float(t) for t in TIMESTEPS])
    clip = model.prepare_block(0, FRAMES, 44, 80, inputs, caches)
    mask = torch.zeros(1, 4, FRAMES, 44, 80)
    mask[:, :, 0] = 1
    shape = (1, 16, FRAMES, 44, 80)
    condition = torch.cat([mask, stream("foundation/cond_latents", shape)], dim=1)
    noise = stream("foundation/noise", shape)
    return [model(noise, condition, step, constants, clip, caches).float() for step in range(len(TIMESTEPS))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_velocities(dtype: torch.dtype) -> None:
    answers = golden("foundation")
    tolerance = TOLERANCE if dtype == torch.float32 else BFLOAT16_TOLERANCE
    for t, velocity in zip(TIMESTEPS, velocities(dtype), strict=True):
        difference = largest_difference(velocity[..., ::4, ::4], answers[f"flow/{t}"])
        assert difference < tolerance
