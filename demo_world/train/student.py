"""Stage 4: the student learns from its own rollouts, in the three steps it will have.

As in Self-Forcing (Huang et al., 2025): blocks follow each other as in a rollout, with the caches of the
student's own blocks; of each block's steps one, drawn at random, is the last, and only it has a gradient.
Two losses say what a good block is: the game's own frames for the same inputs, and, with --dmd above zero,
distribution matching (DMD): the teacher's score against that of a critic which follows the student.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from comfyui_matrixgame.generator.model import Generator
from comfyui_matrixgame.generator.schedule import Schedule
from comfyui_matrixgame.variants import UNIVERSAL

from .config import Preset
from .forcing import Passes, forced_velocities, noisy_context
from .latents import LatentClips, LatentData
from .loop import Run, load_average, train
from .network import make_generator
from .teacher import STRIP_CLIPS, draw_rollouts
from .vae import load_vae


def train_student(run: Run, preset: Preset, seed: int = 0, dmd: float | None = None) -> None:
    """Train from the teacher's weights; writes student.pt in the run's folder."""
    seed = run.salted(seed)
    torch.manual_seed(seed)
    model = make_generator(preset)
    load_average(run.out, "teacher", model)
    model.to(run.device)
    weight = preset.dmd if dmd is None else dmd
    data = LatentData(run.out, run.device, seed + 1)
    rng = np.random.default_rng([seed, 0x57D])
    vae = load_vae(run.out, preset, run.device)
    matching = Matching(model, preset, run) if weight > 0 else None
    last: dict[str, LatentClips | Tensor] = {}

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        if step % 50 == 0:
            data.refresh()
        clips = data.batch(preset.student_batch)
        with run.autocast():
            made = own_rollout(model, clips, rng, preset.given_share)
        loss = (made - clips.latents).square().mean()
        values = {"game": float(loss.detach())}
        if matching is not None:
            last.update(clips=clips, made=made.detach())
            term = matching.loss(made, clips, rng)
            values["dmd"] = float(term.detach())
            loss = loss + weight * term
        return loss, values

    def after_step(step: int) -> dict[str, float]:
        if matching is None:
            return {}
        return {"critic": matching.follow(last["made"], last["clips"], rng)}  # type: ignore[arg-type]

    holder: dict[str, dict[str, Tensor]] = {}

    def picture(path: Path) -> None:
        sampler = copy.deepcopy(model).eval()
        sampler.load_state_dict(holder.get("average", model.state_dict()))
        draw_rollouts(sampler, vae, data.pick(range(min(STRIP_CLIPS, len(data)))), path)

    extra = {} if matching is None else {"critic": matching.critic, "critic_optimiser": matching.optimiser}
    train(run, model, loss_of, picture=picture, extra=extra, after_step=after_step, share_average=holder)


def own_rollout(model: Generator, clips: LatentClips, rng: np.random.Generator, given: float = 0.0) -> Tensor:
    """The student's own latents [B, 16, L, h, w] for the clips' images and inputs, with a gradient.

    given: share of blocks that later ones see as they are in the clip instead of as the student made them. What
    a pass over a finished block leaves for later ones has a gradient too; the block itself has none.
    """
    schedule = Schedule.of(UNIVERSAL.steps)
    passes = Passes(model, clips, [*schedule.timesteps, 0.0])
    made = []
    for k in range(passes.blocks):
        span = passes.enter(k)
        latents = clean = torch.randn_like(clips.latents[:, :, span])
        exit_step = int(rng.integers(len(schedule)))
        for i, sigma in enumerate(schedule.sigmas[: exit_step + 1]):
            with torch.set_grad_enabled(i == exit_step):
                clean = latents - sigma * passes.run(latents, i)
            if i < exit_step:
                level = schedule.sigmas[i + 1]
                latents = (1 - level) * clean + level * torch.randn_like(clean)
        made.append(clean)
        if k + 1 < passes.blocks:
            seen = noisy_context(clips.latents[:, :, span]) if rng.random() < given else clean.detach()
            passes.run(seen, len(schedule))
    return torch.cat(made, dim=2)


class Matching:
    """Distribution matching: how the student's clips would have to change to look like the teacher's."""

    def __init__(self, student: Generator, preset: Preset, run: Run) -> None:
        self.teacher = copy.deepcopy(student).eval().requires_grad_(False)
        self.critic = copy.deepcopy(student)
        self.optimiser = torch.optim.AdamW(self.critic.parameters(), lr=preset.student_lr, betas=(0.0, 0.99))
        self.run = run
        self.blocks = preset.clip_blocks

    def loss(self, made: Tensor, clips: LatentClips, rng: np.random.Generator) -> Tensor:
        """A loss whose gradient at `made` points from the teacher's guess to the critic's."""
        with torch.no_grad():
            noise = torch.randn_like(made)
            sigma = float(rng.uniform(0.2, 0.98))
            own = _with_latents(clips, made.detach())
            guesses = []
            for model in (self.teacher, self.critic):
                with self.run.autocast():
                    velocity = forced_velocities(model, own, [sigma] * self.blocks, noise, [True] * self.blocks)
                guesses.append((1 - sigma) * own.latents + sigma * noise - sigma * velocity)
            real, fake = guesses
            size = (own.latents - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1e-4)
            target = made.detach() - (fake - real) / size
        return 0.5 * (made - target).square().mean()

    def follow(self, made: Tensor, clips: LatentClips, rng: np.random.Generator) -> float:
        """One step of the critic on the student's clips; returns its loss."""
        own = _with_latents(clips, made)
        noise = torch.randn_like(made)
        sigmas = [float(rng.uniform(0.02, 0.98))] * self.blocks
        with self.run.autocast():
            velocity = forced_velocities(self.critic, own, sigmas, noise, [True] * self.blocks)
        loss = (velocity - (noise - made)).square().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.critic.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())


def _with_latents(clips: LatentClips, latents: Tensor) -> LatentClips:
    return LatentClips(latents, clips.condition, clips.features, clips.keyboard, clips.mouse)
