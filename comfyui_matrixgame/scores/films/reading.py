"""Frames of a film in chunks, and the rows of its inputs that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...actions.track import ActionTrack
from ...errors import VideoError
from ...media.images import read_pixels
from ...media.video_reader import Facts, decode_frames, facts_of_video
from ...system.words import counted
from ...variants import FPS
from ..film import CHUNK

MOST_PIXELS = 2_000_000  # of a chunk: large frames come in smaller ones
NEAR = 0.02  # of a rate


def facts_of(place: Path) -> Facts:
    """Facts of a video or of a folder of pictures. Raises VideoError."""
    if place.is_dir():
        count = len(_pictures(place))
        return Facts(count, FPS, np.arange(count) / FPS, True)
    return facts_of_video(place)


def chunks_of(place: Path, note: Callable[[str], object] = lambda text: None) -> Iterator[Tensor]:
    """Frames [N, H, W, 3] of 8 bits. note: called with a sentence where the file is not whole. Raises VideoError."""
    waiting: list[np.ndarray] = []
    most = CHUNK
    for pixels in _frames(place, note):
        if waiting and pixels.shape != waiting[0].shape:
            raise VideoError(f"The pictures of {place.name} are of several sizes; make them one size.")
        waiting.append(pixels)
        most = max(1, min(CHUNK, MOST_PIXELS // (pixels.shape[0] * pixels.shape[1])))
        if len(waiting) >= most:
            yield torch.from_numpy(np.stack(waiting))
            waiting = []
    if waiting:
        yield torch.from_numpy(np.stack(waiting))


def frames_at(place: Path, wanted: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Some frames [H, W, 3] by their numbers. Raises VideoError."""
    last = max(wanted, default=-1)
    for index, pixels in enumerate(_frames(place, lambda text: None)):
        if index in wanted:
            yield index, pixels
        if index >= last:
            return


def rows_for(track: ActionTrack, facts: Facts, note: Callable[[str], object]) -> ActionTrack:
    """A row for each frame. note: called with a sentence where rows are matched by time, missing, or left over."""
    rows, frames = len(track), facts.frames
    by_time = facts.times * FPS
    needed = int(by_time[-1]) + 1 if frames else 0
    if abs(facts.rate - FPS) > NEAR * FPS and abs(rows - frames) > 1 and abs(rows - needed) < abs(rows - frames):
        note(f"The film has {facts.rate:.4g} frames a second; its inputs are matched by time.")
        index = np.minimum((by_time + 0.5).astype(int), rows - 1)
        return _picked(track, index)
    if rows < frames - 1:
        note(f"The inputs have {counted(rows, 'row')} for {counted(frames, 'frame')}; what follows has none.")
    elif rows > frames:
        note(f"The inputs have {counted(rows, 'row')} for {counted(frames, 'frame')}; the rest is left out.")
        return track.slice(0, max(1, frames))
    return track


def _picked(track: ActionTrack, index: np.ndarray) -> ActionTrack:
    return ActionTrack(track.variant, track.keyboard[index], None if track.mouse is None else track.mouse[index])


def _frames(place: Path, note: Callable[[str], object]) -> Iterator[np.ndarray]:
    if place.is_dir():
        for path in _pictures(place):
            yield read_pixels(path)
        return
    for frame in decode_frames(place, note):
        yield frame.pixels()


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
