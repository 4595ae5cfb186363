"""Recordings of players, by other programs, as tracks: Minecraft's in three layouts, and logs of keys and mouse."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ActionError
from ...system.words import counted
from ...variants import FPS, FRAMES_PER_LATENT, Variant
from ..check_document import MAX_FRAMES
from ..resample import resample_amounts, resample_held, resampled_length
from ..vocabulary import CAMERA
from .imported import Imported, Notes, keyboard_of, track_of
from .steps import (
    Numbers,
    Step,
    finite_number,
    fps_of,
    is_pressed,
    json_lines,
    limited,
    numbers_of,
    ordered_frames,
    pair_of,
)

VPT_FPS = 20
VPT_DEGREES = 360 / 2400  # of turning per pixel of mouse movement
CONTROL_FPS = 60 / FRAMES_PER_LATENT  # actions of a control file: each makes four frames of 60 a second
DOJO_STILL, DOJO_DEGREES = 12, 15  # MineDojo's camera: 25 bins of 15 degrees, the middle one still
_MINERL = {"forward": "w", "back": "s", "left": "a", "right": "d"}
_MINERL_OTHER = ("jump", "sneak", "sprint", "attack", "use", "drop", "inventory", "pickItem", "swapHands", "ESC")
_VIEWS = {"ll": "left", "lr": "right", "lu": "up", "ld": "down"}  # HY-WorldPlay's names of turns
KEY_CODES = {1: "left mouse button", 2: "right mouse button", 4: "middle mouse button", 16: "shift", 17: "ctrl",
             32: "space"}  # fmt: skip
_NO_RATE = "it says no frame rate, so an entry is a row of 1/25 s"


# ---- VPT and MineRL


def read_vpt(text: str, variant: Variant, fps: float = VPT_FPS) -> Imported:
    """A VPT recording: JSON lines with `keyboard.keys` and `mouse.dx`, `mouse.dy` in pixels.

    Resampled from `fps`, or the rate of its own times (`milli`), to 25 rows a second with all turning kept; mouse
    down (dy > 0) is pitch down (< 0). While a menu is open the player stands still: the mouse moves the cursor.
    """
    return vpt_of(json_lines(text), variant, fps)


def vpt_of(steps: Iterable[tuple[int, Any]], variant: Variant, fps: float = VPT_FPS) -> Imported:
    """See `read_vpt`; the recording comes as (line, step)."""
    held: list[list[str]] = []
    moved: list[tuple[float, float]] = []
    notes, times, slots = Notes(), [], set()
    menus = 0
    for number, step in limited(steps):
        keys, dx, dy = vpt_step(step, number)
        menu = is_menu(step)
        menus += menu
        held.append([] if menu else [key.rsplit(".", 1)[-1] for key in keys])
        moved.append((0.0, 0.0) if menu else (-dy, dx))
        times.append(step.get("milli"))
        slots.add(str(step.get("hotbar", 0))[:20])
        _note_vpt(step, menu, variant, notes)
    if not held:
        raise ActionError("The recording has no lines.")
    if menus:
        notes.add(
            f"in {counted(menus, 'step')} a menu was open (isGuiOpen): the mouse moved its cursor, so the "
            "player stands still"
        )
    if len(slots) > 1:
        notes.add(f"the choice of things in hand (hotbar) means nothing to {variant.name}")
    units = np.array(moved) * VPT_DEGREES / variant.camera.unit
    return _of_steps(held, units, _rate_of(times, fps, notes), variant, notes)


def is_menu(step: Step) -> bool:
    """Whether a menu is open in a step of VPT, so that the mouse moves its cursor."""
    return step.get("isGuiOpen") is True or step.get("isGuiInventory") is True


def vpt_step(step: Any, number: int) -> tuple[list[str], float, float]:
    """Held keys and mouse movement in pixels (dx right, dy down) of a step of VPT. Raises ActionError."""
    try:
        if not step.keys() & {"keyboard", "mouse"}:
            raise ValueError
        keys = [str(key) for key in (step.get("keyboard") or {}).get("keys", ())]
        mouse = step.get("mouse") or {}
        dx, dy = float(mouse.get("dx", 0)), float(mouse.get("dy", 0))
    except (ValueError, AttributeError, TypeError, OverflowError):
        raise ActionError(
            f'Line {number} of the recording is not a step like {{"keyboard": {{"keys": [...]}}, "mouse": {{"dx": 0, '
            '"dy": 0}}.'
        ) from None
    if not (math.isfinite(dx) and math.isfinite(dy)):
        raise ActionError(f"Line {number} of the recording has a mouse movement that is not a number.")
    return keys, dx, dy


def _note_vpt(step: Step, menu: bool, variant: Variant, notes: Notes) -> None:
    mouse = step.get("mouse") or {}
    if mouse.get("buttons") and not menu:
        notes.add(f"the mouse buttons mean nothing to {variant.name}")
    if mouse.get("dwheel"):
        notes.add(f"the mouse wheel means nothing to {variant.name}")


def _rate_of(times: Sequence[Any], fps: float, notes: Notes) -> float:
    """Steps a second by the milliseconds that a recording has with its steps; `fps` where they say nothing else."""
    if len(times) < 10 or not all(isinstance(t, (int, float)) and abs(t) < 1e15 for t in times):
        return fps
    gaps = np.diff(np.array(times, np.float64))
    middle = float(np.median(gaps))
    if (gaps < 0).any() or not 1 <= middle <= 1000 or abs(middle * fps / 1000 - 1) < 0.2:
        return fps
    found = round(1000 / float(gaps.mean()), 1)
    if not 1 <= found <= 1000:
        return fps
    notes.add(f"its times (milli) say {found:g} steps a second, not {fps:g}; they were followed")
    return found


def minerl_of(steps: Iterable[tuple[int, Any]], variant: Variant) -> Imported:
    """Actions of MineRL: `forward`, `back`, `left`, `right` (strafing), `camera` [pitch, yaw] in degrees (down, right).

    20 a second. What else is pressed (attack, jump ...) is noted.
    """
    held, turned, notes = [], [], Notes()
    for number, step in limited(steps):
        if not isinstance(step, dict) or not step.keys() & {"camera", *_MINERL}:
            raise ActionError(f'Step {number} of the recording is not like {{"forward": 1, "camera": [0, 10]}}.')
        pitch, yaw = pair_of(step.get("camera", (0, 0)), f"Step {number} of the recording has no camera [pitch, yaw]")
        held.append([key for name, key in _MINERL.items() if is_pressed(step.get(name))])
        turned.append((-pitch, yaw))
        for name in _MINERL_OTHER:
            if is_pressed(step.get(name)):
                held[-1] += ["jump"] if name == "jump" and "jump" in variant.keys else []
                if held[-1][-1:] != ["jump"] or name != "jump":
                    notes.add(f"the key '{name}' means nothing to {variant.name}")
    return _of_steps(held, np.array(turned) / variant.camera.unit, VPT_FPS, variant, notes)


# ---- tables of Minecraft datasets


def read_gf_minecraft(data: Step, variant: Variant) -> Imported:
    """GF-Minecraft: `actions` of frames "0", "1" ... with `ws`, `ad` (0 none, 1 and 2 the two keys) and the camera.

    The camera follows `yaw` and `pitch` (degrees, right and down) where they are there, else the deltas, which are
    counted in 15 degrees. 20 frames a second, as Minecraft has, unless `fps` says otherwise.
    """
    frames = ordered_frames(data["actions"], "GF-Minecraft")
    notes = Notes()
    held = [_two(frame, "ws", "ws") + _two(frame, "ad", "ad") for frame in frames]
    if any(frame.get("scs") for frame in frames):
        notes.add(f"jumping, sneaking and sprinting (scs) mean nothing to {variant.name}")
    if all("yaw" in frame and "pitch" in frame for frame in frames):
        turned = _turns_of_headings([frame["pitch"] for frame in frames], [frame["yaw"] for frame in frames])
    else:
        deltas = [(frame.get("pitch_delta", 0), frame.get("yaw_delta", 0)) for frame in frames]
        turned = numbers_of(deltas, "the camera") * DOJO_DEGREES * (-1, 1)
        notes.add(f"the camera's deltas were counted in {DOJO_DEGREES} degrees, as the dataset has them")
    fps = fps_of(data, VPT_FPS, "it says no frame rate, so Minecraft's 20 frames a second were taken", notes)
    return _of_steps(held, turned / variant.camera.unit, fps, variant, notes)


def read_frame_actions(data: Step, variant: Variant) -> Imported:
    """Frames "0", "1" ... with `move_action` (W, WA, S ...) and `view_action` (left, up_left, LL ...), as FastVideo and
    HY-WorldPlay's training data have them: row for row, turns at the usual speed."""
    frames = ordered_frames(data, "The recording")
    notes = Notes()
    held, turned = [], []
    for number, frame in enumerate(frames):
        held.append(list(str(frame.get("move_action") or "").strip().lower().replace("none", "")))
        turned.append(_view(str(frame.get("view_action") or ""), number))
    units = np.array(turned, np.float64)
    if units.any():
        notes.add(f"it says which way the camera turns and not how fast; the usual {variant.camera.speed:g} was taken")
    fps = fps_of(data, FPS, _NO_RATE, notes)
    return _of_steps(held, units * variant.camera.speed, fps, variant, notes)


