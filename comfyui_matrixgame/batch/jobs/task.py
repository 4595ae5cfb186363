"""A job made ready: its inputs, its start, and the name that its result will have."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ...actions.track import ActionTrack, rows_of_blocks
from ...errors import BatchError
from ...media.clips import read_clip
from ...media.images import read_start
from ...system.files import read_bytes
from ...variants import Variant, frames_of_blocks
from ...world.start import clip_name
from ...world.world import first_name, next_name, pixels_name
from .products import Job
from .settings import Overlay
from .start_sources import Start

LARGEST_SOURCE = 4 << 30  # bytes of a picture or a clip


class ModelIds(NamedTuple):
    """The ids of the networks. models: of generator and VAE. tower: of images; empty where there is none."""

    models: str
    decoder: str
    tower: str


@dataclass(frozen=True)
class Source:
    """The bytes of a picture or a clip, so that a task can travel to another machine. suffix: of the file's name."""

    data: bytes
    suffix: str
    clip_blocks: int = 0
    clip_track: ActionTrack | None = None

    @property
    def name(self) -> str:
        """Stands for the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def pixels(self, size: tuple[int, int]) -> Tensor:
        """[3, H, W] of a picture, [3, N, H, W] of a clip, in [-1, 1]. Raises MatrixGameError."""
        if not self.clip_blocks:
            return read_start(self.data, *size)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"clip{self.suffix}"
            path.write_bytes(self.data)
            return read_clip(path, *size).pixels


@dataclass(frozen=True)
class Task:
    """All that a backend needs to make a job's result.

    key: name of the result. block_name: of its last block ("" where a backend cannot know it). source: the start;
    None where a backend sends it apart. attempts: failed ones before.
    """

    name: str
    key: str
    block_name: str
    variant: str
    labels: dict[str, str]
    seed: int
    blocks: int
    size: tuple[int, int]
    track: ActionTrack
    keep: tuple[str, ...]
    overlay: Overlay | None
    first_block: int
    source: Source | None
    attempts: int = 0

    @property
    def items(self) -> tuple[str, ...]:
        """Names of what the result must hold."""
        return wanted_items(self.keep, self.overlay)

    @property
    def frames(self) -> int:
        """Frames of the result."""
        return frames_of_blocks(self.first_block + self.blocks) - frames_of_blocks(self.first_block)


def wanted_items(keep: tuple[str, ...], overlay: Overlay | None) -> tuple[str, ...]:
    """The items of a result: what is kept, and the overlay under its look."""
    return (*keep, f"overlay-{overlay.style}-{overlay.position}") if overlay is not None else keep


@functools.lru_cache(maxsize=8)
def read_source(start: Start, variant: str) -> Source:
    """The bytes of a start. Raises MatrixGameError."""
    try:
        data = read_bytes(start.path, LARGEST_SOURCE)
    except OSError as error:
        raise BatchError(f"{start.path} cannot be read: {error.strerror or error}.") from None
    track = start.actions.track(variant) if start.actions is not None else None
    return Source(data, Path(start.path).suffix, start.blocks, track)


@functools.lru_cache(maxsize=256)
def start_names(start: Start, variant: str, size: tuple[int, int]) -> tuple[str, str]:
    """The names of a start's first frame and, for a clip, of all its frames."""
    pixels = read_source(start, variant).pixels(size)
    if pixels.ndim == 3:
        return pixels_name(pixels.contiguous()), ""
    return pixels_name(pixels[:, 0].float().contiguous()), pixels_name(pixels.unsqueeze(0))


def last_name(job: Job, models_id: str, size: tuple[int, int], variant: Variant) -> str:
    """The name of a job's last block, as the rollout will find it, without making it."""
    first, clip = start_names(job.start, job.variant, size)
    name = first_name(models_id, variant, first, job.seed, variant.steps)
    if job.start.actions is not None:
        name = clip_name(name, clip, job.start.actions.track(job.variant))
    track, row = job.track(), 0
    for block in range(job.start.blocks, job.start.blocks + job.blocks):
        count = rows_of_blocks(1, block)
        name = next_name(name, track.slice(row, row + count))
        row += count
    return name


def result_key(block_name: str, ids: ModelIds) -> str:
    """The name of a result: its last block's, and of what that does not stand for: decoder and image tower."""
    return f"{block_name[:40]}-{ids.decoder[:8]}-{ids.tower[:8] or 'none'}"
