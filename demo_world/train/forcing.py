"""Passes through the generator that a gradient can go back through."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from comfyui_matrixgame.compute.attention import Attention
from comfyui_matrixgame.networks.generator.action_module import ActionInputs, TimeSpan
from comfyui_matrixgame.networks.generator.kv_cache import LayerCache
from comfyui_matrixgame.networks.generator.model import HEAD_DIM, PATCH, BlockConstants, Generator, RolloutConstants
from comfyui_matrixgame.networks.generator.rope import action_table, video_table
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK

from .latents import LatentClips

CONTEXT_NOISE = 0.15  # most noise on finished blocks: the model must not trust them to the last digit
FEW = 64  # queries below which two batched products are quicker than an attention kernel


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as the engine's (generator/attention.py), with a gradient on every device. Where the keys have n times
    the batch of the queries, each n-th of a row of queries looks at keys of its own (WindowRing)."""
    parts = k.shape[0] // q.shape[0]
    if parts > 1:
        q = q.unflatten(1, (parts, -1)).flatten(0, 1)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if q.shape[2] < FEW:
        y = torch.matmul(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(dim=-1).to(v.dtype), v)
    else:
        y = F.scaled_dot_product_attention(q, k, v)
    y = y.transpose(1, 2)
    return y.unflatten(0, (-1, parts)).flatten(1, 2) if parts > 1 else y


