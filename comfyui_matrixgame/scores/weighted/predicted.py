"""Keyboard and mouse accuracy by what the inverse dynamics model of Video PreTraining saw in a film.

What it saw comes from `inverse_dynamics.py`, or from a file that OpenAI's own program made: JSON lines, one for each
frame, with the names of MineRL as `IDMAgent.predict_actions` gives them, such as {"forward": 1, "camera": [0.0, 5.0]}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...actions.document import MAX_FILE
from ...actions.track import ActionTrack
from ...errors import ActionError
from ...system.files import read_bytes
from ..benchmark import key_of

TASKS = (("back", "forward"), ("left", "right"), ("attack",), ("jump",))
DEAD = 1e-2  # degrees: a turn that is less is none
MEASURES = ("keyboard_accuracy", "mouse_accuracy")
NAMES = tuple(name for task in TASKS for name in task)


@dataclass(frozen=True)
class Predicted:
    """keys: name of MineRL -> [frames] 0 or 1. camera: [frames, 2] degrees, down and right."""

    keys: dict[str, NDArray[np.int64]]
    camera: NDArray[np.float64]


def read_predictions(path: Path) -> Predicted:
    """The predictions in a file. Raises ActionError that names what is wrong."""
    try:
        lines = read_bytes(path, MAX_FILE).decode("utf-8").splitlines()
    except FileNotFoundError:
        raise ActionError(f"There are no predictions {path.name} for it in the folder of --predictions.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ActionError(f"The predictions {path.name} cannot be read ({error}).") from None
    rows, cameras = [], []
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            rows.append([_bit(found[name]) for name in NAMES])
            pitch, yaw = np.asarray(found["camera"], float).reshape(2).tolist()
            if not (abs(pitch) <= 360 and abs(yaw) <= 360):
                raise ValueError("its camera turns by more than a circle")
            cameras.append((pitch, yaw))
        except KeyError as error:
            raise ActionError(f"Line {number} of the predictions {path.name} has no {error}.") from None
        except (ValueError, TypeError, RecursionError) as error:
            raise ActionError(f"Line {number} of the predictions {path.name} is none ({error}).") from None
    keys = np.array(rows, np.int64).reshape(-1, len(NAMES))
    return Predicted({name: keys[:, i] for i, name in enumerate(NAMES)}, np.array(cameras).reshape(-1, 2))


def accuracies(found: Predicted, track: ActionTrack, frames: int) -> dict[str, tuple[float | None, str]]:
    """Measure -> number, or None and why. track: a row for each of the film's `frames` frames; the prediction of a
    frame is held against the row that acts on it."""
    count = min(frames - 1, len(track))
    if count < 1:
        return dict.fromkeys(MEASURES, (None, "the film has one frame"))
    if len(found.camera) < count:
        why = f"the predictions have {len(found.camera)} lines for {frames} frames"
        return dict.fromkeys(MEASURES, (None, why))
    variant = track.variant
    right = []
    for task in TASKS:
        keys = [key_of(variant, name) for name in task]
        if all(keys):
            held = [track.keyboard[:count, variant.keys.index(key.name)] > 0.5 for key in keys if key]
            seen = [found.keys[name][:count] > 0 for name in task]
            right.append(float((_classes(held) == _classes(seen)).mean()))
    keyboard = (round(float(np.mean(right)), 4), "") if right else (None, f"{variant.name} has none of its keys")
    if track.mouse is None:
        return {"keyboard_accuracy": keyboard, "mouse_accuracy": (None, f"{variant.name} has no camera")}
    asked = np.sign(np.round(track.mouse[:count] * [-1, 1], 6))  # theirs: + is down and right
    turned = np.sign(found.camera[:count]) * (abs(found.camera[:count]) >= DEAD)
    return {
        "keyboard_accuracy": keyboard,
        "mouse_accuracy": (round(float((asked == turned).all(axis=1).mean()), 4), ""),
    }


def _classes(flags: Sequence[NDArray[np.bool_]]) -> NDArray[np.int64]:
    """[frames]: which of these keys is held, from 1; 0 for none, and for two that undo each other."""
    if len(flags) == 1:
        return flags[0].astype(np.int64)
    one, other = flags
    return np.where(one == other, 0, np.where(one, 1, 2))


def _bit(value: object) -> int:
    number = int(np.asarray(value).reshape(-1)[0])
    if number not in (0, 1):
        raise ValueError("a key is 0 or 1")
    return number
