"""Stage 4: the student learns from its own rollouts, in the three steps it will have.

As in Self-Forcing (Huang et al., 2025): blocks follow each other as in a rollout, with the caches of the
student's own blocks; of each block's steps one, drawn at random, is the last, and only it has a gradient.
What says what a good block is: the game's own frames for the same inputs; that latents vary over a frame as much as
the game's (an unsure model answers with a mean, a blur, and sees that blur in the next block); and, with --dmd
above zero, distribution matching (DMD): the teacher's score against that of a critic which follows the student.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from comfyui_matrixgame.networks.generator.model import Generator
from comfyui_matrixgame.networks.generator.schedule import Schedule
from comfyui_matrixgame.networks.vae.base import pixels_to_frames
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK, UNIVERSAL

from .config import Preset
from .data import Clip, Source, batches
from .forcing import Passes, guided_velocities, noisy_context, velocities_after
from .latents import LatentClips, LatentData, clips_of, encode_clips
from .network import make_generator, make_vision
from .steps.loop import Run, Values, load_average, train
from .steps.recorded import Recorded, Twin
from .teacher import STRIP_CLIPS, draw_rollouts, sample
from .vae import load_vae

STEP_PAIRS, PAIR_ODDS = ((0, 2), (0, 1), (1, 2)), (0.5, 0.25, 0.25)  # steps learnt from together, of the three
EARLY = (3.0, 3.0, 2.0, 1.5)  # weights of the first blocks, where the game's frames can be matched; 1 from then on
HELD_OUT = 64  # clips to measure with; their numbers begin at 0, those of the latents far above
LAST_EVERY = 10  # steps between two measurements of how far off the last block is


def train_student(
    run: Run, preset: Preset, seed: int = 0, dmd: float | None = None, held_out: Source | None = None
) -> None:
    """Train from the teacher's weights; writes student.pt in the run's folder. held_out: the source of the clips whose
    PSNR by block is printed at the end."""
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
    twin = Twin(model) if preset.replay else None
    holder: dict[str, dict[str, Tensor]] = {}
    replayed = None if twin is None else Replayed(twin, data, preset, run, rng)

    def loss_of(step: int) -> tuple[Tensor, Values]:
        if step % 50 == 0:
            data.refresh()
        if replayed is not None:
            return replayed.loss()
        ahead = int(rng.integers(preset.ahead + 1))
        clips = data.batch(preset.student_batch).until(ahead + preset.clip_blocks - preset.ahead)
        with run.autocast():
            made = own_rollout(model, clips, rng, preset.given_share, ahead)
        late = slice(ahead * LATENTS_PER_BLOCK, None)
        loss = game = (made - clips.latents)[:, :, late].square().mean()
        values: dict[str, float | Tensor] = {"game": game.detach()}
        if preset.contrast:
            term = contrast_gap(made[:, :, late], clips.latents[:, :, late])
            values["contrast"] = term.detach()
            loss = loss + preset.contrast * term
        if matching is not None:
            last.update(clips=clips, made=made.detach())
            term = matching.loss(made, clips, rng)
            values["dmd"] = term.detach()
            loss = loss + weight * term
        if step % LAST_EVERY == 0:
            values["last"] = (made - clips.latents)[:, :, -LATENTS_PER_BLOCK:].detach().square().mean()
        return loss, values

    def after_step(step: int) -> Values:
        if matching is None:
            return {}
        return {"critic": matching.follow(last["made"], last["clips"], rng)}  # type: ignore[arg-type]

    def picture(path: Path) -> None:
        sampler = copy.deepcopy(model).eval()
        sampler.load_state_dict(holder.get("average", model.state_dict()))
        draw_rollouts(sampler, vae, data.pick(range(min(STRIP_CLIPS, len(data)))), path)

    extra = {} if matching is None else {"critic": matching.critic, "critic_optimiser": matching.optimiser}
    train(run, model, loss_of, picture=picture, extra=extra, after_step=after_step, share_average=holder, twin=twin)
    if held_out is not None:
        model.load_state_dict(holder["average"])
        print("student: PSNR by block", *psnr_by_block(model, vae, preset, held_out, run.device), flush=True)


class Replayed:
    """Learning from rollouts that the student has just made, all their blocks at once.

    A rollout is made without a gradient, for the clips of `preset.replay` steps together. What it leaves (each step's
    guess, and what later blocks saw) is all that a block's loss depends on, so that the gradient needs no rollout:
    every block after the one the student made, from noise on its own guess.
    """

    def __init__(self, twin: Twin, data: LatentData, preset: Preset, run: Run, rng: np.random.Generator) -> None:
        self.twin, self.data, self.preset, self.rng = twin, data, preset, rng
        self.sigmas = torch.tensor(Schedule.of(UNIVERSAL.steps).sigmas, device=run.device)
        weights = torch.ones(preset.clip_blocks)
        early = torch.tensor(EARLY)[: preset.clip_blocks]
        weights[: len(early)] = early
        weights = weights.repeat_interleave(LATENTS_PER_BLOCK) / weights.mean()
        self.weights = weights.to(run.device)[:, None, None]
        self.clips: LatentClips | None = None
        self.seen, self.bases = self.weights, self.weights
        self.used = preset.replay
        self.step_of = Recorded(self._losses, twin, run.graphs)

    def loss(self) -> tuple[Tensor, Values]:
        """A step's loss; its gradients are in the twin."""
        size = self.preset.student_batch
        if self.used == self.preset.replay:
            self.clips, self.used = self.data.batch(size * self.preset.replay), 0
            self.seen, self.bases = play_on(self.twin.model, self.clips, self.preset.given_share)
        assert self.clips is not None
        part = slice(self.used * size, (self.used + 1) * size)
        self.used += 1
        first, second = STEP_PAIRS[int(self.rng.choice(len(STEP_PAIRS), p=PAIR_ODDS))]
        sigmas = torch.stack([self.sigmas[first], self.sigmas[second]])
        clips = [x[part] for x in self.clips.parts]
        bases = self.bases[first, part], self.bases[second, part]
        loss, game, early, contrast = self.step_of(sigmas, self.seen[part], *bases, *clips)
        return loss, {"game": game, "early": early, "contrast": contrast}

    def _losses(self, sigmas: Tensor, seen: Tensor, first: Tensor, second: Tensor, *parts: Tensor) -> list[Tensor]:
        clips = LatentClips(*parts)
        noisy = [(1 - sigmas[i]) * x + sigmas[i] * torch.randn_like(x) for i, x in enumerate((first, second))]
        velocities = velocities_after(self.twin.model, clips, seen, sigmas, noisy)
        made = [x - sigmas[i] * v for i, (x, v) in enumerate(zip(noisy, velocities, strict=True))]
        errors = torch.stack([(x - clips.latents).square() for x in made])
        contrast = torch.stack([contrast_gap(x, clips.latents) for x in made]).mean()
        loss = (errors * self.weights).mean() + self.preset.contrast * contrast
        return [loss, errors.mean(), errors[:, :, :, : 2 * LATENTS_PER_BLOCK].mean(), contrast]


