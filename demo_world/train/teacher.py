"""Stage 3: the teacher learns to take noise off any block, whatever the noise of the blocks before it."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from comfyui_matrixgame.compute.ops import upload
from comfyui_matrixgame.networks.generator.model import Generator
from comfyui_matrixgame.networks.generator.schedule import SHIFT, Schedule, clean_latents, renoise
from comfyui_matrixgame.networks.vae.base import pixels_to_frames
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK, UNIVERSAL

from .config import Preset
from .forcing import Passes, forced_velocities, guided_velocities
from .latents import LatentClips, LatentData
from .network import make_generator
from .steps.loop import Run, Values, train
from .steps.pictures import draw_strip
from .steps.recorded import Recorded, Twin
from .vae import load_vae

STEP_ODDS = (0.5, 0.25, 0.25)  # of a rollout's steps: the first decides what happens
CONTROL_EVERY = 20  # steps between two measurements of whether inputs matter
LEVELS = 2  # noise levels of a step in which all blocks are noisy alike
STRIP_CLIPS = 3  # clips in a picture


def train_teacher(run: Run, preset: Preset, seed: int = 0) -> None:
    """Train; writes teacher.pt in the run's folder."""
    seed = run.salted(seed)
    torch.manual_seed(seed)
    model = make_generator(preset).to(run.device)
    data = LatentData(run.out, run.device, seed)
    rng = np.random.default_rng([seed, 0x7EA])
    vae = load_vae(run.out, preset, run.device)
    if preset.clean_share == 1.0 and run.halves:
        return _train_recorded(run, preset, model, data, rng, vae)

    def loss_of(step: int) -> tuple[Tensor, Values]:
        if step % 50 == 0:
            data.refresh()
        clips = data.batch(preset.batch)
        if preset.clean_share == 1.0:
            sigmas = draw_sigmas(rng, LEVELS, preset.step_share)
            noises = [torch.randn_like(clips.latents) for _ in sigmas]
            with run.autocast():
                velocities = guided_velocities(model, clips, sigmas, noises)
        else:
            sigmas = draw_sigmas(rng, preset.clip_blocks, preset.step_share)
            noises = [torch.randn_like(clips.latents)]
            with run.autocast():
                clean = (rng.random(len(sigmas)) < preset.clean_share).tolist()
                velocities = [forced_velocities(model, clips, sigmas, noises[0], clean)]
        errors = [v - (noise - clips.latents) for v, noise in zip(velocities, noises, strict=True)]
        loss = torch.stack([error.square().mean() for error in errors]).mean()
        values: dict[str, float | Tensor] = {"clips": float(len(data))}
        if step % CONTROL_EVERY == 0:
            values["control"] = control_gap(model, clips, noises[0], run)
        return loss, values

    def picture(path: Path) -> None:
        sampler = copy.deepcopy(model).eval()
        sampler.load_state_dict(average_of())
        draw_rollouts(sampler, vae, data.pick(range(min(STRIP_CLIPS, len(data)))), path)

    holder: dict[str, dict[str, Tensor]] = {}

    def average_of() -> dict[str, Tensor]:
        return holder.get("average", model.state_dict())

    train(run, model, loss_of, picture=picture, share_average=holder)


def _train_recorded(
    run: Run, preset: Preset, model: Generator, data: LatentData, rng: np.random.Generator, vae
) -> None:
    """As `train_teacher`, for a GPU, where every step has the same shape."""
    twin = Twin(model)

    def errors_of(sigmas: Tensor, *parts: Tensor) -> list[Tensor]:
        clips = LatentClips(*parts)
        noises = [torch.randn_like(clips.latents) for _ in range(LEVELS)]
        velocities = guided_velocities(twin.model, clips, sigmas, noises)
        errors = [v - (noise - clips.latents) for v, noise in zip(velocities, noises, strict=True)]
        return [torch.stack([error.square().mean() for error in errors]).mean()]

    step_of = Recorded(errors_of, twin, run.graphs)

    def loss_of(step: int) -> tuple[Tensor, Values]:
        if step % 50 == 0:
            data.refresh()
        clips = data.batch(preset.batch)
        sigmas = upload(torch.tensor(draw_sigmas(rng, LEVELS, preset.step_share)), run.device)
        (loss,) = step_of(sigmas, *clips.parts)
        values: dict[str, float | Tensor] = {"clips": float(len(data))}
        if step % (5 * CONTROL_EVERY) == 0:
            values["control"] = control_gap(twin.model, clips, torch.randn_like(clips.latents), run)
        return loss, values

    holder: dict[str, dict[str, Tensor]] = {}

    def picture(path: Path) -> None:
        sampler = copy.deepcopy(model).eval()
        sampler.load_state_dict(holder.get("average", model.state_dict()))
        draw_rollouts(sampler, vae, data.pick(range(min(STRIP_CLIPS, len(data)))), path)

    train(run, model, loss_of, picture=picture, share_average=holder, twin=twin)


@torch.no_grad()
def control_gap(model: Generator, clips: LatentClips, noise: Tensor, run: Run) -> Tensor:
    """How much worse the blocks after the first get, from noise alone, with the inputs of another clip.

    In units of the latents' variance; 0: the model does not listen.
    """
    other = replace(clips, keyboard=clips.keyboard.roll(1, 0), mouse=clips.mouse.roll(1, 0))
    errors = []
    for inputs in (clips, other):
        with run.autocast() if model.compute_dtype == torch.float32 else nullcontext():
            velocity = guided_velocities(model, inputs, [1.0], [noise])[0]
        error = (velocity - (noise - clips.latents))[:, :, LATENTS_PER_BLOCK:]
        errors.append(error.square().mean())
    return errors[1] - errors[0]


def draw_sigmas(rng: np.random.Generator, blocks: int, step_share: float) -> list[float]:
    """A noise level for each block: one of the rollout's steps, or any level of the shifted schedule."""
    steps = Schedule.of(UNIVERSAL.steps).sigmas
    levels = []
    for _ in range(blocks):
        u = float(rng.random())
        own = float(rng.choice(steps, p=STEP_ODDS))
        levels.append(own if rng.random() < step_share else SHIFT * u / (1 + (SHIFT - 1) * u))
    return levels


@torch.no_grad()
def sample(model: Generator, clips: LatentClips, seed: int = 0) -> Tensor:
    """Latents [B, 16, L, h, w] of rollouts with the clips' images and inputs, as the engine makes them."""
    schedule = Schedule.of(UNIVERSAL.steps)
    passes = Passes(model, clips, [*schedule.timesteps, 0.0])
    generator = torch.Generator().manual_seed(seed)
    out = []
    for k in range(passes.blocks):
        span = passes.enter(k)
        shape = clips.latents[:, :, span].shape
        latents = clean = torch.randn(shape, generator=generator).to(clips.latents.device)
        for i, sigma in enumerate(schedule.sigmas):
            clean = clean_latents(latents, passes.run(latents, i), sigma)
            if i + 1 < len(schedule):
                noise = torch.randn(shape, generator=generator).to(clean.device)
                latents = renoise(clean, noise, schedule.sigmas[i + 1])
        passes.run(clean, len(schedule))
        out.append(clean)
    return torch.cat(out, dim=2)


@torch.no_grad()
def draw_rollouts(model: Generator, vae, clips: LatentClips, path: Path) -> None:
    """The game's frames and under them the model's, for each clip."""
    made = sample(model, clips)
    rows = []
    for true, own in zip(clips.latents, made, strict=True):
        rows += [pixels_to_frames(vae.decode(x[None])[0])[0].cpu().numpy() for x in (true, own)]
    draw_strip(rows, path, columns=9)
