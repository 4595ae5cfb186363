"""Pieces of clips, each of as many frames as a trainer takes at once, and what an export has to say of the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ....actions.track import ActionTrack
from ....errors import DatasetError, MatrixGameError
from ....system.words import counted
from ....variants import FPS, Variant
from ..clips import Clip, Dataset
from ..lerobot import rate_and_length
from .resampled import SAME, Change, rate_notes, resample_clip

Note = Callable[[str], object]


@dataclass(frozen=True)
class Window:
    """Frames `first` to `first + len(track)` of a clip, with a row of inputs for each. rate: frames a second."""

    clip: Clip
    first: int
    track: ActionTrack
    rate: float

    @property
    def id(self) -> str:
        """Unique in the dataset, and the same in the next run."""
        return f"{self.clip.id}:{self.first}"


@dataclass
class Exported:
    """made: samples or episodes written now. there: those of runs before. lost: clips left out, and why. resampled:
    what became of clips that had another frame rate. as_they_are: clips of a rate that no model plays at, by it."""

    made: int = 0
    there: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    resampled: list[Change] = field(default_factory=list)
    as_they_are: Counter[float] = field(default_factory=Counter)

    def told(self) -> list[str]:
        """Sentences about frame rates."""
        kept = (
            f"{counted(count, 'clip')} of {rate:.4g} frames a second taken as they are; --fps {FPS} resamples clips to "
            "the rate that models play at, with their inputs"
            for rate, count in self.as_they_are.items()
        )
        return [*rate_notes(self.resampled), *kept]


@dataclass(frozen=True)
class Usable:
    """A clip to export. track: a row for each of its `count` frames. rate: frames a second."""

    clip: Clip
    track: ActionTrack
    rate: float
    count: int


def usable_clip(clip: Clip, fps: float | None, out: Exported) -> Usable:
    """A clip at `fps` frames a second, or at the rate that it has, which goes to `out`; nothing is decoded. Raises
    MatrixGameError where rows and frames are apart by more than one."""
    inputs = clip.read()
    track, camera = inputs.track, inputs.camera
    rate, count = rate_and_length(clip.video)
    if clip.frames is not None:
        count = min(clip.frames, max(0, count - clip.first))
    if abs(len(track) - count) > 1:
        raise DatasetError(
            f"It has {count} frames and {len(track)} rows of inputs; `matrixgame dataset check` says more."
        )
    rate = clip.rate or rate
    track = track.padded(count).slice(0, count)
    if fps is None:
        if abs(rate - FPS) > SAME * FPS:
            out.as_they_are[round(rate, 3)] += 1
        return Usable(clip, track, rate, count)
    rows = np.minimum(np.arange(count), len(camera) - 1)
    clip, inputs, change = resample_clip(clip, replace(inputs, track=track, camera=camera[rows]), count, fps)
    if change is None:
        return Usable(clip, track, rate, count)
    out.resampled.append(change)
    return Usable(clip, inputs.track, fps, change.after)


def windows_of(dataset: Dataset, frames: int, out: Exported, fps: float | None = None) -> Iterator[Window]:
    """All windows of `frames` frames, one after the other in each clip; what is left at a clip's end is left out. fps:
    frames a second that clips are resampled to. Clips that cannot be used, or are shorter, go to `out.lost`. Raises
    DatasetError where variants differ."""
    out.lost.update(dataset.lost)
    variant: Variant | None = None
    for clip in dataset.clips:
        try:
            usable = usable_clip(clip, fps, out)
        except (MatrixGameError, OSError) as error:
            out.lost[clip.name] = str(error)
            continue
        track, count = usable.track, usable.count
        variant = variant or track.variant
        if track.variant != variant:
            raise DatasetError(f"Its clips are of {variant.name} and {track.variant.name}; choose with --variant.")
        if count < frames:
            out.lost[clip.name] = f"It has {count} frames, fewer than the {frames} of a sample."
        for first in range(0, count - frames + 1, frames):
            yield Window(usable.clip, first, track.slice(first, first + frames), usable.rate)
