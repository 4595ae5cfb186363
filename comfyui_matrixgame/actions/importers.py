"""Inputs recorded or written for other programs, as tracks.

Every reader returns an `Imported`: the track, and notes on what could not be taken over.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ActionError
from ..variants import CAMERA_DEFAULT, CAMERA_LIMIT, CAMERA_UNIT_DEGREES, Variant
from .check import MAX_FRAMES
from .lexer import ScriptError
from .resample import nearest, spread
from .script import parse_script
from .track import ActionTrack
from .vocabulary import CAMERA, key_words

VPT_FPS = 20
VPT_DEGREES = 360 / 2400  # of turning per pixel of mouse movement
HY_SPEED = 3 / 4 / CAMERA_UNIT_DEGREES  # 3 degrees a latent frame
GAMECRAFT_FRAMES = 33  # of one action, at 25 a second
GAMECRAFT_SPEED = 0.2  # the speed that stands for the usual camera speed
NPY_NAMES = (("keyboard_cond", "keyboard_condition", "keyboard"), ("mouse_cond", "mouse_condition", "mouse"))


@dataclass(frozen=True)
class Imported:
    """A track, and in `notes` one sentence for each thing that was changed or left out."""

    track: ActionTrack
    notes: tuple[str, ...] = ()


def read_vpt(text: str, variant: Variant, fps: float = VPT_FPS) -> Imported:
    """A VPT or MineRL recording: JSON lines with `keyboard.keys` and `mouse.dx`, `mouse.dy` in pixels.

    Resampled from `fps` to 25 rows a second with all turning kept; mouse down (dy > 0) is pitch down (< 0).
    """
    held: list[list[str]] = []
    moved: list[tuple[float, float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        keys, dx, dy = _vpt_line(line, number)
        held.append([key.rsplit(".", 1)[-1] for key in keys])
        moved.append((-dy, dx))
        if len(held) > MAX_FRAMES:
            raise ActionError(f"The recording has more than {MAX_FRAMES} lines; split it.")
    if not held:
        raise ActionError("The recording has no lines.")
    notes = _Notes()
    keyboard = nearest(_keyboard(held, variant, notes), fps)
    units = spread(np.array(moved) * VPT_DEGREES / CAMERA_UNIT_DEGREES, fps)
    return Imported(_track(variant, keyboard, units, notes), notes.all())


def _vpt_line(line: str, number: int) -> tuple[list[str], float, float]:
    try:
        step = json.loads(line)
        keys = [str(key) for key in (step.get("keyboard") or {}).get("keys", ())]
        mouse = step.get("mouse") or {}
        dx, dy = float(mouse.get("dx", 0)), float(mouse.get("dy", 0))
    except (ValueError, AttributeError, TypeError, RecursionError, OverflowError):
        raise ActionError(
            f'Line {number} of the recording is not a step like {{"keyboard": {{"keys": [...]}}, "mouse": {{"dx": 0, '
            '"dy": 0}}.'
        ) from None
    if not (math.isfinite(dx) and math.isfinite(dy)):
        raise ActionError(f"Line {number} of the recording has a mouse movement that is not a number.")
    return keys, dx, dy


def read_csv(text: str, variant: Variant) -> Imported:
    """Rows of a table. Columns are keys (any of their names), `pitch`, `yaw`, and `frame` or nothing.

    With a `frame` column a row holds until the next one. Without a header the columns are the variant's keys in
    their order, then pitch and yaw. Separators: comma, semicolon or tab.
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    try:
        table = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(c.strip() for c in row)]
    except csv.Error as error:
        raise ActionError(f"The table cannot be read: {error}.") from None
    if not table:
        raise ActionError("The table is empty.")
    names = [name.strip().lower() for name in table[0]]
    if all(_is_number(name) for name in names):
        plain = [*variant.keys, *(("pitch", "yaw") if variant.mouse else ())]
        names, body, above = plain[: len(names)] if len(names) in (len(variant.keys), len(plain)) else [], table, 0
        if not names:
            raise ActionError(
                f"A table for {variant.name} has the columns {', '.join(plain)}; name them in a first row."
            )
    else:
        body, above = table[1:], 1
    notes = _Notes()
    rows, frames = _cells(names, body, above, variant, notes)
    return Imported(_held_until(rows, frames, variant, notes), notes.all())


def _cells(
    names: Sequence[str], body: Sequence[Sequence[str]], above: int, variant: Variant, notes: _Notes
) -> tuple[list[dict[str, float]], list[int]]:
    words = key_words(variant)
    ours = [words.get(name, name if name in ("pitch", "yaw", "frame", "t") else None) for name in names]
    for name in (name for name, mine in zip(names, ours, strict=True) if mine is None):
        notes.add(f"the column '{name}' means nothing to {variant.name}")
    rows, frames = [], []
    for number, cells in enumerate(body, above + 1):
        if len(cells) > len(ours):
            raise ActionError(f"Row {number} of the table has {len(cells)} values, and there are {len(ours)} columns.")
        row: dict[str, float] = {}
        for name, mine, cell in zip(names, ours, cells, strict=False):
            if mine is None or not cell.strip():
                continue
            if not _is_number(cell):
                raise ActionError(f"Row {number} of the table, column {name}: '{cell.strip()}' is not a number.")
            row[mine] = max(float(cell), row.get(mine, -math.inf)) if mine in words.values() else float(cell)
        at = row.pop("frame", row.pop("t", len(frames)))
        if at != int(at) or not 0 <= at <= MAX_FRAMES or (frames and at <= frames[-1]):
            raise ActionError(f"Row {number} of the table: frame {at:g} does not follow the frame before it.")
        rows.append(row)
        frames.append(int(at))
    return rows, frames


