"""Passes through the generator that a gradient can go back through."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from comfyui_matrixgame.generator.action_module import ActionInputs
from comfyui_matrixgame.generator.kv_cache import LayerCache
from comfyui_matrixgame.generator.model import BlockConstants, Generator, RolloutConstants
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK

from .latents import LatentClips

CONTEXT_NOISE = 0.15  # most noise on finished blocks: the model must not trust them to the last digit


class GradientRing:
    """What kv_cache.Ring is to a rollout, without writing over anything: the gradient needs the old values."""

    def __init__(self, window: int, tokens: int) -> None:
        self.window, self.tokens = window, tokens
        self.blocks: dict[int, tuple[Tensor, Tensor]] = {}

    def write(self, first_frame: int, k: Tensor, v: Tensor) -> None:
        """Entries of consecutive latent frames [N, F * tokens, heads, dim]; written again, they are replaced."""
        self.blocks[first_frame] = (k, v)

    def read(self, end_frame: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values of the frames of the window that ends before `end_frame`."""
        start = max(0, end_frame - self.window)
        keys, values = [], []
        for first, (k, v) in sorted(self.blocks.items()):
            frames = k.shape[1] // self.tokens
            low, high = max(start, first) - first, min(end_frame, first + frames) - first
            if low < high:
                keys.append(k[:, low * self.tokens : high * self.tokens].to(dtype))
                values.append(v[:, low * self.tokens : high * self.tokens].to(dtype))
        return torch.cat(keys, dim=1), torch.cat(values, dim=1)


class Passes:
    """One batch of clips on its way through the generator, block after block."""

    def __init__(self, model: Generator, clips: LatentClips, timesteps: Sequence[float]) -> None:
        """timesteps: all that `run` will be asked for, each for the whole batch."""
        self.model, self.clips, self.timesteps = model, clips, list(timesteps)
        height, width = clips.latents.shape[3:]
        self.size = (int(height), int(width))
        places = (self.size[0] // 2) * (self.size[1] // 2)
        config = model.config
        self.caches = [
            LayerCache(
                video=GradientRing(config.window, places),  # type: ignore[arg-type]
                mouse=GradientRing(config.window, 1) if i in config.action_layers else None,  # type: ignore[arg-type]
                keyboard=GradientRing(config.window, 1) if i in config.action_layers else None,  # type: ignore[arg-type]
            )
            for i in range(config.layers)
        ]
        self.rollout: RolloutConstants = model.prepare_rollout(clips.features, self.timesteps)
        self.block: BlockConstants | None = None
        self.span = slice(0, 0)

    @property
    def blocks(self) -> int:
        """Blocks of a clip."""
        return self.clips.latents.shape[2] // LATENTS_PER_BLOCK

    def enter(self, block: int) -> slice:
        """Begin a block; returns its latent frames."""
        first = block * LATENTS_PER_BLOCK
        self.span = slice(first, first + LATENTS_PER_BLOCK)
        inputs = ActionInputs(self.clips.keyboard[:, self.span], self.clips.mouse[:, self.span])
        self.block = self.model.prepare_block(first, LATENTS_PER_BLOCK, *self.size, inputs, self.caches)
        return self.span

    def run(self, latents: Tensor, step: int) -> Tensor:
        """Velocity [B, 16, 3, h, w] of the block's latents at timestep number `step`, in float32."""
        assert self.block is not None
        condition = self.clips.condition[:, :, self.span]
        return self.model(latents, condition, step, self.rollout, self.block, self.caches).float()


def forced_velocities(
    model: Generator, clips: LatentClips, sigmas: Sequence[float], noise: Tensor, clean_context: Sequence[bool]
) -> Tensor:
    """Velocities of every block of the clips, each at a noise level of its own -> [B, 16, L, h, w].

    sigmas: one per block. clean_context: whether later blocks see a block finished (as in a rollout) or as
    noisy as it was (diffusion forcing).
    """
    passes = Passes(model, clips, [1000 * s for s in sigmas] + [0.0])
    velocities = []
    for k, sigma in enumerate(sigmas):
        span = passes.enter(k)
        clean, eps = clips.latents[:, :, span], noise[:, :, span]
        velocities.append(passes.run((1 - sigma) * clean + sigma * eps, k))
        if clean_context[k] and k + 1 < len(sigmas):
            passes.run(noisy_context(clean), len(sigmas))
    return torch.cat(velocities, dim=2)


def noisy_context(clean: Tensor) -> Tensor:
    """Finished latents [B, ...] as a later block may see them: with a little noise, a level for each clip."""
    level = CONTEXT_NOISE * torch.rand(len(clean), *(1,) * (clean.ndim - 1), device=clean.device)
    return clean + level * torch.randn_like(clean)