def minedojo_of(actions: Any, yaws: Any, pitches: Any, variant: Variant) -> Imported:
    """MineDojo's arrays: `actions` [T, 8] (forward/back, left/right, jump, pitch and yaw bins ...), and the headings
    in degrees, [T] each, which count where they are there."""
    table = np.asarray(actions)
    if table.ndim != 2 or table.shape[1] < 5 or not len(table) or table.dtype.kind not in "iu":
        raise ActionError(f"actions has rows of 8 whole numbers, got an array of shape {table.shape}.")
    notes = Notes()
    held = [["w"] * (a == 1) + ["s"] * (a == 2) + ["a"] * (b == 1) + ["d"] * (b == 2) for a, b in table[:, :2].tolist()]
    if (table[:, 2] != 0).any() or (table[:, 5:] != 0).any():
        notes.add(f"jumping, sneaking, sprinting and what hands do mean nothing to {variant.name}")
    if yaws is None and pitches is None:
        turned = (table[:, 3:5] - DOJO_STILL) * float(DOJO_DEGREES) * (-1, 1)
    else:
        none = np.zeros(len(table))
        pitch, yaw = (none if x is None else np.asarray(x, np.float64).reshape(-1) for x in (pitches, yaws))
        if len(pitch) != len(table) or len(yaw) != len(table):
            raise ActionError(
                f"actions has {counted(len(table), 'row')}, and the headings {len(yaw)}; make them equal."
            )
        turned = _turns_of_headings(pitch, yaw)
    notes.add(_NO_RATE)
    return _of_steps(held, turned / variant.camera.unit, FPS, variant, notes)


