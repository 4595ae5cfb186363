"""Roll Out with a World Cache, and the caches that are open."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from comfy_api.latest import InputImpl
from torch import Tensor

from ..actions.track import ActionTrack
from ..cache import BlockCache, CachedRollout
from ..cache.cached_video import CachedVideo
from ..errors import VideoError, WorldError
from ..media.video import VideoWriter
from ..networks.vae.base import denormalise
from ..system.words import joined
from ..variants import block_of_input
from ..world import Block
from .files import cache_folder
from .models import HostModels, ready
from .routes.strip import FAILED, Strip, begin_strip
from .worlds import LiveWorld, Progress, Result, Wanted, empty_images, live, temporary_folder

log = logging.getLogger(__name__)

# Weak, so that what is in memory goes when core lets go of a node's outputs: on "Free", or when the node does.
_open: WeakValueDictionary[str, BlockCache] = WeakValueDictionary()


def open_cache(project: str, memory_gb: float, limit_gb: float) -> BlockCache:
    """The cache of a project, the same for all nodes that name it; raises WorldError."""
    cache = _open.get(project)
    if cache is None:
        cache = _open[project] = BlockCache(cache_folder(), project)
    cache.memory_bytes, cache.disk_bytes = memory_gb * 1e9, limit_gb * 1e9
    return cache


def open_caches() -> dict[str, BlockCache]:
    """The caches that are open, by project."""
    return dict(_open)


def roll_out(
    start: LiveWorld, actions: ActionTrack, wanted: Wanted, node_id: str, cache: BlockCache, graph: Any
) -> tuple[Result, str]:
    """See `worlds.roll_out`, but what the cache holds is not made again. Also returns a sentence on what was done.

    graph: core's DynamicPrompt. The models are only loaded where something must be computed. The video lies with the
    blocks, so that a run that was killed goes on with it.
    """
    height, width = start.world.size
    progress, filled = Progress(node_id), 0
    images = empty_images(start, actions) if wanted.images else None
    latents: list[Tensor] = []
    pins = [block_of_input(start.world.first_input + row) for row in actions.pins]
    with ExitStack() as stack:
        run = CachedRollout(
            HostModels(start.model, start.vae),
            start.world,
            actions,
            None,
            cache,
            pins=pins,
            on_pass=progress.on_pass,
            on_block=lambda block, what: strip.tell(block, what) if strip is not None else None,
            wake=lambda: progress.tell(stack.enter_context(ready(start.model, start.vae, height, width)).plan),
        )
        strip = begin_strip(node_id, graph, run, cache)
        stack.enter_context(run)
        progress.begin(run.blocks, start.world.variant.passes, 0)
        video = stack.enter_context(_Video(cache, run))
        if not wanted.images and not wanted.latent:
            video.skip(progress)
        for block in _telling(run, strip):
            video.write(block)
            if wanted.latent:
                latents.append(denormalise(block.latents))
            if images is not None:
                frames = block.frames[0]
                images[filled : filled + len(frames)] = frames.float() / 255
                filled += len(frames)
            progress.show(block.frames[0][-1])
        path = video.finish()
        world = live(run.world, start.model, start.vae) if wanted.world else None
    report = joined([f"{run.counts}", *cache.take_notices()])
    latent = {"samples": torch.cat(latents, dim=2)} if latents else None
    return Result(images, InputImpl.VideoFromFile(str(path)), world, latent), report


def _telling(run: CachedRollout, strip: Strip | None) -> Iterator[Block]:
    """The blocks; where one cannot be made, the strip says so, and where the run is cancelled, it says nothing more."""
    try:
        yield from run
    except BaseException as error:
        if strip is not None and isinstance(error, Exception):
            strip.tell(run.next_block, FAILED)
        elif strip is not None:  # core's interruption
            strip.at = None
        raise


class _Video:
    """A video in the cache's folder or, where that cannot be written, one in the temporary folder."""

    def __init__(self, cache: BlockCache, run: CachedRollout) -> None:
        self._run = run
        self._path = temporary_folder() / f"rollout_{uuid.uuid4().hex[:12]}.mp4"
        self._cached: CachedVideo | None = None
        self._writer: VideoWriter | None = None
        try:
            self._cached = CachedVideo(cache, run.block_keys)
            if self._cached.finished:
                self._take(self._cached.path)  # now: it may be the next to be deleted to make room
        except (VideoError, WorldError, OSError) as error:
            log.warning("Roll Out: %s", error)
            self.__exit__()
            self._cached, self._writer = None, VideoWriter(self._path, *run.block_keys.world.size)

    def skip(self, progress: Progress) -> None:
        """Pass over the blocks that the video has already; the last of them is shown."""
        if self._cached is None or self._cached.first == self._run.next_block:
            return
        first = self._run.next_block
        self._run.skip_to(self._cached.first)
        frame = self._run.last_frame(self._cached.first - 1)
        progress.skip(self._cached.first - first - 1)
        if frame is None:
            progress.skip(1)
        else:
            progress.show(frame)

    def write(self, block: Block) -> None:
        """The next block."""
        if self._cached is not None:
            self._cached.write(block.index, block.frames[0])
        elif self._writer is not None:
            self._writer.write(block.frames[0])

    def finish(self) -> Path:
        """The finished file, in the temporary folder: the one in the cache may be deleted to make room."""
        if self._cached is not None and not self._cached.finished:
            self._take(self._cached.finish())
        return self._path

    def _take(self, video: Path) -> None:
        try:
            os.link(video, self._path)
        except OSError:
            shutil.copyfile(video, self._path)

    def __enter__(self) -> _Video:
        return self

    def __exit__(self, *what: object) -> None:
        if self._cached is not None:
            self._cached.__exit__(None, None, None)
        if self._writer is not None:
            self._writer.close()
