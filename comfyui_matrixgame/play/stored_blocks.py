"""Stored blocks: what is played goes into a World Cache, and a block that is in it is not made again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ..cache import BlockCache
from ..cache.contents import fits_frames, fits_latents, state_record, store_block, store_condition
from ..cache.keys import condition_key, keys_after
from ..cache.projects import FRAMES, LATENTS, SNAPSHOT
from ..world import Models, World


class StoredBlocks:
    """The blocks after a world, by the name of the world after each. Storing is done in a thread of its own, so that
    nobody who plays waits for a disk. Raises WorldError for a batch."""

    def __init__(self, cache: BlockCache, models: Models, world: World) -> None:
        self._cache = cache
        self.go_on_from(models, world)
        self._fits = fits_latents(world), fits_frames(world, 0), fits_frames(world, 1)
        self._writer = ThreadPoolExecutor(1, "cache")

    def go_on_from(self, models: Models, world: World) -> None:
        """What is read and stored comes after this world, in which the network may be shown another picture."""
        self._world_keys = keys_after(models, world)
        self._condition = condition_key(self._world_keys, world)

    def read(self, name: str) -> tuple[Tensor, Tensor | None] | None:
        """Latents [1, 16, 3, h, w] and, where this decoder made some, frames [1, N, H, W, 3]; None for a new block."""
        fits, fits_first, fits_later = self._fits
        latents = self._cache.get(LATENTS, self._world_keys.key(name), fits)
        if latents is None:
            return None
        frames = self._cache.get(
            FRAMES, self._with_decoder(name), lambda record: fits_first(record) or fits_later(record)
        )
        return latents.tensors["latents"], None if frames is None else frames.tensors["frames"]

    def store(self, name: str, latents: Tensor, frames: Tensor) -> None:
        """Keep a block that was made."""
        key = self._world_keys.key(name)
        self._later(lambda: store_block(self._cache, key, self._with_decoder(name), latents, frames))

    def close(self, world: World) -> None:
        """Keep where the session ended, so that a rollout can go on from there, and wait until all is stored."""
        if world.caches:
            self._later(lambda: store_condition(self._cache, self._condition, world.condition))
            if not self._cache.on_disk(SNAPSHOT, self._with_decoder(world.names[0])):
                self._later(lambda: self._cache.put(SNAPSHOT, self._with_decoder(world.names[0]), state_record(world)))
        self._writer.shutdown()

    def _with_decoder(self, name: str) -> str:
        return self._world_keys.with_decoder(self._world_keys.key(name))

    def _later(self, job: Callable[[], None]) -> None:
        self._writer.submit(torch.inference_mode()(job))
