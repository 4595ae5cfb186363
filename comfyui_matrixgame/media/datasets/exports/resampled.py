"""A clip at another frame rate: frames left out or shown twice, and its inputs with them, as for clips of worlds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....actions.resample import resample_amounts, resample_held
from ....system.words import counted
from ...video_reader import facts_of_video
from ..clips import Clip, ClipInputs, inputs_of_arrays

SAME = 0.005  # of a rate: 29.97 is 30


@dataclass(frozen=True)
class Change:
    """What became of a clip's frames. rate, to: frames a second, before and after; even: whether it was one rate.
    dropped: frames of `before` that are in none of the `after` frames; doubled: times that one is shown once more.
    cut: rows whose camera is more than a row can hold."""

    rate: float
    to: float
    even: bool
    before: int
    after: int
    dropped: int
    doubled: int
    cut: int


@dataclass(frozen=True)
class ResampledClip(Clip):
    """A clip at `rate` frames a second. shown: the frame of the film's part that each of its frames is."""

    shown: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """See Clip."""
        return f"{self.name} at {self.rate:g}"

    @property
    def is_film(self) -> bool:
        """See Clip."""
        return False

    def pixels(self, start: int = 0, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """See Clip."""
        wanted = self.shown[start : None if count is None else start + count]
        if not wanted:
            return
        times, first = Counter(wanted), wanted[0]
        for at, pixels in enumerate(super().pixels(first, wanted[-1] + 1 - first), first):
            for _ in range(times[at]):
                yield pixels


def resample_clip(clip: Clip, inputs: ClipInputs, count: int, fps: float) -> tuple[Clip, ClipInputs, Change | None]:
    """A clip and its inputs at `fps` frames a second, and what was done; as they are, and None, where that is the rate
    already. count: frames of the clip, for each of which `inputs` have a row. Raises VideoError."""
    facts = facts_of_video(clip.video)
    begins = facts.times[clip.first : clip.first + count]
    rate = clip.rate if clip.rate and facts.even else facts.rate
    if not count or (facts.even and abs(rate - fps) <= SAME * fps):
        return clip, inputs, None
    times = None
    if not facts.even and len(begins) == count > 1:
        begins = begins - begins[0]
        times = np.append(begins, begins[-1] + np.median(np.diff(begins)))
        rate = count / float(times[-1])
    shown = resample_held(np.arange(count), rate, fps, times)
    track = inputs.track
    made = inputs_of_arrays(
        resample_held(track.keyboard[:count], rate, fps, times),
        resample_amounts(inputs.camera[:count].astype(np.float64), rate, fps, times),
        track.variant,
    )
    beyond = (abs(made.camera) > track.variant.camera.limit).any(axis=1).sum() if track.variant.mouse else 0
    distinct = len(np.unique(shown))
    change = Change(rate, fps, facts.even, count, len(shown), count - distinct, len(shown) - distinct, int(beyond))
    about: dict[str, Any] = {name: getattr(clip, name) for name in Clip.__dataclass_fields__}
    return ResampledClip(**about | {"rate": fps, "shown": tuple(shown.tolist())}), made, change


def rate_notes(changes: list[Change]) -> list[str]:
    """What was done, a sentence for each rate that clips had."""
    groups: dict[str, list[Change]] = {}
    for change in changes:
        rate = f"{change.rate:.4g} frames a second" if change.even else "a variable frame rate"
        groups.setdefault(rate, []).append(change)
    lines = []
    for rate, group in groups.items():
        before, after, dropped, doubled, cut = (
            sum(getattr(change, name) for change in group) for name in ("before", "after", "dropped", "doubled", "cut")
        )
        line = (
            f"{counted(len(group), 'clip')} of {rate} resampled to {group[0].to:g}: {before} frames are {after} now, "
            f"{dropped} left out and {doubled} shown once more; keys are those of the frame, and all turning is kept"
        )
        lines.append(line + (f", but for {counted(cut, 'row')} that turn more than a row can hold" if cut else ""))
    return lines
