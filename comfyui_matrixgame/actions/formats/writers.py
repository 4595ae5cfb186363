"""Tracks in the formats of other programs; what a format cannot say is an error, never left out quietly."""

from __future__ import annotations

import csv
import io
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ActionError
from ...variants import FPS, FRAMES_PER_LATENT
from ..resample import resample_amounts, resample_held
from ..track import ActionTrack
from ..vocabulary import CAMERA
from .importers import GAMECRAFT_FRAMES, GAMECRAFT_SPEED, HY_DEGREES, NPY_NAMES
from .poses import poses_of_track
from .recordings import CONTROL_FPS, KEY_CODES, VPT_DEGREES, VPT_FPS


def write_csv(track: ActionTrack) -> str:
    """A table with a column for each key, pitch and yaw where there is a camera, and `seed` where it changes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    camera = track.mouse is not None
    seeds = dict(track.seeds)
    writer.writerow([*track.variant.keys, *(("pitch", "yaw") if camera else ()), *(("seed",) if seeds else ())])
    for t in range(len(track)):
        turns = [_digits(v) for v in track.mouse[t]] if track.mouse is not None else []
        writer.writerow([*(int(v) for v in track.keyboard[t]), *turns, *([seeds.get(t, "")] if seeds else ())])
    return out.getvalue()


def write_vpt(track: ActionTrack, fps: float = VPT_FPS) -> str:
    """JSON lines as VPT and MineRL record them, at `fps`: keys, and mouse movement in pixels (dy > 0 is down)."""
    letters = _letters(track)
    keyboard = resample_held(track.keyboard, FPS, fps)
    units = np.zeros((len(track), 2)) if track.mouse is None else track.mouse.astype(np.float64)
    pixels = resample_amounts(units, FPS, fps) * track.variant.camera.unit / VPT_DEGREES
    lines = []
    for tick, (held, (pitch, yaw)) in enumerate(zip(keyboard, pixels, strict=True)):
        names = [letters[key] for key, on in zip(track.variant.keys, held, strict=True) if on and key != "idle"]
        step = {
            "tick": tick,
            "keyboard": {"keys": [f"key.keyboard.{name}" for name in names]},
            "mouse": {"dx": round(yaw, 4) + 0.0, "dy": round(-pitch, 4) + 0.0, "buttons": []},
        }
        lines.append(json.dumps(step))
    return "\n".join(lines) + "\n"


def write_flashdreams(track: ActionTrack, fps: float = CONTROL_FPS) -> str:
    """A control file of FlashDreams: an action for each 1/15 s, with the codes of the keys that are held in its middle
    and the camera's speed there. Raises ActionError for a key that no code stands for."""
    return json.dumps({"schema_version": 1, "actions": _controls(track, fps)}) + "\n"


def write_biome(track: ActionTrack) -> str:
    """The log of a session of Biome, JSON lines: an input for each row, so that reading it gives the same track. Raises
    as `write_flashdreams`."""
    frames = [
        {"type": "frame_input", "ts": round(row / FPS, 6), "frame_id": row, **controls, "client_ts": 0.0}
        for row, controls in enumerate(_controls(track, FPS))
    ]
    start = {"type": "session_start", "ts": 0.0, "frame_id": 0, "n_frames": 4, "has_prompt_conditioning": False}
    end = {"type": "session_end", "ts": round(len(track) / FPS, 6)}
    return "".join(json.dumps(line) + "\n" for line in (start, *frames, end))


def _controls(track: ActionTrack, fps: float) -> list[dict[str, Any]]:
    """What is held, and the speed of the camera (right and down), at `fps`."""
    letters, idle = _letters(track), np.zeros((len(track), 2), np.float32)
    keyboard = resample_held(track.keyboard, FPS, fps)
    speeds = resample_held(idle if track.mouse is None else track.mouse, FPS, fps)
    actions = []
    for held, (pitch, yaw) in zip(keyboard, speeds, strict=True):
        names = [letters[key] for key, on in zip(track.variant.keys, held, strict=True) if on and key != "idle"]
        turn = {name: float(_digits(value)) + 0.0 for name, value in (("mouse_dx", yaw), ("mouse_dy", -pitch))}
        actions.append({"buttons": [_code(name) for name in names], **turn, "scroll_wheel": 0})
    return actions


def _code(key: str) -> int:
    """The Windows key code of a letter, digit or named key."""
    if len(key) == 1 and key.isascii() and key.isalnum():
        return ord(key.upper())
    code = next((code for code, name in KEY_CODES.items() if name == key), None)
    if code is None:
        raise ActionError(f"The key '{key}' has no key code; name it after one key of a keyboard in its variant.")
    return code


