"""Pieces of clips, each of as many frames as a trainer takes at once, and what an export has to say of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ....actions.track import ActionTrack
from ....errors import DatasetError, MatrixGameError
from ....variants import Variant
from ..clips import Clip, Dataset
from ..lerobot import rate_and_length

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
        return f"{self.clip.name}:{self.first}"


@dataclass
class Exported:
    """made: samples or episodes written now. there: those of runs before. lost: clips left out, and why."""

    made: int = 0
    there: int = 0
    lost: dict[str, str] = field(default_factory=dict)


def rows_of_clip(clip: Clip) -> tuple[ActionTrack, float, int]:
    """A row for each frame, frames a second, and how many frames there are, without decoding them. Raises
    MatrixGameError where rows and frames are apart by more than one."""
    track = clip.read().track
    rate, count = rate_and_length(clip.video)
    if clip.frames is not None:
        count = min(clip.frames, max(0, count - clip.first))
    if abs(len(track) - count) > 1:
        raise DatasetError(
            f"It has {count} frames and {len(track)} rows of inputs; `matrixgame dataset check` says more."
        )
    return track.padded(count).slice(0, count), clip.rate or rate, count


def windows_of(dataset: Dataset, frames: int, out: Exported) -> Iterator[Window]:
    """All windows of `frames` frames, one after the other in each clip; what is left at a clip's end is left out.
    Clips that cannot be used, or are shorter, go to `out.lost`. Raises DatasetError where variants differ."""
    out.lost.update(dataset.lost)
    variant: Variant | None = None
    for clip in dataset.clips:
        try:
            track, rate, count = rows_of_clip(clip)
        except (MatrixGameError, OSError) as error:
            out.lost[clip.name] = str(error)
            continue
        variant = variant or track.variant
        if track.variant != variant:
            raise DatasetError(f"Its clips are of {variant.name} and {track.variant.name}; choose with --variant.")
        if count < frames:
            out.lost[clip.name] = f"It has {count} frames, fewer than the {frames} of a sample."
        for first in range(0, count - frames + 1, frames):
            yield Window(clip, first, track.slice(first, first + frames), rate)