def _held_until(rows: list[dict[str, float]], frames: list[int], variant: Variant, notes: _Notes) -> ActionTrack:
    if not rows:
        raise ActionError("The table has a header but no rows.")
    if frames[0] != 0:
        rows, frames = [{}, *rows], [0, *frames]
    lengths = np.diff([*frames, frames[-1] + 1])
    held = [[key for key, value in row.items() if key in variant.keys and value > 0.5] for row in rows]
    keyboard = np.repeat(_keyboard(held, variant, notes), lengths, axis=0)
    units = np.repeat(np.array([[row.get("pitch", 0.0), row.get("yaw", 0.0)] for row in rows]), lengths, axis=0)
    return _track(variant, keyboard, units, notes)


def read_arrays(keyboard: Any, mouse: Any, variant: Variant) -> Imported:
    """`keyboard_cond` [T, keys] and `mouse_cond` [T, 2] (pitch, yaw), with or without a batch axis of 1 in front.

    Rows of an exclusive variant in which nothing is held become idle.
    """
    notes = _Notes()
    keys = _plain_array(keyboard, len(variant.keys), "keyboard_cond", variant)
    held = keys > 0.5
    if variant.exclusive:
        empty = ~held.any(axis=1)
        if empty.any():
            notes.add(f"{int(empty.sum())} rows in which nothing was held became idle")
            held[empty, variant.keys.index("idle")] = True
    units = np.zeros((len(keys), 2)) if mouse is None else _plain_array(mouse, 2, "mouse_cond", variant)
    if len(units) != len(keys):
        raise ActionError(f"keyboard_cond has {len(keys)} rows and mouse_cond {len(units)}; make them equal.")
    return Imported(_track(variant, held.astype(np.float32), units, notes), notes.all())


def read_npy(path: str | Path, variant: Variant) -> Imported:
    """A folder with `keyboard_cond.npy` and `mouse_cond.npy`, one of the two files, an .npz with both, or an .npy file
    of keys with any other name, which is read alone."""
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found = [next((arrays[n] for n in names if n in arrays), None) for names in NPY_NAMES]
        else:
            found = [None if file is None else np.load(file, allow_pickle=False) for file in _npy_files(path)]
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise ActionError(f"{path.name} is not a readable array file: {error}.") from None
    if found[0] is None:
        raise ActionError(f"{path.name} holds no keyboard_cond; expected keyboard_cond and mouse_cond.")
    return read_arrays(found[0], found[1], variant)


def _npy_files(path: Path) -> list[Path | None]:
    """The files of keys and camera that a path stands for; a file that was named is one of them."""
    if path.is_dir():
        return [_first_file(path, names) for names in NPY_NAMES]
    pair = next((pair for pair in zip(*NPY_NAMES, strict=True) if path.stem in pair), None)
    if pair is None:
        return [path, None]
    return [
        path if path.stem == own else _first_file(path.parent, (own, *names))
        for own, names in zip(pair, NPY_NAMES, strict=True)
    ]


def _first_file(folder: Path, names: Iterable[str]) -> Path | None:
    return next((file for name in names if (file := folder / f"{name}.npy").is_file()), None)


def read_hy(text: str, variant: Variant, speed: float = HY_SPEED) -> Imported:
    """A HY-WorldPlay string such as `w-3, right-1, d-4`: latent frames of 4 rows; words are camera turns."""
    try:
        return Imported(parse_script(f"@speed {np.format_float_positional(speed, trim='-')}\n{text}", variant).track)
    except ScriptError as error:  # its line is one of the text that was given
        line = max(1, error.line - 1)
        raise ScriptError(error.code, error.message, text, line, error.column, error.width, error.hint) from None


