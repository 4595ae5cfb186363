"""The video of a rollout in the folder of its cache: written block by block, and continued after a kill.

It is written in segments of 25 blocks, each with an encoder of its own. What a killed process left plays; the next
one keeps the whole segments and writes the rest again, so that the file is that of an undisturbed run.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from types import TracebackType

from torch import Tensor

from ..media.video import VideoWriter, playable_frames
from ..system.files import take_place
from ..variants import frames_of_blocks
from .blocks import BlockCache
from .keys import BlockKeys
from .projects import FILM, UNFINISHED
from .records import PART, claim_file

SEGMENT = 25  # blocks


class CachedVideo:
    """Use it as a context manager. It is named after the states at both ends of the rollout, so a rollout has one.

    first: the first block that must be written; those before are there. finished: whether all of it is there.
    Where another process writes the same video, this one writes a second copy. Raises VideoError or WorldError where
    it cannot be written.
    """

    def __init__(self, cache: BlockCache, block_keys: BlockKeys) -> None:
        key = f"{block_keys.keys[0][:16]}-{block_keys.state_key(block_keys.last)}"
        self.path = cache.prepare(FILM, key)
        self._block_keys, self._size = block_keys, block_keys.world.size
        self._claim_path = self.path.with_name(f"{key}{PART}")
        self._claim = claim_file(self._claim_path)
        self._partial = cache.prepare(UNFINISHED, key if self._claim else f"{key}.{uuid.uuid4().hex}")
        self.finished = self.path.exists()
        self.first = block_keys.last if self.finished else block_keys.first + self._whole_segments()
        self._writer: VideoWriter | None = None

    def write(self, block: int, frames: Tensor) -> None:
        """The next block's frames [N, H, W, 3] of 8 bits; those that are there already are passed over."""
        if self.finished or block < self.first:
            return
        if self._writer is None:
            self._writer = VideoWriter(self._partial, *self._size, keep=self._frames_before(self.first))
        if (block - self._block_keys.first) % SEGMENT == 0:
            self._writer.restart_encoder()
        self._writer.write(frames)

    def finish_video(self) -> Path:
        """All blocks are written: the file gets its name and an index; returns its path."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            take_place(self._partial, self.path)
            self.finished = True
        return self.path

    def __enter__(self) -> CachedVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.abandon()
        if self._claim is not None:
            self._claim.close()
            self._claim_path.unlink(missing_ok=True)

    def _whole_segments(self) -> int:
        """Blocks at the start of the unfinished file that stay."""
        frames, blocks = playable_frames(self._partial), 0
        while self._frames_before(self._block_keys.first + blocks + SEGMENT) <= frames:
            blocks += SEGMENT
        return min(blocks, self._block_keys.last - self._block_keys.first)

    def _frames_before(self, block: int) -> int:
        return frames_of_blocks(block) - frames_of_blocks(self._block_keys.first)
