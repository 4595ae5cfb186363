"""A track as lanes over time: as text for a terminal, as a picture for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...variants import FPS, FRAMES_PER_BLOCK, first_input_of_block
from ..document import Marker
from ..track import ActionTrack
from ..vocabulary import camera_axes, held_keys

_SIGNS = {"yaw": "<>", "pitch": "v^"}
GROUND = (250, 250, 250)  # of a plot


def lane_values(track: ActionTrack, name: str) -> NDArray[np.float32]:
    """The rows of one lane, a key or `yaw` or `pitch`: [T]."""
    if name in track.variant.keys:
        return track.keyboard[:, track.variant.keys.index(name)]
    if track.mouse is None:
        return np.zeros(len(track), np.float32)
    return track.mouse[:, 1 if name == "yaw" else 0]


def lane_names(track: ActionTrack) -> tuple[str, ...]:
    """The lanes of a track: the keys that can be held, then the camera axes."""
    return (*held_keys(track.variant), *camera_axes(track.variant))


def text_lanes(track: ActionTrack, width: int = 100, every: int | None = None, markers: Sequence[Marker] = ()) -> str:
    """Lanes of characters, one for each `every` rows (default: so that all fits into `width`).

    # is held, + held for a part, . not; < > turn left and right, v ^ look down and up, ~ both. | under the ruler
    is the first input row of a block.
    """
    names = lane_names(track)
    head = max(len(name) for name in (*names, "row")) + 1
    room = max(10, width - head)
    every = max(1, every or -(-len(track) // room))
    lines = []
    for start in range(0, len(track), room * every):
        stop = min(len(track), start + room * every)
        lines += _ruler(start, stop, every, head)
        marks = [m for m in markers if start <= m.t < stop or (m.t == stop == len(track))]
        lines += ["".ljust(head) + f"{m.name} at {m.t}" for m in marks]
        for name in names:
            values = lane_values(track, name)
            cells = (values[t : min(stop, t + every)] for t in range(start, stop, every))
            lines.append(name.ljust(head) + "".join(_cell(name, cell) for cell in cells))
        lines.append("")
    return "\n".join(lines)


def _cell(name: str, values: NDArray[np.float32]) -> str:
    if name in _SIGNS:
        less, more = (values < 0).any(), (values > 0).any()
        return "~" if less and more else _SIGNS[name][0] if less else _SIGNS[name][1] if more else "."
    return "#" if values.all() else "+" if values.any() else "."


def _ruler(start: int, stop: int, every: int, head: int) -> list[str]:
    """Row numbers, and a mark where a block begins to read."""
    cells = -(-(stop - start) // every)
    numbers = [" "] * (cells + 12)
    for cell in range(0, cells, 20):
        text = str(start + cell * every)
        numbers[cell : cell + len(text)] = text
    begins = {first_input_of_block(k) for k in range(stop // FRAMES_PER_BLOCK + 2)}
    marks = [
        "|" if begins & set(range(start + cell * every, start + (cell + 1) * every)) else " " for cell in range(cells)
    ]
    lines = ["row".ljust(head) + "".join(numbers).rstrip()]
    return [*lines, "".ljust(head) + "".join(marks).rstrip()] if every < FRAMES_PER_BLOCK else lines


def plot_lanes(track: ActionTrack, width: int = 1200, markers: Sequence[Marker] = ()) -> Image.Image:
    """A picture of the lanes over time, `width` pixels wide: keys as bars, the camera as curves."""
    names = lane_names(track)
    left, top, key_high, camera_high = 92, 46, 22, 64
    heights = [key_high if name in track.variant.keys else camera_high for name in names]
    picture = Image.new("RGB", (max(width, left + 60), top + sum(heights) + 14), GROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    span = picture.width - left - 12
    scale = span / len(track)

    def at(row: float) -> float:
        return left + row * scale

    _gutters(draw, len(track), at, top, picture.height - 14)
    y = top
    for name, high in zip(names, heights, strict=True):
        draw.text((left - 8, y + high / 2), name, (60, 60, 60), font, "rm")
        values = lane_values(track, name)
        if name in track.variant.keys:
            for start, stop in _runs(values):
                draw.rectangle((at(start), y + 3, max(at(start) + 1, at(stop) - 1), y + high - 4), (40, 90, 160))
        else:
            _curve(draw, values, track.variant.camera.tested, at, y, high, scale)
        y += high
        draw.line((left, y, at(len(track)), y), (205, 205, 205))
    _times(draw, len(track), at, top, font)
    for marker in markers:
        draw.line((at(marker.t), 16, at(marker.t), picture.height - 14), (190, 70, 40))
        draw.text((at(marker.t) + 3, 2), marker.name, (190, 70, 40), font)
    return picture


def _gutters(draw: ImageDraw.ImageDraw, rows: int, at: Callable[[float], float], top: int, bottom: int) -> None:
    """Every other slot of inputs that a block reads is shaded, as long as slots can be told apart."""
    if at(FRAMES_PER_BLOCK) - at(0) < 3:
        return
    for block in range(0, rows // FRAMES_PER_BLOCK + 2, 2):
        start, stop = first_input_of_block(block), min(rows, first_input_of_block(block + 1))
        if start < rows:
            draw.rectangle((at(start), top, at(stop), bottom), (236, 238, 242))


def _curve(
    draw: ImageDraw.ImageDraw,
    values: NDArray[np.float32],
    edge: float,
    at: Callable[[float], float],
    y: float,
    high: float,
    scale: float,
) -> None:
    """A camera lane. edge: the value at its edge, where none is beyond it."""
    middle, reach = y + high / 2, high / 2 - 4
    draw.line((at(0), middle, at(len(values)), middle), (180, 180, 180))
    full = max(edge, float(np.abs(values).max()))
    heights = middle - values / full * reach
    points = []
    for t in range(0, len(values), max(1, int(0.5 / scale))):
        points += [(at(t), heights[t]), (at(t + 1), heights[t])]
    draw.line(points, (160, 60, 120), 2)
    draw.text((at(0) + 3, y + 2), f"{full:g}", (150, 150, 150), ImageFont.load_default(10))


def _times(draw: ImageDraw.ImageDraw, rows: int, at: Callable[[float], float], top: int, font: Any) -> None:
    """Seconds and rows along the top, about every 90 pixels."""
    step = next(s for s in (1, 2, 5, 10, 30, 60, 300, 600, 3600) if at(s * FPS) - at(0) >= 90 or s == 3600)
    for second in range(0, rows // FPS + 1, step):
        x = at(second * FPS)
        draw.line((x, top - 6, x, top), (90, 90, 90))
        draw.text((x + 2, top - 22), f"{second} s  ({second * FPS})", (90, 90, 90), font)


def _runs(values: NDArray[np.float32]) -> list[tuple[int, int]]:
    edges = np.diff(values > 0, prepend=False, append=False)
    at = np.flatnonzero(edges)
    return list(zip(at[::2].tolist(), at[1::2].tolist(), strict=True))