@torch.no_grad()
def play_on(model: Generator, clips: LatentClips, given: float = 0.0) -> tuple[Tensor, Tensor]:
    """A rollout with the clips' images and inputs -> what later blocks saw of each block [B, 16, L, h, w], and what
    noise is put on before each step [steps, B, 16, L, h, w] (before the first, nothing: zeros).

    given: share of blocks that later ones see as they are in the clip, with a little noise.
    """
    schedule = Schedule.of(UNIVERSAL.steps)
    passes = Passes(model, clips, [*schedule.timesteps, 0.0])
    seen = torch.empty_like(clips.latents)
    bases = clips.latents.new_zeros(len(schedule), *clips.latents.shape)
    for k in range(passes.blocks):
        span = passes.enter(k)
        true = clips.latents[:, :, span]
        latents = torch.randn_like(true)
        clean = latents
        for i, sigma in enumerate(schedule.sigmas):
            clean = latents - sigma * passes.run(latents, i)
            if i + 1 < len(schedule):
                bases[i + 1, :, :, span] = clean
                level = schedule.sigmas[i + 1]
                latents = (1 - level) * clean + level * torch.randn_like(clean)
        is_given = torch.rand(len(clean), 1, 1, 1, 1, device=clean.device) < given
        seen[:, :, span] = torch.where(is_given, noisy_context(true), clean)
        if k + 1 < passes.blocks:
            passes.run(seen[:, :, span], len(schedule))
    return seen, bases


@torch.no_grad()
def psnr_by_block(model: Generator, vae, preset: Preset, source: Source, device: torch.device) -> list[float]:
    """PSNR in dB of each block of rollouts, against the game's frames for the same inputs."""
    clip: Clip = next(batches(source, range(HELD_OUT), preset.clip_frames, HELD_OUT))
    clips = clips_of(encode_clips(clip, vae, make_vision(preset).to(device), device), device)
    made = sample(model.eval(), clips)
    frames = torch.cat([pixels_to_frames(vae.decode(part)[0]).cpu() for part in made.split(16)])
    errors = (frames.float() - clip.frames.cpu().float()).square().mean(dim=(0, 2, 3, 4))
    blocks = errors[9:].unflatten(0, (-1, 12)).mean(dim=1)
    return [round(10 * float(torch.log10(255**2 / e)), 2) for e in [errors[:9].mean(), *blocks]]


