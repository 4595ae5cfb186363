"""Pictures and films side by side, each with its name: two to four films in step as one, and sheets of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import VideoError
from ..variants import FPS
from .video import VideoWriter
from .video_reader import open_video, read_video, video_stream

FEWEST, MOST = 2, 4
GAP = 4  # pixels between two films
GROUND, INK, SOFT = (24, 24, 24), (235, 235, 235), (150, 150, 150)
BAR = 1 / 14  # of a film's height: its name
LEAST_BAR = 18


class _Film:
    """A film that is asked for its picture at a time; over its last one it is dimmed."""

    def __init__(self, path: str | Path, name: str) -> None:
        self.name = name
        with open_video(path) as container:
            stream = video_stream(container)
            assert stream is not None
            self._rate = float(stream.average_rate or FPS)
        self._frames, self._index = read_video(path), 0
        first = next(self._frames, None)
        if first is None:
            raise VideoError(f"{Path(path).name} has no pictures; use another video.")
        self.now: np.ndarray = first
        self.ended = False

    def go_to(self, seconds: float) -> None:
        """Have the picture that is shown then be `now`."""
        wanted = int(seconds * self._rate + 1e-6)
        while self._index < wanted and not self.ended:
            frame = next(self._frames, None)
            self._index += 1
            if frame is None:
                self.ended = True
            else:
                self.now = frame


def write_grid(
    films: Sequence[str | Path],
    names: Sequence[str],
    path: str | Path,
    on_frame: Callable[[int], object] = lambda _: None,
) -> int:
    """Write the grid of two to four videos as an mp4 of 25 frames a second, as long as the longest; returns its frames.

    names: one for each, written above it. Smaller films are fitted into the size of the largest; one that is over is
    dimmed. on_frame: called after each with their number; what it raises stops all. Raises VideoError.
    """
    if not FEWEST <= len(films) <= MOST:
        raise VideoError(f"A grid has {FEWEST} to {MOST} videos, got {len(films)}.")
    if len(names) != len(films):
        raise VideoError(f"There are {len(films)} videos and {len(names)} names; give each a name.")
    playing = [_Film(film, name) for film, name in zip(films, names, strict=True)]
    sheet = _Sheet([film.now.shape[:2] for film in playing])
    frames = 0
    with VideoWriter(path, *sheet.size) as writer:
        while True:
            for film in playing:
                film.go_to(frames / FPS)
            if all(film.ended for film in playing):
                return frames
            writer.write(sheet.drawn(playing)[None])
            frames += 1
            on_frame(frames)


class _Sheet:
    """Where the films stand: two side by side, three and four in two rows."""

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self._cell = max(height for height, _ in sizes), max(width for _, width in sizes)
        self._bar = max(LEAST_BAR, round(self._cell[0] * BAR))
        rows = -(-len(sizes) // 2)
        self.size = rows * (self._cell[0] + self._bar + GAP) - GAP, 2 * (self._cell[1] + GAP) - GAP

    def drawn(self, films: Sequence[_Film]) -> np.ndarray:
        """The picture [H, W, 3] of all films now."""
        (height, width), bar = self._cell, self._bar
        sheet = Image.new("RGB", (self.size[1], self.size[0]), GROUND)
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(round(bar * 0.65))
        for index, film in enumerate(films):
            left, top = index % 2 * (width + GAP), index // 2 * (height + bar + GAP)
            name = _shortened(film.name, lambda text: draw.textlength(text, font), width - bar)
            draw.text((left + bar / 3, top + bar / 2), name, SOFT if film.ended else INK, font, "lm")
            picture = Image.fromarray(film.now)
            if picture.size != (width, height):
                scale = min(width / picture.width, height / picture.height)
                picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
            if film.ended:
                picture = Image.blend(picture, Image.new("RGB", picture.size, GROUND), 0.6)
            place = left + (width - picture.width) // 2, top + bar + (height - picture.height) // 2
            sheet.paste(picture, place)
        return np.asarray(sheet)


def _shortened(name: str, length: Callable[[str], float], room: float) -> str:
    """A name, or as much of it as has room."""
    if length(name) <= room:
        return name
    while name and length(f"{name}...") > room:
        name = name[:-1]
    return f"{name}..."


def labelled_sheet(pictures: Sequence[np.ndarray], names: Sequence[str]) -> Image.Image:
    """Pictures [H, W, 3] of one size, each over its name, in about as many columns as rows."""
    height, width = pictures[0].shape[:2]
    bar, columns = max(LEAST_BAR, round(height * BAR)), math.ceil(math.sqrt(len(pictures)))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + bar + GAP) - GAP), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(round(bar * 0.65))
    for index, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        left, top = index % columns * (width + GAP), index // columns * (height + bar + GAP)
        sheet.paste(Image.fromarray(picture), (left, top))
        text = _shortened(name, lambda text: draw.textlength(text, font), width - bar)
        draw.text((left + width / 2, top + height + bar / 2), text, INK, font, "mm")
    return sheet
