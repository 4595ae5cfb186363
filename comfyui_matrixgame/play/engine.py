"""What a session plays: a model's world, one block at a time, that can go back."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..errors import WorldError
from ..vae import VideoDecoder
from ..vae.base import State, to_uint8
from ..variants import Variant
from ..world import Models, World, rollout
from ..world.models import fingerprint
from ..world.start import fill_from_latents

Frames = NDArray[np.uint8]
OnFrames = Callable[[Frames, float], None]
"""Called with frames [N, H, W, 3] as soon as they are decoded, and the seconds their decoding took."""
OnPass = Callable[[], None]
WORLD_BYTES = 2e9  # for worlds kept on the way, so that going back is quick
MOST_WORLDS = 32


class Engine(Protocol):
    """A world that is played. seed: of the noise; the same seed and inputs give the same frames."""

    variant: Variant
    seed: int

    @property
    def block(self) -> int:
        """The block of the world's life that comes next."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        ...

    def make(self, rows: ActionTrack, on_frames: OnFrames, on_pass: OnPass | None = None) -> None:
        """Make the next block from the rows it is the first to read. An exception of `on_pass` leaves all as it was."""
        ...

    def go_to(self, block: int) -> None:
        """Stand before `block`, one that was made, or the next."""
        ...

    def still(self) -> Frames:
        """The last frame before the next block, [H, W, 3]; the start image before the first."""
        ...


class EarlyDecoder:
    """A decoder that hands over the frames of each latent frame as soon as they are there; same numbers."""

    def __init__(self, decoder: VideoDecoder) -> None:
        self.module = decoder
        self.on_frames: OnFrames | None = None

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        parts: list[Tensor] = []
        for latent in latents.split(1, dim=2):
            began = time.perf_counter()
            pixels, state = self.module.decode(latent, state)
            parts.append(pixels)
            if self.on_frames is not None:
                frames = to_uint8(pixels)[0].cpu().numpy()
                self.on_frames(frames, time.perf_counter() - began)
        assert state is not None
        return torch.cat(parts, dim=2), state

    def named_parameters(self) -> Any:
        """Those of the decoder itself: a world made with it is one made with the decoder."""
        return self.module.named_parameters()  # type: ignore[attr-defined]


class WorldEngine:
    """A world of a model.

    keep_frames: keep all frames of the way to here in `frames`, for whoever wants them at the end; else the last
    of each block alone. world_bytes: what worlds kept on the way may take.
    Raises WorldError for a batch, and what `rollout` raises.
    """

    def __init__(
        self, models: Models, world: World, *, keep_frames: bool = False, world_bytes: float = WORLD_BYTES
    ) -> None:
        if world.batch != 1:
            raise WorldError(f"{world.batch} worlds cannot be played at once; choose one of them.")
        self.variant, self.seed, self.start = models.variant, world.seeds[0], world
        self.models = models
        self._early = EarlyDecoder(models.decoder)
        name = models.identity()
        self._models = copy.copy(models)
        self._models.decoder = self._early
        self._models.identity = lambda: name  # type: ignore[method-assign] # not worked out again for every block
        self._keep_frames, self._world_bytes = keep_frames, world_bytes
        self._worlds = {world.block: world}  # always the first, the last, and some between
        self._names: list[tuple[str, ...]] = [world.names]
        self._latents: list[Tensor] = []
        self._rows: list[ActionTrack] = []
        self.frames: list[Frames] = []
        self.world = world
        self._check_decoder(models.decoder)

    @property
    def block(self) -> int:
        """The block of the world's life that comes next."""
        return self.world.block

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.world.size

    def make(self, rows: ActionTrack, on_frames: OnFrames, on_pass: OnPass | None = None) -> None:
        """See Engine.make."""
        run = rollout(self._models, self.world, rows, 1, on_pass=None if on_pass is None else lambda _: on_pass())
        self._early.on_frames = on_frames
        try:
            made = next(run)
        finally:
            self._early.on_frames = None
        self.world = run.world
        self._names.append(made.names)
        self._latents.append(made.latents.cpu())
        self._rows.append(rows.slice(0, rows_of_blocks(1, made.index)))
        frames = made.frames[0].numpy()
        self.frames.append(frames if self._keep_frames else frames[-1:].copy())
        self._keep(self.world)

    def go_to(self, block: int) -> None:
        """See Engine.go_to. A world that was not kept is made again from the latents, to the bit."""
        done = block - self.start.block
        if not 0 <= done <= len(self._latents):
            raise WorldError(f"Block {block} was not played yet; there are blocks up to {self.block}.")
        near = max(kept for kept in self._worlds if kept <= block)
        world = self._worlds[near]
        if near < block:
            world = self._replay(world, done)
        del self._latents[done:], self._rows[done:], self.frames[done:], self._names[done + 1 :]
        self._worlds = {kept: world for kept, world in self._worlds.items() if kept <= block}
        self.world = world
        self._keep(world)

    def still(self) -> Frames:
        """See Engine.still."""
        if self.frames:
            return self.frames[-1][-1]
        return to_uint8(self.start.image.unsqueeze(2))[0, 0].cpu().numpy()

    def _replay(self, world: World, done: int) -> World:
        first = world.block - self.start.block
        latents = torch.cat(self._latents[first:done], dim=2).to(self._models.device)
        begin = replace(world.to(self._models.device), caches=[layer.copy() for layer in world.caches])
        track = self._rows[first]
        for rows in self._rows[first + 1 : done]:
            track = track.concat(rows)
        filled = fill_from_latents(self._models, begin, latents, [track])
        return replace(filled, names=self._names[done])

    def _keep(self, world: World) -> None:
        """Keep a world, and let go of others until they fit: those that lie close together and far back go first."""
        self._worlds[world.block] = world
        room = max(1, min(MOST_WORLDS, int(self._world_bytes // max(1, world.nbytes))))
        while len(self._worlds) > room + 1:  # the start takes next to nothing
            kept = sorted(self._worlds)
            del self._worlds[least_useful(kept)]

    def _check_decoder(self, decoder: VideoDecoder) -> None:
        if self.start.decoder_state is not None and self.start.decoder_id != fingerprint(decoder):  # type: ignore[arg-type]
            raise WorldError("The world's frames were made with another decoder; load that one, or start a new world.")


def least_useful(kept: Sequence[int]) -> int:
    """Of sorted blocks, the one to let go of, never the first or last: gaps may grow with the distance from the end."""
    last = kept[-1]
    inner = range(1, len(kept) - 1)
    return kept[min(inner, key=lambda i: (kept[i + 1] - kept[i - 1]) / (last - kept[i]))]
