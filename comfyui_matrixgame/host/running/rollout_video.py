"""The video of a rollout, written while its blocks come."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
import os
import shutil
import uuid
from pathlib import Path

from ...cache import BlockCache, CachedRollout
from ...cache.cached_video import CachedVideo
from ...errors import VideoError, WorldError
from ...media.video import VideoWriter
from ...world import Block
from .folders import temporary_folder
from .progress import Progress

log = logging.getLogger(__name__)


class RolloutVideo:
    """A video in the cache's folder or, where there is no cache or that cannot be written, in the temporary folder."""

    def __init__(self, cache: BlockCache | None, run: CachedRollout) -> None:
        self._run = run
        self._path = temporary_folder() / f"rollout_{uuid.uuid4().hex[:12]}.mp4"
        self._cached = None if cache is None else self._open_cached(cache)
        self._writer = None if self._cached else VideoWriter(self._path, *run.block_keys.world.size)

    def _open_cached(self, cache: BlockCache) -> CachedVideo | None:
        cached: CachedVideo | None = None
        try:
            cached = CachedVideo(cache, self._run.block_keys)
            if cached.finished:
                self._take(cached.path)  # now: it may be the next to be deleted to make room
            return cached
        except (VideoError, WorldError, OSError) as error:
            log.warning("Roll Out: %s", error)
            if cached is not None:
                cached.__exit__(None, None, None)
            return None

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
            self._take(self._cached.finish_video())
        return self._path

    def _take(self, video: Path) -> None:
        try:
            os.link(video, self._path)
        except OSError:
            shutil.copyfile(video, self._path)

    def __enter__(self) -> RolloutVideo:
        return self

    def __exit__(self, *what: object) -> None:
        if self._cached is not None:
            self._cached.__exit__(None, None, None)
        if self._writer is not None:
            self._writer.close()