def own_rollout(
    model: Generator, clips: LatentClips, rng: np.random.Generator, given: float = 0.0, ahead: int = 0
) -> Tensor:
    """The student's latents [B, 16, L, h, w] for the clips' images and inputs, every block with a gradient after the
    first `ahead`.

    given: share of blocks with a gradient that later ones see as they are in the clip instead of as the student made
    them. What a pass over a finished block leaves for later ones has a gradient too; the block itself has none.
    """
    schedule = Schedule.of(UNIVERSAL.steps)
    passes = Passes(model, clips, [*schedule.timesteps, 0.0])
    made = []
    for k in range(passes.blocks):
        with _gradient(k >= ahead, clips.latents):
            span = passes.enter(k)
        latents = clean = torch.randn_like(clips.latents[:, :, span])
        exit_step = int(rng.integers(len(schedule)))
        for i, sigma in enumerate(schedule.sigmas[: exit_step + 1]):
            with _gradient(k >= ahead and i == exit_step, latents):
                clean = latents - sigma * passes.run(latents, i)
            if i < exit_step:
                level = schedule.sigmas[i + 1]
                latents = (1 - level) * clean + level * torch.randn_like(clean)
        made.append(clean)
        if k + 1 < passes.blocks:
            is_given = k >= ahead and rng.random() < given
            seen = noisy_context(clips.latents[:, :, span]) if is_given else clean.detach()
            with _gradient(k >= ahead, latents):
                passes.run(seen, len(schedule))
    return torch.cat(made, dim=2)


@contextmanager
def _gradient(wanted: bool, like: Tensor) -> Iterator[None]:
    """With or without a gradient. Autocast keeps the weights it has cast: a pass with a gradient must not get those
    that were cast without one."""
    kind = like.device.type
    if wanted or not torch.is_autocast_enabled(kind):
        with torch.set_grad_enabled(wanted):
            yield
        return
    with torch.no_grad(), torch.autocast(kind, torch.get_autocast_dtype(kind), cache_enabled=False):
        yield


def contrast_gap(made: Tensor, true: Tensor) -> Tensor:
    """How differently the latents [B, 16, L, h, w] vary over their frames: mean squared difference of deviations."""
    deviations = [x.float().var(dim=(-2, -1)).clamp(min=1e-6).sqrt() for x in (made, true)]
    return (deviations[0] - deviations[1]).square().mean()


class Matching:
    """Distribution matching: how the student's clips would have to change to look like the teacher's."""

    def __init__(self, student: Generator, preset: Preset, run: Run) -> None:
        self.teacher = copy.deepcopy(student).eval().requires_grad_(False)
        self.critic = copy.deepcopy(student)
        self.optimiser = torch.optim.AdamW(self.critic.parameters(), lr=preset.student_lr, betas=(0.0, 0.99))
        self.run = run

    def loss(self, made: Tensor, clips: LatentClips, rng: np.random.Generator) -> Tensor:
        """A loss whose gradient at `made` points from the teacher's guess to the critic's."""
        with torch.no_grad():
            noise = torch.randn_like(made)
            sigma = float(rng.uniform(0.2, 0.98))
            own = _with_latents(clips, made.detach())
            guesses = []
            for model in (self.teacher, self.critic):
                with self.run.autocast():
                    velocity = guided_velocities(model, own, [sigma], [noise])[0]
                guesses.append((1 - sigma) * own.latents + sigma * noise - sigma * velocity)
            real, fake = guesses
            size = (own.latents - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1e-4)
            target = made.detach() - (fake - real) / size
        return 0.5 * (made - target).square().mean()

    def follow(self, made: Tensor, clips: LatentClips, rng: np.random.Generator) -> Tensor:
        """One step of the critic on the student's clips; returns its loss."""
        own = _with_latents(clips, made)
        noise = torch.randn_like(made)
        with self.run.autocast():
            velocity = guided_velocities(self.critic, own, [float(rng.uniform(0.02, 0.98))], [noise])[0]
        loss = (velocity - (noise - made)).square().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.critic.parameters(), 1.0)
        self.optimiser.step()
        return loss.detach()


def _with_latents(clips: LatentClips, latents: Tensor) -> LatentClips:
    return LatentClips(latents, clips.condition, clips.features, clips.keyboard, clips.mouse)
