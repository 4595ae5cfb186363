"""Clips: videos that a world goes on from.

A clip has 25 frames a second, whatever the file has: those of other rates are resampled by
the times of their frames, and `Clip` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..actions.resample import resample_amounts, resample_held
from ..actions.track import ActionTrack
from ..errors import ImageError, VideoError
from ..system.words import counted
from ..variants import FPS, blocks_of_frames, frames_of_blocks
from .fitting import fit_image, image_tensor
from .video_reader import Note, decode_frames

T = TypeVar("T")

MOST_CLIP_FRAMES = frames_of_blocks(42)  # 20 s; a generator sees far less of what came before


@dataclass(frozen=True)
class Clip:
    """A clip to go on from. pixels: [3, N, H, W] in [-1, 1], 25 frames a second. name: of the file. frames: how many
    the file has. rate: its frames a second. exact: whether each of its frames is one of the N."""

    pixels: Tensor
    name: str
    frames: int
    rate: float
    exact: bool

    @property
    def count(self) -> int:
        """N"""
        return self.pixels.shape[1]

    @property
    def blocks(self) -> int:
        """Blocks of a world that the clip fills; raises ImageError where it is not 9 + 12k frames long."""
        return blocks_of_clip(self.name, self.count)

    def rows(self, track: ActionTrack, note: Callable[[str], object]) -> ActionTrack:
        """The inputs that belong to the clip, a row for each of the N frames. note: called with a sentence where they
        are resampled or not all used."""
        count, track = self.count, self._resampled(track, note)
        if len(track) > count + 1:
            note(
                f"{self.name} has {counted(count, 'frame')} and its inputs {counted(len(track), 'row')}; the first "
                f"{count - 1} are used"
            )
        return track

    def _resampled(self, track: ActionTrack, note: Callable[[str], object]) -> ActionTrack:
        """Rows that were written down for each frame of the file follow the frames."""
        if self.exact or abs(len(track) - self.frames) > 1 or self.frames == self.count:
            return track
        note(f"its inputs have a row for each of {self.frames} frames, and are resampled with them")
        mouse = None if track.mouse is None else resample_amounts(track.mouse.astype(np.float64), self.rate).clip(-1, 1)
        keyboard = resample_held(track.keyboard, self.rate)
        return ActionTrack(track.variant, keyboard, None if mouse is None else mouse.astype(np.float32))


def read_clip(path: str | Path, height: int, width: int, note: Note = None) -> Clip:
    """A clip to go on from, each frame cut and resized as it comes. note: called with a sentence where the file is
    not whole. Raises VideoError and ImageError."""
    name, steps, fitted = Path(path).name, Resampler(MOST_CLIP_FRAMES), []
    for frame in decode_frames(path, note):
        fitted += steps.put(fit_image(image_tensor(frame.pixels()), height, width), frame.at, frame.duration)
        _check_length(len(fitted), name)
    fitted += steps.end()
    _check_length(len(fitted), name)
    if not fitted:
        raise VideoError(f"{name} has no frames that can be decoded; is the file complete?")
    used = len(fitted) if steps.exact else frames_of_blocks(blocks_of_frames(len(fitted)))
    pixels = torch.stack(fitted[: used or len(fitted)], dim=1)
    return Clip(pixels, name, steps.frames, steps.rate, steps.exact)


def clip_frames(path: str | Path, note: Note = None) -> tuple[int, float, bool]:
    """Frames of a clip at 25 a second, as `read_clip` finds them, its own rate, and whether it is exact. All of it is
    decoded, and nothing kept. note: as there. Raises VideoError and ImageError."""
    name, steps, count = Path(path).name, Resampler(MOST_CLIP_FRAMES), 0
    for frame in decode_frames(path, note):
        count += len(steps.put(None, frame.at, frame.duration))
        _check_length(count, name)
    count += len(steps.end())
    _check_length(count, name)
    return count, steps.rate, steps.exact


def blocks_of_clip(name: str, frames: int) -> int:
    """Blocks that a clip of so many frames fills; raises ImageError where it is not 9 + 12k."""
    blocks = blocks_of_frames(frames)
    if blocks < 1 or frames != frames_of_blocks(blocks):
        fitting = frames_of_blocks(max(1, blocks))
        raise ImageError(
            f"{name} has {counted(frames, 'frame')}; a clip needs 9 + 12k to be continued, such as {fitting}."
        )
    return blocks


class Resampler(Generic[T]):
    """Pictures at their times -> pictures at 25 a second: what is on screen in the middle of each 25th.

    most: pictures after which it makes only one more. frames: how many were put in. exact: whether each of them came
    out once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.frames, self.exact = 0, True
        self._made = 0
        self._start: float | None = None
        self._picture: T | None = None
        self._at, self._until = 0.0, 0.0

    @property
    def rate(self) -> float:
        """Frames a second of what was put in."""
        return self.frames / self._until if self._until > 0 else float(FPS)

    def put(self, picture: T, at: float | None, duration: float) -> list[T]:
        """The next picture, shown from second `at` on, or right after the one before; returns what comes before it."""
        if self._start is None:
            self._start = at or 0.0
        begin = self._until if at is None else max(self._at, at - self._start)
        before = self._shown_until(begin) if self.frames else []
        self.frames += 1
        self._picture, self._at, self._until = picture, begin, begin + duration
        return before

    def end(self) -> list[T]:
        """The rest."""
        return self._shown_until(self._until) if self.frames else []

    def _shown_until(self, second: float) -> list[T]:
        shown: list[T] = []
        while (self._made + 0.5) / FPS < second and self._made <= self.most:
            self._made += 1
            shown.append(self._picture)  # type: ignore[arg-type]
        self.exact &= len(shown) == 1
        return shown


def _check_length(frames: int, name: str) -> None:
    if frames > MOST_CLIP_FRAMES:
        raise ImageError(
            f"{name} is longer than {MOST_CLIP_FRAMES} frames ({MOST_CLIP_FRAMES / FPS:.0f} s), the most that can be "
            "continued; cut out its end, which is all that the next frames depend on."
        )
