"""The rollouts of tests/golden: their models, worlds, noise and inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.networks.vae import WanVAE
from comfyui_matrixgame.networks.vae.base import State
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS, Key
from comfyui_matrixgame.world import Models, World, start_world

from .networks import small_image, stream, with_streams

TOLERANCE = 1e-4  # golden/README.md; this engine stays under 1e-5

BFLOAT16_TOLERANCE = 0.06  # of the latents, which reach 5; measured 0.040 at most over all of them

RELATIVE = replace(UNIVERSAL, steps=(1000, 750, 500, 250))

ROLLOUTS = VARIANTS | {
    "six_keys": replace(RELATIVE, name="six_keys", controls=(*UNIVERSAL.controls, Key("e", "E"), Key("f", "F"))),
    "sink": replace(RELATIVE, name="sink", sink=1),
}


class NoPixels(nn.Module):
    """Stands in for a decoder: these numbers end at the latents."""

    state_device: torch.device | None = None
    latents_behind = 1

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        return torch.zeros(1, 3, 9 if state is None else 12, 8, 8), (latents[:, :, -1:],)


def models_with(model: Generator, name: str) -> Models:
    model.variant = ROLLOUTS[name]
    models = Models(model, with_streams(WanVAE(base_dim=4), "small/vae"), NoPixels())  # type: ignore[arg-type]
    models.variant = replace(models.variant, exclusive=False)  # golden templerun has rows with no key at all
    return models


def golden_world(models: Models, name: str, frames: int = 12) -> World:
    features = stream(f"{name}/visual_context", (1, 257, 1280))
    world = start_world(models, small_image(), features=features)
    return replace(
        world,
        image=torch.zeros(1, 3, 352, 640),
        condition=stream(f"{name}/cond_latents", (1, 16, frames, 44, 80)),
        encoder_state=None,
        caches=models.generator.empty_caches(1, 44, 80, models.device, models.cache_dtype),
    )


def golden_noise(name: str, frames: int = 12) -> Any:
    start = stream(f"{name}/noise", (1, 16, frames, 44, 80))[0]

    def noise(_seed: int, block: int, step: int, _shape: tuple[int, ...]) -> Tensor:
        if step == 0:
            return start[:, 3 * block : 3 * block + 3]
        return stream(f"{name}/renoise/{block}/{step - 1}", (3, 16, 44, 80)).transpose(0, 1)

    return noise


def golden_track(models: Models, answers: dict[str, Tensor]) -> ActionTrack:
    mouse = answers["mouse"][0].numpy() if "mouse" in answers else None
    return ActionTrack(models.variant, answers["keyboard"][0].numpy(), mouse)
