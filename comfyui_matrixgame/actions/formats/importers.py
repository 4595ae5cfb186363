"""Inputs written for other programs, as tracks: arrays of rows, and the strings and lists of Hunyuan's models.

Every reader returns an `Imported`: the track, and notes on what could not be taken over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ActionError
from ...system.words import counted
from ...variants import Variant
from ..check_document import MAX_FRAMES
from ..script.lexer import ScriptError
from ..script.read_script import parse_script
from ..vocabulary import CAMERA, key_words
from .arrays import Arrays
from .imported import Imported, Notes, keyboard_of, track_of
from .poses import POSE_NAMES, track_of_poses
from .recordings import minedojo_of, read_vpt
from .tables import read_csv

__all__ = ["read_arrays", "read_csv", "read_gamecraft", "read_gamecraft_text", "read_hy", "read_npy", "read_vpt"]
HY_DEGREES = 3 / 4  # a frame: 3 degrees a latent frame
GAMECRAFT_FRAMES = 33  # of one action, at 25 a second
GAMECRAFT_SPEED = 0.2  # the speed that stands for the usual camera speed
SEKAI = {"extrinsic", "intrinsic"}  # arrays beside a film of Sekai
NPY_NAMES = (("keyboard_cond", "keyboard_condition", "keyboard"), ("mouse_cond", "mouse_condition", "mouse"))


def read_arrays(keyboard: Any, mouse: Any, variant: Variant) -> Imported:
    """`keyboard_cond` [T, keys] and `mouse_cond` [T, 2] (pitch, yaw), with or without a batch axis of 1 in front.

    Rows of an exclusive variant in which nothing is held become idle.
    """
    notes = Notes()
    keys = _plain_array(keyboard, len(variant.keys), "keyboard_cond", variant)
    held = keys > 0.5
    if variant.exclusive:
        empty = ~held.any(axis=1)
        if empty.any():
            notes.add(f"{counted(int(empty.sum()), 'row')} in which nothing was held became idle")
            held[empty, variant.keys.index("idle")] = True
    units = np.zeros((len(keys), 2)) if mouse is None else _plain_array(mouse, 2, "mouse_cond", variant)
    if len(units) != len(keys):
        raise ActionError(
            f"keyboard_cond has {counted(len(keys), 'row')} and mouse_cond {len(units)}; make them equal."
        )
    return Imported(track_of(variant, held.astype(np.float32), units, notes), notes.all())


def read_npy(path: str | Path, variant: Variant) -> Imported:
    """A folder with `keyboard_cond.npy` and `mouse_cond.npy`, one of the two files, an .npz with both, or an .npy file
    of keys with any other name, which is read alone; also an .npz as MineDojo writes it."""
    path = Path(path)
    if path.is_dir() or path.suffix.lower() == ".npy":
        keyboard, mouse = (None if file is None else _whole(file) for file in _npy_files(path))
        if keyboard is None:
            raise ActionError(f"{path.name} holds no keyboard_cond; expected keyboard_cond and mouse_cond.")
        return read_arrays(keyboard, mouse, variant)
    with Arrays(path) as arrays:
        if "" in arrays:
            return read_arrays(arrays.read(), None, variant)
        keyboard, mouse = (arrays.first(names) for names in NPY_NAMES)
        if keyboard is not None:
            read = read_arrays(arrays.read(keyboard), mouse and arrays.read(mouse), variant)
            return replace(read, notes=(*read.notes, *_left_out(arrays, (keyboard, mouse, *POSE_NAMES))))
        poses = arrays.first(POSE_NAMES)
        if poses is not None:
            track, report = track_of_poses(arrays.read(poses), variant)
            return Imported(track, (str(report),))
        if "actions" in arrays and {"yaws", "pitches"} & arrays.names.keys():
            yaws, pitches = (arrays.read(name) if name in arrays else None for name in ("yaws", "pitches"))
            return minedojo_of(arrays.read("actions"), yaws, pitches, variant)
        if arrays.names.keys() >= SEKAI:
            raise ActionError(
                f"{path.name} holds a camera path and no inputs, as the datasets of Sekai do; for the inputs that come "
                "nearest to it save its poses as camera-to-world: np.savez(name, c2w=np.linalg.inv(extrinsic))."
            )
        raise ActionError(
            f"{path.name} holds no keyboard_cond; expected keyboard_cond and mouse_cond, and there is "
            f"{', '.join(arrays.names)[:200] or 'nothing'}."
        )


def _whole(path: Path) -> np.ndarray:
    """The one array of a .npy file, whatever its ending says."""
    with Arrays(path) as arrays:
        if "" not in arrays:
            raise ActionError(f"{path.name} is an archive of arrays; let its name end in .npz.")
        return arrays.read()


def _left_out(arrays: Arrays, used: Iterable[str | None]) -> list[str]:
    """A sentence on the arrays of an archive that were not asked for."""
    left = [name for name in arrays.names if name not in used]
    return [f"Left out: {', '.join(left)[:200]}."] if left else []


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


def read_hy(text: str, variant: Variant, speed: float | None = None) -> Imported:
    """A HY-WorldPlay string such as `w-3, right-1, d-4`: latent frames of 4 rows; words are camera turns.

    speed: of a turn in units; None: HY-WorldPlay's.
    """
    speed = HY_DEGREES / variant.camera.unit if speed is None else speed
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
        raise ActionError(
            f"The list has {counted(len(actions), 'action')} and {counted(len(speeds), 'speed')}; make them equal."
        )
    if not actions or len(actions) * GAMECRAFT_FRAMES > MAX_FRAMES:
        raise ActionError(f"The list needs 1 to {MAX_FRAMES // GAMECRAFT_FRAMES} actions, got {len(actions)}.")
    notes = Notes()
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
        value = variant.camera.speed * speed / GAMECRAFT_SPEED
        units.append([value * turn[1] * (turn[0] == "pitch"), value * turn[1] * (turn[0] == "yaw")] if turn else [0, 0])
        if not turn and speed != GAMECRAFT_SPEED:
            notes.add("keys have no speed, so the speeds of walking were left out")
    keyboard = np.repeat(keyboard_of(held, variant, notes), GAMECRAFT_FRAMES, axis=0)
    track = track_of(variant, keyboard, np.repeat(np.array(units, float), GAMECRAFT_FRAMES, axis=0), notes)
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