@cache
def _rotations(first: int, frames: int, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tables for video and inputs; kept, since each is made on the CPU and a GPU would wait for it."""
    return video_table(first, frames, rows, columns, HEAD_DIM // 2, device), action_table(first, frames, device)


class GradientRing:
    """What kv_cache.Ring is to a rollout, without writing over anything: the gradient needs the old values."""

    def __init__(self, window: int, tokens: int) -> None:
        self.window, self.tokens = window, tokens
        self.blocks: dict[int, tuple[Tensor, Tensor]] = {}

    def write(self, first_frame: int, k: Tensor, v: Tensor) -> None:
        """Entries of consecutive latent frames [N, F * tokens, heads, dim]; written again, they are replaced."""
        self.blocks = {f: kv for f, kv in self.blocks.items() if f > first_frame - self.window}
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


class WindowRing:
    """A ring for all blocks of a clip in one pass: each sees itself and the block before it, which is the window.

    The first block sees itself twice instead: twice the same keys weigh what they weigh once.
    """

    def __init__(self, blocks: int, tokens: int) -> None:
        self.blocks, self.tokens = blocks, tokens
        self.before: tuple[Tensor, Tensor] | None = None  # what finished blocks left; None: what the pass itself writes
        self.own: tuple[Tensor, Tensor] | None = None

    def write(self, first_frame: int, k: Tensor, v: Tensor) -> None:
        """Entries of all latent frames of the clips, [N, L * tokens, heads, dim]."""
        self.own = (k, v)

    def finish(self) -> None:
        """From now on passes see what was written last as the block before."""
        self.before = self.own

    def read(self, end_frame: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values [N * blocks, entries of two blocks, heads, dim], for `attend`."""
        assert self.own is not None
        k, v = (self._pairs(own, before) for own, before in zip(self.own, self.before or self.own, strict=True))
        return k.to(dtype), v.to(dtype)

    def _pairs(self, own: Tensor, before: Tensor) -> Tensor:
        own, before = (x.unflatten(1, (self.blocks, -1)) for x in (own, before))
        return torch.cat([torch.cat([own[:, :1], before[:, :-1]], dim=1), own], dim=2).flatten(0, 1)


class Passes:
    """One batch of clips on its way through the generator, block after block."""

    def __init__(self, model: Generator, clips: LatentClips, timesteps: Sequence[float] | Tensor) -> None:
        """timesteps: all that `run` will be asked for, each for the whole batch."""
        self.model, self.clips, self.timesteps = model, clips, timesteps
        model.attention = Attention("training", attend)
        height, width = clips.latents.shape[3:]
        self.rows, self.columns = int(height) // PATCH, int(width) // PATCH
        places = self.rows * self.columns
        config = model.config
        self.caches = [
            LayerCache(
                video=self.ring(places),  # type: ignore[arg-type]
                mouse=self.ring(1) if i in config.action_layers else None,  # type: ignore[arg-type]
                keyboard=self.ring(1) if i in config.action_layers else None,  # type: ignore[arg-type]
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

    def ring(self, tokens: int) -> GradientRing | WindowRing:
        """Where a layer's entries go, `tokens` for each latent frame."""
        return GradientRing(self.model.config.window, tokens)

    def enter(self, block: int, count: int = 1) -> slice:
        """Begin a block (or `count` in a row); returns its latent frames."""
        first, frames = block * LATENTS_PER_BLOCK, count * LATENTS_PER_BLOCK
        self.span = slice(first, first + frames)
        dtype = self.model.compute_dtype
        inputs = ActionInputs(self.clips.keyboard[:, self.span].to(dtype), self.clips.mouse[:, self.span].to(dtype))
        video, along_time = _rotations(first, frames, self.rows, self.columns, inputs.keyboard.device)
        span = TimeSpan(first, frames, self.rows * self.columns, along_time)
        cameras = [
            None if layer.action_model is None else layer.action_model.prepare(inputs, span, cache, inputs.keyboard)  # type: ignore[union-attr, operator]
            for layer, cache in zip(self.model.blocks, self.caches, strict=True)
        ]
        self.block = BlockConstants(span, video, cameras)
        return self.span

    def run(self, latents: Tensor, step: int) -> Tensor:
        """Velocity [B, 16, 3, h, w] of the block's latents at timestep number `step`, in float32."""
        assert self.block is not None
        condition = self.clips.condition[:, :, self.span]
        return self.model(latents, condition, step, self.rollout, self.block, self.caches).float()


class WholePasses(Passes):
    """As Passes, all blocks of the clips in each pass: `finish` after a pass over finished ones, then passes over noisy
    ones, each of which sees the finished block before it. A GPU does this in a seventh of the launches."""

    def __init__(self, model: Generator, clips: LatentClips, timesteps: Sequence[float] | Tensor) -> None:
        assert model.config.window == 2 * LATENTS_PER_BLOCK
        super().__init__(model, clips, timesteps)
        self.enter(0, self.blocks)

    def ring(self, tokens: int) -> WindowRing:
        """See Passes."""
        return WindowRing(self.blocks, tokens)

    def finish(self) -> None:
        """What the last pass left is what blocks see of the block before them."""
        for layer in self.caches:
            layer.video.finish()  # type: ignore[attr-defined]
            if layer.mouse is not None:
                layer.mouse.finish()  # type: ignore[attr-defined]


def guided_velocities(
    model: Generator, clips: LatentClips, sigmas: Sequence[float] | Tensor, noises: Sequence[Tensor]
) -> list[Tensor]:
    """Velocities of all blocks at each of these noise levels, every block after a finished one (teacher forcing).

    noises: one [B, 16, L, h, w] for each level. Returns as many.
    """
    levels = sigmas if isinstance(sigmas, Tensor) else list(sigmas)
    noisy = [(1 - levels[i]) * clips.latents + levels[i] * noise for i, noise in enumerate(noises)]
    return velocities_after(model, clips, noisy_context(clips.latents), sigmas, noisy)


def velocities_after(
    model: Generator, clips: LatentClips, seen: Tensor, sigmas: Sequence[float] | Tensor, noisy: Sequence[Tensor]
) -> list[Tensor]:
    """Velocities of all blocks of `noisy`, one [B, 16, L, h, w] for each noise level, every block after the one
    before it in `seen`. sigmas may be a tensor of the device: a step that is recorded reads nothing from the CPU."""
    times = F.pad(1000 * sigmas, (0, 1)) if isinstance(sigmas, Tensor) else [1000 * s for s in sigmas] + [0.0]
    passes = WholePasses(model, clips, times)
    passes.run(seen, len(noisy))
    passes.finish()
    return [passes.run(latents, i) for i, latents in enumerate(noisy)]


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
