"""The heads-up display: what is held and how the camera moves, drawn onto frames.

Frame f shows input row f, the row that is held while the frame is on screen; with an offset of 1 it shows the row
that the frame was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ImageError
from ...variants import Key, block_of_input
from ..track import ActionTrack
from ..vocabulary import camera_axes, held_keys
from . import POSITIONS, STYLES, sprites
from .sprites import LEVELS, STEPS

HISTORY = 48  # rows that the history shows
FULL = 2.0  # times the usual camera speed, at which the stick reaches its rim
SMALL = 96  # frames of fewer rows of pixels get the dots style

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """One thing that is drawn: its place in units within its group, its state on each frame, and its picture.

    states: [N], any integers. draw: (state, width, height) in pixels -> RGBA of that size.
    """

    box: tuple[float, float, float, float]
    states: NDArray[np.int64]
    draw: Callable[[int, int, int], Image.Image]


Group = list[Part]


def draw_overlay(
    frames: Frames,
    track: ActionTrack,
    style: str = "keys",
    position: str = "bottom",
    scale: float = 1.0,
    opacity: float = 1.0,
    offset: int = 0,
    first_row: int = 0,
    below: bool = False,
    numbers: bool = False,
    counter: bool = False,
) -> Frames:
    """`frames` with the heads-up display drawn on them; the frames given are not changed.

    frames: uint8 [N, H, W, 3], of any size. style: one of STYLES. position: one of POSITIONS; `bottom` and `top`
    put the keys left and the camera right. scale: 1 makes a key 1/14 of the height. first_row: the input row of
    frames[0] before `offset` is taken off; rows outside the track show its first or last row. below: draw on a
    bar under the picture instead; the result is then higher. numbers: write the camera speed in degrees a frame.
    counter: write the input row and its block. Raises ImageError for other frames, styles or positions.
    """
    _check(frames, style, position)
    count, height, width, _ = frames.shape
    if style == "none" or not count or not height or not width:
        return frames.copy()
    rows = np.clip(first_row - offset + np.arange(count), 0, len(track) - 1)
    scale = min(max(scale, 0.25), 4.0)
    groups = _groups("dots" if height < SMALL else style, track, rows, numbers, counter)
    unit = _unit(groups, height, width, scale)
    bar = _bar(groups, unit) if below else 0
    out = np.empty((count, height + bar, width, 3), np.uint8)
    out[:, :height] = frames
    out[:, height:] = 16
    area = (height, bar) if below else (0, height)
    for group, x, y in _places(groups, unit, position, width, *area, below):
        for part in group:
            _draw(out, part, unit, x, y, min(max(opacity, 0.0), 1.0))
    return out


def _check(frames: Frames, style: str, position: str) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ImageError(f"Frames are uint8 [N, H, W, 3], got {frames.dtype} of shape {list(frames.shape)}.")
    if style not in STYLES:
        raise ImageError(f"There is no style '{style}'; use one of {', '.join(STYLES)}.")
    if position not in POSITIONS:
        raise ImageError(f"There is no position '{position}'; use one of {', '.join(POSITIONS)}.")


# ---- what is drawn


def _groups(style: str, track: ActionTrack, rows: NDArray[np.int64], numbers: bool, counter: bool) -> list[Group]:
    """The keys (with their history), and the camera (with its numbers); empty groups left out."""
    if style == "dots":
        return [group for group in (_key_dots(track, rows), _camera_dots(track, rows)) if group]
    keys = _caps(track, rows)
    if style == "history":
        keys = _beside(keys, _history(track, rows))
    camera = _camera(track, rows)
    if numbers and camera:
        camera = _under(camera, _numbers(track, rows, _extent(camera)[0]))
    if counter:
        texts = [f"{row}  block {block_of_input(int(row))}" for row in rows]
        line = _texts(texts, 4.0)
        camera, keys = (_under(camera, line), keys) if camera else (camera, _under(keys, line))
    return [group for group in (keys, camera) if group]


def _levels(track: ActionTrack, key: str) -> NDArray[np.int64]:
    """How bright a key is on every row: [T], LEVELS where it is held; one-hot keys fade so that a tap is seen."""
    held = track.keyboard[:, track.variant.keys.index(key)] > 0
    if not track.variant.exclusive:
        return held * LEVELS
    at = np.arange(len(held))
    last = np.maximum.accumulate(np.where(held, at, -LEVELS))
    return np.maximum(0, LEVELS - (at - last))


def _caps(track: ActionTrack, rows: NDArray[np.int64]) -> Group:
    def part(i: int, key: Key) -> Part:
        box = key.overlay.box or (1.125 * i, 0.0, 1.0, 1.0)
        return Part(box, _levels(track, key.name)[rows], lambda level, w, h: sprites.cap(key, w, h, level))

    return [part(i, key) for i, key in enumerate(track.variant.held)]


def _camera(track: ActionTrack, rows: NDArray[np.int64]) -> Group:
    """A stick where the variant looks up and down, a steering bar where it only turns, else nothing."""
    if track.mouse is None:
        return []
    look = track.mouse[rows][:, ::-1] / _full(track) * (1, -1)  # [N, 2] right, down
    if not track.variant.pitch:
        far = np.abs(look[:, 0]) > 1 + 1e-6
        x = np.rint(np.clip(look[:, 0], -1, 1) * STEPS).astype(np.int64)
        states = (x + STEPS) * 2 + far
        return [Part((0, 0, 4, 0.7), states, lambda s, w, h: sprites.steering(w, h, s // 2 - STEPS, bool(s % 2)))]
    length = np.hypot(look[:, 0], look[:, 1])
    far = length > 1 + 1e-6
    spots = np.rint(look / np.maximum(length, 1)[:, None] * STEPS).astype(np.int64) + STEPS
    side = 2 * STEPS + 1
    states = (spots[:, 0] * side + spots[:, 1]) * 2 + far

    def draw(state: int, width: int, _: int) -> Image.Image:
        x, y = divmod(state // 2, side)
        return sprites.stick(width, x - STEPS, y - STEPS, bool(state % 2))

    return [Part((0, 0, 2.2, 2.2), states, draw)]


def _full(track: ActionTrack) -> float:
    """The camera value at which the stick reaches its rim."""
    return FULL * track.variant.camera.speed


def _numbers(track: ActionTrack, rows: NDArray[np.int64], width: float) -> Part:
    assert track.mouse is not None
    columns = [1, 0] if track.variant.pitch else [1]
    texts = ["  ".join(f"{v:+.1f}°" for v in row[columns] * track.variant.camera.unit) for row in track.mouse[rows]]
    return _texts(texts, max(3.2, width))


def _texts(texts: list[str], width: float) -> Part:
    kinds = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    names = list(kinds)
    states = np.array([kinds[text] for text in texts], np.int64)
    return Part((0, 0, width, 0.6), states, lambda s, w, h: sprites.label(names[s], w, h))


def _under(group: Group, part: Part) -> Group:
    """`part` centred over the group: text stands above it, so that the group keeps its corner."""
    width = max(_extent(group)[0], part.box[2])
    lift = part.box[3] + 0.15
    shift = (width - _extent(group)[0]) / 2
    moved = [Part((p.box[0] + shift, p.box[1] + lift, *p.box[2:]), p.states, p.draw) for p in group]
    return [Part(((width - part.box[2]) / 2, 0, *part.box[2:]), part.states, part.draw), *moved]


def _key_dots(track: ActionTrack, rows: NDArray[np.int64]) -> Group:
    def part(i: int, key: str) -> Part:
        return Part((0.6 * i, 0, 0.5, 0.5), _levels(track, key)[rows], lambda level, w, _: sprites.dot(w, level))

    return [part(i, key) for i, key in enumerate(held_keys(track.variant))]


def _camera_dots(track: ActionTrack, rows: NDArray[np.int64]) -> Group:
    """Left, right (down, up): the brighter, the faster."""
    if track.mouse is None:
        return []
    group = []
    for axis in camera_axes(track.variant):
        for way in (-1, 1):
            value = track.mouse[rows, 1 if axis == "yaw" else 0] * way
            levels = np.ceil(np.clip(value / _full(track), 0, 1) * LEVELS).astype(np.int64)
            box = (0.6 * len(group), 0, 0.5, 0.5)
            group.append(Part(box, levels, lambda level, w, _: sprites.dot(w, level)))
    return group


def _history(track: ActionTrack, rows: NDArray[np.int64]) -> Group:
    """The last HISTORY rows as lanes, the newest at the right."""
    group: Group = []
    y = 0.0
    for lane in (*track.variant.held, *camera_axes(track.variant)):
        values = _lane_values(track, lane)
        high = 0.4 if isinstance(lane, Key) else 0.7

        def draw_lane(
            row: int, w: int, h: int, values: NDArray[np.float32] = values, signed: bool = high > 0.4
        ) -> Image.Image:
            return _lane_picture(values, signed, row, w, h)

        def draw_sign(_: int, w: int, h: int, lane: Key | str = lane) -> Image.Image:
            return sprites.sign(lane, w, h)

        group.append(Part((0, y, 0.5, high), np.zeros(len(rows), np.int64), draw_sign))
        group.append(Part((0.5, y, 5.76, high), rows, draw_lane))
        y += high
    return group


def _beside(left: Group, right: Group) -> Group:
    """Two groups as one, standing on the same line."""
    (across, one), (_, other) = _extent(left), _extent(right)
    drop, lower = max(0.0, other - one), max(0.0, one - other)
    moved = [Part((p.box[0], p.box[1] + drop, *p.box[2:]), p.states, p.draw) for p in left]
    return moved + [Part((p.box[0] + across + 0.5, p.box[1] + lower, *p.box[2:]), p.states, p.draw) for p in right]


def _lane_values(track: ActionTrack, lane: Key | str) -> NDArray[np.float32]:
    if isinstance(lane, Key):
        return track.keyboard[:, track.variant.keys.index(lane.name)]
    assert track.mouse is not None
    return np.clip(track.mouse[:, 1 if lane == "yaw" else 0] / _full(track), -1, 1)


def _lane_picture(values: NDArray[np.float32], signed: bool, row: int, width: int, height: int) -> Image.Image:
    """Rows row - HISTORY + 1 .. row of one lane, RGBA; signed ones rise for + and fall for -."""
    columns = row - HISTORY + 1 + np.arange(width) * HISTORY // max(1, width)
    shown = np.where(columns >= 0, values[np.clip(columns, 0, len(values) - 1)], 0.0)
    y = (np.arange(height)[:, None] + 0.5) / height  # 0 top, 1 bottom
    if signed:
        centre = 0.5 - 0.42 * shown
        lit = (y >= np.minimum(0.5, centre)) & (y <= np.maximum(0.5, centre)) & (shown != 0)
    else:
        lit = (shown > 0) & (y > 0.1) & (y < 0.9)
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., 3] = 115
    picture[lit] = (255, 255, 255, 235)
    picture[:, -1] = (255, 255, 255, 235)
    if height > 3:
        picture[-1] = 0  # a gap between lanes
    return Image.fromarray(picture)


# ---- where it is drawn


def _extent(group: Group) -> tuple[float, float]:
    """Width and height of a group in units."""
    return max(p.box[0] + p.box[2] for p in group), max(p.box[1] + p.box[3] for p in group)


def _unit(groups: list[Group], height: int, width: int, scale: float) -> float:
    """Pixels of one unit: 1/14 of the height, less where the groups would not fit side by side."""
    wide = sum(_extent(group)[0] for group in groups) + len(groups)
    high = max(_extent(group)[1] for group in groups) + 1
    return max(1.0, min(height / 14 * scale, width / wide, height / high))


def _bar(groups: list[Group], unit: float) -> int:
    """Height of the bar under the picture, an even number of pixels."""
    return 2 * round((max(_extent(group)[1] for group in groups) + 0.8) * unit / 2)


def _places(
    groups: list[Group], unit: float, position: str, width: int, top: int, height: int, below: bool
) -> list[tuple[Group, int, int]]:
    """Each group with its left upper corner in pixels."""
    margin = unit / 2 if below else max(unit / 2, 0.04 * min(width, height))
    sizes = [(w * unit, h * unit) for w, h in map(_extent, groups)]
    if position in ("bottom", "top"):
        lefts = [margin, width - margin - sizes[-1][0]] if len(groups) > 1 else [margin]
    else:
        total = sum(w for w, _ in sizes) + unit * (len(groups) - 1)
        lefts, x = [], margin if position.endswith("left") else width - margin - total
        for w, _ in sizes:
            lefts.append(x)
            x += w + unit
    places = []
    for group, x, (_, h) in zip(groups, lefts, sizes, strict=True):
        y = margin if position.startswith("top") else height - margin - h
        places.append((group, round(x), round(top + ((height - h) / 2 if below else y))))
    return places


def _draw(out: Frames, part: Part, unit: float, left: int, top: int, opacity: float) -> None:
    """Blend one part onto all frames, each distinct state once; what lies outside is cut off."""
    x, y = left + round(part.box[0] * unit), top + round(part.box[1] * unit)
    w, h = max(1, round(part.box[2] * unit)), max(1, round(part.box[3] * unit))
    x0, y0, x1, y1 = max(0, x), max(0, y), min(out.shape[2], x + w), min(out.shape[1], y + h)
    if x0 >= x1 or y0 >= y1:
        return
    order = np.argsort(part.states, kind="stable")
    starts = np.flatnonzero(np.diff(part.states[order], prepend=part.states[order[0]] - 1))
    for indices in np.split(order, starts[1:]):
        picture = np.asarray(part.draw(int(part.states[indices[0]]), w, h))[y0 - y : y1 - y, x0 - x : x1 - x]
        alpha = np.rint(picture[..., 3:] * opacity).astype(np.uint16)
        ink = picture[..., :3] * alpha
        under = out[indices, y0:y1, x0:x1].astype(np.uint16)
        out[indices, y0:y1, x0:x1] = (under * (255 - alpha) + ink + 127) // 255