def _letters(track: ActionTrack) -> dict[str, str]:
    """What a keyboard calls each key of the track's variant: its alias of one letter, where it has one."""
    letters = {key: key for key in track.variant.keys}
    letters.update({key: word for word, key in track.variant.aliases.items() if len(word) == 1})
    return letters


def write_hy(track: ActionTrack) -> str:
    """A HY-WorldPlay string such as `w-3, right-1`; raises ActionError where it would not say the same.

    Its steps are whole latent frames (4 rows) of one key or one turn at 3 degrees a latent frame.
    """
    steps = []
    usual = HY_DEGREES / track.variant.camera.unit
    turns = {(CAMERA[w][0], CAMERA[w][1]): w for w in CAMERA}
    at = 0
    for (keys, pitch, yaw), rows in _stretches(track):
        words = [key for key in keys if key != "idle"]
        for axis, value in (("pitch", pitch), ("yaw", yaw)):
            if value and not np.isclose(abs(value), usual, atol=1e-6):
                raise ActionError(f"Row {at}: this format turns at {usual:g} only, got {axis} {value:g}.")
            if value:
                words.append(turns[axis, 1 if value > 0 else -1])
        if len(words) != 1 or rows % FRAMES_PER_LATENT:
            raise ActionError(
                f"Row {at}: this format takes one key or one turn for whole latent frames (4 rows), got "
                f"{'+'.join(words) or 'nothing'} for {rows}."
            )
        steps.append(f"{words[0]}-{rows // FRAMES_PER_LATENT}")
        at += rows
    return ", ".join(steps) + "\n"


def write_gamecraft(track: ActionTrack) -> str:
    """Hunyuan-GameCraft options; raises ActionError where the track is not one key or turn for each 33 rows."""
    actions, speeds, usual = [], [], track.variant.camera.speed
    at = 0
    for (keys, pitch, yaw), rows in _stretches(track):
        words = [key for key in keys if key != "idle"]
        for axis, value in (("pitch", pitch), ("yaw", yaw)):
            if value:
                way = next(w for w, (a, sign) in CAMERA.items() if a == axis and sign * value > 0)
                words.append(f"{way}_rot")
        if len(words) != 1 or rows % GAMECRAFT_FRAMES:
            raise ActionError(
                f"Row {at}: this format takes one key or one turn for each {GAMECRAFT_FRAMES} rows, got "
                f"{'+'.join(words) or 'nothing'} for {rows}."
            )
        count = rows // GAMECRAFT_FRAMES
        actions += words * count
        speeds += [f"{GAMECRAFT_SPEED / usual * max(abs(pitch), abs(yaw)) or GAMECRAFT_SPEED:g}"] * count
        at += rows
    return f"--action-list {' '.join(actions)} --action-speed-list {' '.join(speeds)}\n"


def write_arrays(track: ActionTrack, folder: str | Path) -> None:
    """`keyboard_cond.npy` [T, keys] and, where there is a camera, `mouse_cond.npy` [T, 2] (pitch, yaw), float32."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{NPY_NAMES[0][0]}.npy", track.keyboard)
    if track.mouse is not None:
        np.save(folder / f"{NPY_NAMES[1][0]}.npy", track.mouse)


def write_npz(track: ActionTrack, path: str | Path) -> None:
    """The same two arrays in one .npz file, with `c2w` [T, 4, 4], the poses that the track makes."""
    arrays = {NPY_NAMES[0][0]: track.keyboard, "c2w": poses_of_track(track).astype(np.float32)}
    if track.mouse is not None:
        arrays[NPY_NAMES[1][0]] = track.mouse
    with Path(path).open("wb") as file:  # for a name, np.savez would choose the ending
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _stretches(track: ActionTrack) -> list[tuple[tuple[tuple[str, ...], float, float], int]]:
    """Runs of equal rows: ((keys held, pitch, yaw), rows)."""
    mouse = np.zeros((len(track), 2)) if track.mouse is None else track.mouse.astype(np.float64)
    rows = (
        (tuple(k for k, on in zip(track.variant.keys, track.keyboard[t], strict=True) if on), *map(float, mouse[t]))
        for t in range(len(track))
    )
    return [(state, len(list(group))) for state, group in groupby(rows)]  # type: ignore[misc]


def _digits(value: float) -> str:
    """A float32 in as few digits as say it exactly, without an exponent."""
    return np.format_float_positional(np.float32(value), trim="-")
