"""A clip of a dataset, whatever layout it lies in: a film or a part of one, and a row of inputs for each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...actions.track import ActionTrack
from ...actions.vocabulary import key_words
from ...errors import DatasetError
from ...system.words import counted
from ...variants import VARIANTS, Variant, default_variant, get_variant
from ..video_reader import read_video

CAMERA = {"pitch": "pitch", "yaw": "yaw", "camera_pitch": "pitch", "camera_yaw": "yaw"}
HELD = 0.5


@dataclass(frozen=True)
class ClipInputs:
    """track: a row for each frame, what is held while it is on screen. camera: [rows, 2] pitch and yaw as they are
    written, also where a track takes no such speed. menus: [rows] bool, a menu is open and the mouse moves its cursor;
    cursor: degrees that it would have turned in all. times: [rows] seconds, where the inputs have any. notes:
    sentences."""

    track: ActionTrack
    camera: NDArray[np.float64]
    menus: NDArray[np.bool_]
    cursor: float = 0.0
    times: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip:
    """name: unique in its dataset. video: the film, of which frames `first` to `first + frames` belong to the clip
    (None: all). read: its inputs; raises MatrixGameError. rate: frames a second, where the dataset says it. task: what
    is done in it, in words. inputs: the file that they are read from, where it is theirs alone."""

    name: str
    video: Path
    read: Callable[[], ClipInputs]
    rate: float | None = None
    task: str = ""
    first: int = 0
    frames: int | None = None
    inputs: Path | None = None

    @property
    def id(self) -> str:
        """What an export calls it, so that it goes on: its name, and what was done to it."""
        return self.name

    @property
    def is_film(self) -> bool:
        """Whether the film holds the frames of this clip, and no others."""
        return self.frames is None and not self.first

    def pixels(self, start: int = 0, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Frames [H, W, 3] of the clip, from frame `start` of it on. Raises VideoError."""
        most = None if self.frames is None else max(0, self.frames - start)
        count = most if count is None else count if most is None else min(count, most)
        yield from read_video(self.video, self.first + start, count)


@dataclass(frozen=True)
class Dataset:
    """layout: what it is, in words. lost: clips whose files are not what the dataset says, and why."""

    root: Path
    layout: str
    clips: Sequence[Clip]
    lost: Mapping[str, str] = field(default_factory=dict)


def inputs_of_arrays(
    keyboard: Any, camera: Any, variant: Variant, notes: Sequence[str] = (), times: NDArray[np.float64] | None = None
) -> ClipInputs:
    """Inputs from rows of numbers, whatever they are: a camera that is too fast for a track is cut in it, and said.

    keyboard: [rows, keys] in the variant's order, held above 0.5. camera: [rows, 2] pitch, yaw, or None.
    """
    keys = np.asarray(keyboard, np.float64)
    turns = np.zeros((len(keys), 2)) if camera is None else np.asarray(camera, np.float64)
    if not len(keys) or len(turns) != len(keys):
        raise DatasetError(
            f"There are {counted(len(keys), 'row')} of keys and {len(turns)} of camera; make them equal, and not none."
        )
    if not (np.isfinite(keys).all() and np.isfinite(turns).all()):
        raise DatasetError("The inputs hold a value that is not a number.")
    said = list(notes)
    pressed = (keys > HELD).astype(np.float32)
    limit = variant.camera.limit
    beyond = int((abs(turns) > limit).any(axis=1).sum())
    if beyond:
        said.append(f"{counted(beyond, 'row')} of the camera {'is' if beyond == 1 else 'are'} beyond {limit:g}.")
    if variant.exclusive:
        pressed = _one_held(pressed, variant)
    mouse = np.clip(turns, -limit, limit).astype(np.float32) if variant.mouse else None
    if not variant.mouse and turns.any():
        said.append(f"{variant.name} has no camera input, and these inputs turn it.")
    return ClipInputs(ActionTrack(variant, pressed, mouse), turns, np.zeros(len(keys), bool), 0.0, times, tuple(said))


def columns_of(names: Sequence[str], variant: Variant | None = None) -> tuple[Variant, list[tuple[str, int]]]:
    """Which variant columns of these names are for, and (key or axis, column) of what it knows of them.

    Raises DatasetError where they are those of no known variant.
    """
    plain = [str(name).lower().removeprefix("key.keyboard.").removeprefix("key_") for name in names]
    best: tuple[int, Variant, list[tuple[str, int]]] | None = None
    wanted = [variant] if variant else [default_variant(), *(get_variant(name) for name in VARIANTS)]
    for each in wanted:
        words = key_words(each)
        found: dict[str, int] = {}
        for column, name in enumerate(plain):
            mine = words.get(name) or (CAMERA.get(name) if each.mouse else None)
            if mine in each.keys or mine in CAMERA:
                found.setdefault(str(mine), column)
        if (best is None or len(found) > best[0]) and any(key in found for key in each.keys):
            best = len(found), each, list(found.items())
    if best is None:
        raise DatasetError(
            f"The columns of its actions ({', '.join(map(str, names[:12]))}) are the keys of no known variant; "
            "rename them, such as w, s, a, d, pitch, yaw."
        )
    return best[1], best[2]


def _one_held(pressed: NDArray[np.float32], variant: Variant) -> NDArray[np.float32]:
    """Rows of a variant that takes one key at a time: the first that is held, else idle."""
    rows = np.zeros_like(pressed)
    idle = variant.keys.index("idle")
    others = pressed.copy()
    others[:, idle] = 0
    at = np.where(others.any(axis=1), others.argmax(axis=1), idle)
    rows[np.arange(len(rows)), at] = 1
    return rows