# ---- keys by their codes


def read_controls(data: Step, variant: Variant) -> Imported:
    """A control file of FlashDreams: `actions` with `buttons` (codes of keys), `mouse_dx`, `mouse_dy`, `scroll_wheel`,
    15 a second."""
    held, moved, notes = [], [], Notes()
    for number, action in limited(enumerate(data["actions"], 1)):
        _note_controls(action, number, held, moved, notes)
    units = _mouse_units(moved, variant, notes)
    fps = fps_of(data, CONTROL_FPS, f"it says no frame rate, so {CONTROL_FPS:g} actions a second were taken", notes)
    return _of_steps(held, units, fps, variant, notes, kept=False)


def biome_of(steps: Iterable[tuple[int, Any]], variant: Variant) -> Imported:
    """The log of a session of Biome: lines `frame_input` with `ts` in seconds, `buttons`, `mouse_dx`, `mouse_dy`."""
    held, moved, times, notes = [], [], [], Notes()
    for number, step in limited(steps):
        kind = step.get("type") if isinstance(step, dict) else None
        if kind == "frame_input":
            _note_controls(step, number, held, moved, notes)
            times.append(finite_number(step.get("ts"), f"Line {number} of the log has no time (ts)"))
        elif kind == "scene_edit":
            notes.add("changes of the scene by text were left out")
        elif kind not in ("session_start", "session_end"):
            raise ActionError(f"Line {number} of the log is of no kind that a session of Biome has.")
    if not held:
        raise ActionError("The log has no lines of inputs (frame_input).")
    keyboard, units = keyboard_of(held, variant, notes), _mouse_units(moved, variant, notes)
    rows = _rows_of_times(np.array(times))
    return Imported(track_of(variant, keyboard[rows], units[rows], notes), notes.all())


def _rows_of_times(seconds: Numbers) -> NDArray[np.int64]:
    """The step that is current in the middle of each row of 1/25 s; the last one lasts as long as the one before."""
    if (np.diff(seconds) < 0).any():
        raise ActionError("The times of the log go back.")
    last = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / FPS
    length = max(1, round((seconds[-1] - seconds[0] + last) * FPS))
    if length > MAX_FRAMES:
        raise ActionError(f"The log makes {length} rows, and a track has at most {MAX_FRAMES}.")
    middles = seconds[0] + (np.arange(length) + 0.5) / FPS
    return np.searchsorted(seconds, middles, side="right") - 1