def read_gamecraft(actions: Sequence[str], speeds: Sequence[float] | None, variant: Variant) -> Imported:
    """A Hunyuan-GameCraft list: one action for 33 frames each; `left_rot` and the like turn the camera.

    A turn at speed 0.2 is the usual camera speed 0.1. Keys have no speed here, so theirs is left out.
    """
    speeds = [GAMECRAFT_SPEED] * len(actions) if not speeds else list(speeds)
    if len(speeds) != len(actions):
        raise ActionError(f"The list has {len(actions)} actions and {len(speeds)} speeds; make them equal.")
    if not actions or len(actions) * GAMECRAFT_FRAMES > MAX_FRAMES:
        raise ActionError(f"The list needs 1 to {MAX_FRAMES // GAMECRAFT_FRAMES} actions, got {len(actions)}.")
    notes = _Notes()
    words = key_words(variant)
    held, units = [], []
    for action, speed in zip(actions, speeds, strict=True):
        name = action.strip().lower()
        turn = CAMERA.get(name.removesuffix("_rot")) if name.endswith("_rot") else None
        if turn is None and name not in words:
            raise ActionError(
                f"'{action}' is no action of {variant.name}; use w s a d, left_rot, right_rot, up_rot, down_rot."
            )
        held.append([] if turn else [name])
        value = CAMERA_DEFAULT * speed / GAMECRAFT_SPEED
        units.append([value * turn[1] * (turn[0] == "pitch"), value * turn[1] * (turn[0] == "yaw")] if turn else [0, 0])
        if not turn and speed != GAMECRAFT_SPEED:
            notes.add("keys have no speed, so the speeds of walking were left out")
    keyboard = np.repeat(_keyboard(held, variant, notes), GAMECRAFT_FRAMES, axis=0)
    track = _track(variant, keyboard, np.repeat(np.array(units, float), GAMECRAFT_FRAMES, axis=0), notes)
    return Imported(track, notes.all())


def read_gamecraft_text(text: str, variant: Variant) -> Imported:
    """The two options of a command line: `--action-list w s --action-speed-list 0.2 0.2`."""
    lists = dict(re.findall(r"--action-(list|speed-list)\s+([^-]*(?:-(?!-)[^-]*)*)", text))
    actions = lists.get("list", "").replace("\\", " ").split()
    try:
        speeds = [float(value) for value in lists.get("speed-list", "").replace("\\", " ").split()]
    except ValueError:
        raise ActionError("--action-speed-list takes numbers.") from None
    if not all(math.isfinite(speed) for speed in speeds):
        raise ActionError("--action-speed-list takes numbers.")
    return read_gamecraft(actions, speeds, variant)


# ---- common


class _Notes:
    """Sentences, each once, in the order they came up."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        self._counts[text] += 1

    def all(self) -> tuple[str, ...]:
        return tuple(text[0].upper() + text[1:] + "." for text in self._counts)


def _keyboard(held: Iterable[Iterable[str]], variant: Variant, notes: _Notes) -> NDArray[np.float32]:
    """Names of held keys, row by row, as [T, keys]; unknown keys are noted and left out."""
    words: Mapping[str, str] = {**key_words(variant), **({"space": "jump"} if "jump" in variant.keys else {})}
    rows = []
    for names in held:
        row = np.zeros(len(variant.keys), np.float32)
        for name in names:
            key = words.get(name.lower())
            if key is None:
                notes.add(f"the key '{name[:40]}' means nothing to {variant.name}")
            elif key in variant.keys:
                row[variant.keys.index(key)] = 1
        if variant.exclusive:
            idle = variant.keys.index("idle")
            pressed = np.flatnonzero(row)
            if len(pressed) > 1:
                pressed = pressed[pressed != idle]
            if len(pressed) > 1:
                notes.add(f"{variant.name} takes one action at a time; of several, the first was kept")
            row[:] = 0
            row[pressed[0] if len(pressed) else idle] = 1
        rows.append(row)
    return np.stack(rows)


def _track(variant: Variant, keyboard: NDArray[Any], units: NDArray[Any], notes: _Notes) -> ActionTrack:
    """The track of these rows, its camera cut to what the variant takes, with notes of what was cut."""
    if len(keyboard) > MAX_FRAMES:
        raise ActionError(f"This makes {len(keyboard)} rows, and a track has at most {MAX_FRAMES}.")
    if not np.isfinite(units).all():
        raise ActionError("The camera movement has a value that is not a number.")
    units = np.array(units, np.float64)
    if not variant.mouse:
        if units.any():
            notes.add(f"{variant.name} has no camera input, so the camera movement was left out")
        return ActionTrack(variant, keyboard.astype(np.float32), None)
    if not variant.pitch and units[:, 0].any():
        notes.add(f"{variant.name} never uses pitch, so looking up and down was left out")
        units[:, 0] = 0
    beyond = int((np.abs(units) > CAMERA_LIMIT).any(axis=1).sum())
    if beyond:
        notes.add(
            f"{beyond} rows turned faster than {CAMERA_LIMIT * CAMERA_UNIT_DEGREES:g} degrees and were slowed down"
        )
    return ActionTrack(variant, keyboard.astype(np.float32), np.clip(units, -CAMERA_LIMIT, CAMERA_LIMIT))


def _plain_array(values: Any, width: int, name: str, variant: Variant) -> NDArray[np.float64]:
    array = np.asarray(values)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.dtype.kind not in "biuf" or array.ndim != 2 or array.shape[1] != width or not len(array):
        raise ActionError(f"{name} of {variant.name} has rows of {width} numbers, got an array of shape {array.shape}.")
    if len(array) > MAX_FRAMES:
        raise ActionError(f"{name} has {len(array)} rows, and a track has at most {MAX_FRAMES}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ActionError(f"{name} has a value that is not a number.")
    return array


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
