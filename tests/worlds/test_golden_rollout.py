"""The generator, its caches and the block loop give the published numbers."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.compute.ops import cpu_multiplies_bfloat16
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.networks.generator.kv_cache import Ring
from comfyui_matrixgame.networks.generator.schedule import Schedule
from comfyui_matrixgame.variants import VARIANTS
from comfyui_matrixgame.world import Models, World, rollout
from comfyui_matrixgame.world.start import fill_from_latents

from ..support.golden_rollouts import (
    BFLOAT16_TOLERANCE,
    ROLLOUTS,
    TOLERANCE,
    golden_noise,
    golden_track,
    golden_world,
    models_with,
)
from ..support.networks import (
    golden,
    golden_config,
    largest_difference,
    manifest,
    shapes_of,
    stream,
    with_streams,
)


class Recorder(Generator):
    """A generator that keeps the output of every pass."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        flow = super().forward(*args, **kwargs)
        self.__dict__.setdefault("flows", []).append(flow)
        return flow


@functools.cache
def generator(name: str) -> Recorder:
    return with_streams(Recorder(golden_config(name)), name)  # type: ignore[return-value]


def golden_models(name: str) -> Models:
    model = generator(name)
    model.__dict__["flows"] = []
    return models_with(model, name)


@pytest.mark.parametrize("name", VARIANTS)
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    from comfyui_matrixgame.networks.generator import GeneratorConfig

    variant = VARIANTS[name]
    with torch.device("meta"):
        model = Generator(GeneratorConfig(keyboard_dim=len(variant.keys), mouse=variant.mouse, window=variant.window))
    assert shapes_of(model) == manifest(f"generator_{name}")


@pytest.mark.parametrize("name", ROLLOUTS)
def test_schedule(name: str) -> None:
    timesteps = torch.tensor(Schedule.of(ROLLOUTS[name].steps).timesteps)
    assert torch.equal(timesteps, golden(f"rollout_{name}")["timesteps"])


@pytest.mark.parametrize("name", ROLLOUTS)
def test_rollout(name: str) -> None:
    answers = golden(f"rollout_{name}")
    models, frames = golden_models(name), answers["latents"].shape[2]
    world, track = golden_world(models, name, frames), golden_track(models, answers)
    run = rollout(models, world, track, frames // 3, noise=golden_noise(name, frames))
    latents = torch.cat([block.latents for block in run], dim=2)
    assert largest_difference(latents[..., ::4, ::4], answers["latents"]) < TOLERANCE
    flows = models.generator.flows
    assert len(flows) == frames // 3 * run.passes
    for i, flow in enumerate(flows):
        wanted = answers[f"flow/{i // run.passes}/{i % run.passes}"]
        assert largest_difference(flow[..., ::4, ::4], wanted) < TOLERANCE
    check_caches(run.world, answers, frames)


def check_caches(world: World, answers: dict[str, Tensor], frames: int) -> None:
    layer, sink = world.caches[0], world.variant.sink
    in_order = [*range(sink), *range(frames - layer.video.window + sink, frames)]

    def entries(ring: Ring, part: int) -> Tensor:
        return torch.cat([ring.entries(frame, 1)[part] for frame in in_order], dim=1)

    for part, wanted in enumerate(("kv0/k_window", "kv0/v_window")):
        assert largest_difference(entries(layer.video, part)[:, ::211], answers[wanted]) < TOLERANCE
    assert layer.keyboard is not None
    assert largest_difference(entries(layer.keyboard, 0), answers["keyboard0/k"]) < TOLERANCE
    if layer.mouse is not None:
        assert largest_difference(entries(layer.mouse, 0)[::97], answers["mouse0/k"]) < TOLERANCE


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "sink" else []) for name in ROLLOUTS]
)
def test_rollout_in_bfloat16(name: str) -> None:
    answers = golden(f"rollout_{name}")
    model = with_streams(Generator(golden_config(name)), name).bfloat16()
    model.compute_dtype = torch.bfloat16  # type: ignore[assignment]
    models = models_with(model, name)  # type: ignore[arg-type]
    assert models.cache_dtype == torch.bfloat16
    # a processor without products in bfloat16 never computes in it by itself, and takes minutes for all four blocks;
    # the window is full from the third on, which one shows for all, and with a sink
    frames = answers["latents"].shape[2]
    blocks = frames // 3 if cpu_multiplies_bfloat16() and name == "sink" else 2
    world, track = golden_world(models, name, frames), golden_track(models, answers)
    run = rollout(models, world, track, blocks, noise=golden_noise(name, frames))
    latents = torch.cat([block.latents for block in run], dim=2)
    difference = largest_difference(latents[..., ::4, ::4], answers["latents"][:, :, : 3 * blocks])
    assert 1e-4 < difference < BFLOAT16_TOLERANCE, difference


def test_continuing_a_clip() -> None:
    answers = golden("continue_universal")
    rows = golden("rollout_universal")
    models = golden_models("universal")
    track = golden_track(models, rows).slice(0, 33)
    first = stream("universal/given_latents", (1, 16, 3, 44, 80))
    world = fill_from_latents(models, golden_world(models, "universal", 9), first, [track.slice(0, 8)])
    run = rollout(models, world, track.slice(8), 2, noise=golden_noise("universal", 9))
    latents = torch.cat([first, *(block.latents for block in run)], dim=2)
    flows = models.generator.flows
    assert largest_difference(flows[0][..., ::4, ::4], answers["flow/0/3"]) < TOLERANCE
    assert largest_difference(flows[1][..., ::4, ::4], answers["flow/1/0"]) < TOLERANCE
    assert largest_difference(latents[..., ::4, ::4], answers["latents"]) < TOLERANCE