def _note_controls(action: Any, number: int, held: list, moved: list, notes: Notes) -> None:
    """Add one action of key codes and mouse movement to `held` and `moved`."""
    where = f"Action {number} of the recording"
    if not isinstance(action, dict) or not isinstance(action.get("buttons", []), list):
        raise ActionError(f'{where} is not like {{"buttons": [87], "mouse_dx": 0.1, "mouse_dy": 0}}.')
    held.append([_key_of_code(code, where) for code in action.get("buttons", [])[:256]])
    dx, dy = (
        finite_number(action.get(name, 0), f"{where} has a mouse movement that is not a number")
        for name in ("mouse_dx", "mouse_dy")
    )
    moved.append((-dy, dx))
    if action.get("scroll_wheel"):
        notes.add("the mouse wheel has no effect")


def _key_of_code(code: Any, where: str) -> str:
    """The key of a Windows key code: 65 is a, 32 the space bar."""
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code < 256:
        raise ActionError(f"{where} has a button that is no key code from 0 to 255.")
    letter = chr(code).lower()
    return letter if letter.isascii() and letter.isalnum() else KEY_CODES.get(code, f"code {code}")


def _mouse_units(moved: list, variant: Variant, notes: Notes) -> Numbers:
    units = numbers_of(moved, "the mouse")
    if units.any():
        notes.add(f"its mouse movement has no unit; 0.1 was taken as {variant.camera.unit / 10:g} degrees a row")
    return units


# ---- the rows of the network, as JSON


def read_conditions(data: Step, names: Sequence[Sequence[str]], variant: Variant) -> tuple[Any, Any]:
    """The lists of rows of keys and of camera that a JSON object holds under the names of Matrix-Game's arrays."""
    found = [next((data[name] for name in group if name in data), None) for group in names]
    for name, rows in zip(("keys", "camera"), found, strict=True):
        if rows is None:
            continue
        good = isinstance(rows, list) and len(rows) <= MAX_FRAMES and all(isinstance(row, list) for row in rows)
        if not good or len({len(row) for row in rows}) > 1:
            raise ActionError(f"The {name} of the recording are no list of at most {MAX_FRAMES} rows of equal length.")
    return tuple(None if rows is None else numbers_of(rows, "a row") for rows in found)  # type: ignore[return-value]


# ---- common


def _of_steps(
    held: list[list[str]], units: Numbers, fps: float, variant: Variant, notes: Notes, kept: bool = True
) -> Imported:
    """The track of steps at `fps`. kept: the sum of all turning; otherwise the units are speeds, which are held."""
    if not held:
        raise ActionError("The recording has no steps.")
    if resampled_length(len(held), fps) > MAX_FRAMES:
        raise ActionError(f"This makes {resampled_length(len(held), fps)} rows, and a track has at most {MAX_FRAMES}.")
    keyboard = resample_held(keyboard_of(held, variant, notes), fps)
    turns = resample_amounts(units, fps) if kept else resample_held(units, fps)
    return Imported(track_of(variant, keyboard, turns, notes), notes.all())


def _two(frame: Step, name: str, keys: str) -> list[str]:
    value = frame.get(name, 0)
    if value not in (0, 1, 2) or isinstance(value, bool):
        raise ActionError(f"A frame of the recording has {name} {str(value)[:40]!r}, which is 0, 1 or 2.")
    return [keys[int(value) - 1]] if value else []


def _view(words: str, number: int) -> tuple[int, int]:
    """Signs of (pitch, yaw) of words such as `up_left` or `LL`."""
    turn = {"pitch": 0, "yaw": 0}
    for word in re.split(r"[\s_+,-]+", words.strip().lower()):
        axis = CAMERA.get(_VIEWS.get(word, word))
        if axis is None and word not in ("", "none", "still", "n"):
            raise ActionError(
                f"Frame {number} of the recording has the view_action {words[:40]!r}, which names no turn."
            )
        if axis is not None:
            turn[axis[0]] = axis[1]
    return turn["pitch"], turn["yaw"]


def _turns_of_headings(pitch: Any, yaw: Any) -> Numbers:
    """Turns [T, 2] in degrees (pitch, yaw; up and right) of headings in degrees whose pitch is down."""
    headings = numbers_of([pitch, yaw], "the heading").T * (-1, 1)
    headings[:, 1] = np.degrees(np.unwrap(np.radians(headings[:, 1])))
    return np.concatenate([np.diff(headings, axis=0), np.zeros((1, 2))])
