"""A film's score as a picture: the inputs as lanes, and under them what was seen, over the same time."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ...actions.drawing.chart import GROUND, plot_lanes
from ...actions.track import ActionTrack
from ..film import FilmScore
from ..measures.looks import CURVES
from ..motion.camera import AXES

WIDTH, HIGH = 1200, 64
LEFT, RIGHT = 92, 12  # as in `plot_lanes`
INK, SEEN, SOFT, LINE = (40, 90, 160), (160, 60, 120), (60, 60, 60), (205, 205, 205)
Point = tuple[float, float | None]


def picture_of(score: FilmScore, track: ActionTrack | None) -> Image.Image:
    """The picture, WIDTH pixels across; without lanes where the inputs are not known."""
    lanes = plot_lanes(track.slice(0, score.frames).padded(score.frames), WIDTH) if track and score.frames else None
    curves = _curves(score)
    top = lanes.height if lanes else 8
    picture = Image.new("RGB", (WIDTH, top + HIGH * len(curves) + 8), GROUND)
    if lanes:
        picture.paste(lanes, (0, 0))
    draw = ImageDraw.Draw(picture)
    for name, points, middle in curves:
        _plot(draw, name, points, score.frames, top, middle)
        top += HIGH
    return picture


def _curves(score: FilmScore) -> list[tuple[str, Sequence[Point], bool]]:
    """Name, points (frame, value), and whether nought is in the middle."""
    made: list[tuple[str, Sequence[Point], bool]] = []
    motion = score.curves.get("motion", {})
    for axis in AXES:
        values = motion.get(axis, [])
        if any(value is not None for value in values):
            made.append((f"{axis} seen", [(at + 6, v) for at, v in zip(motion["from"], values, strict=True)], True))
    for name in (*CURVES, "psnr"):
        values = score.curves.get(name, [])
        if any(value is not None for value in values):
            step = score.curves["step"]
            made.append((name, [(index * step, value) for index, value in enumerate(values)], False))
    return made


def _plot(draw: ImageDraw.ImageDraw, name: str, points: Sequence[Point], frames: int, top: int, middle: bool) -> None:
    values = [value for _, value in points if value is not None]
    low, most = min(values), max(values)
    if middle:
        most = max(abs(low), abs(most))
        low = -most
    span = most - low or 1.0
    font, small = ImageFont.load_default(12), ImageFont.load_default(10)
    draw.text((LEFT - 8, top + HIGH / 2), name, SOFT, font, "rm")
    draw.text((LEFT + 3, top + 2), f"{low:.4g} to {most:.4g}", (150, 150, 150), small)
    draw.line((LEFT, top + HIGH, WIDTH - RIGHT, top + HIGH), LINE)
    run: list[tuple[float, float]] = []
    for frame, value in [*points, (0.0, None)]:
        if value is not None:
            across = LEFT + frame / max(1, frames) * (WIDTH - LEFT - RIGHT)
            run.append((across, top + HIGH - 6 - (value - low) / span * (HIGH - 12)))
            continue
        if len(run) > 1:
            draw.line(run, SEEN if middle else INK, 2)
        elif run:
            draw.point(run, SEEN if middle else INK)
        run = []
