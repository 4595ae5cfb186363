"""JSON lines beside a film, one for each of its frames: VPT's steps, or keys and camera by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...actions.document import MAX_FILE
from ...actions.formats.imported import Notes, keyboard_of
from ...actions.formats.recordings import VPT_DEGREES, is_menu, vpt_step
from ...actions.formats.steps import Numbers, Step, finite_number, json_lines, limited
from ...actions.vocabulary import key_words
from ...errors import ActionError, DatasetError
from ...system.text_files import cannot_be_read, read_text_file
from ...variants import Variant
from .clips import ClipInputs, inputs_of_arrays

VPT = frozenset(("keyboard", "mouse"))


def read_lines(path: Path, variant: Variant) -> ClipInputs:
    """The inputs of a file of JSON lines, a row for each line, whatever the film's rate is. While a menu is open
    (isGuiOpen) the mouse moves its cursor: nothing is held and nothing turns. Raises MatrixGameError that names the
    file."""
    try:
        return inputs_of_steps(steps_of(path), variant)
    except ActionError as error:
        raise DatasetError(f"{path.name}: {error}") from None


def steps_of(path: Path) -> list[Step]:
    """The JSON objects of a file, one a line. Raises ActionError."""
    try:
        text = read_text_file(path, MAX_FILE).text
    except OSError as error:
        raise ActionError(cannot_be_read(path, error)) from None
    steps = []
    for number, step in limited(json_lines(text)):
        if not isinstance(step, dict):
            raise ActionError(f"Line {number} is no JSON object such as {{}} with what is held.")
        steps.append(step)
    if not steps:
        raise ActionError("It has no lines; it needs one JSON object per frame.")
    return steps


def inputs_of_steps(steps: list[Step], variant: Variant) -> ClipInputs:
    """See `read_lines`."""
    notes, held, turned, menus = Notes(), [], [], []
    scale = VPT_DEGREES / variant.camera.unit
    for number, step in enumerate(steps, 1):
        if step.keys() & VPT:
            keys, dx, dy = vpt_step(step, number)
            held.append([key.rsplit(".", 1)[-1] for key in keys])
            turned.append((-dy * scale, dx * scale))
        else:
            words = key_words(variant)
            held.append([name for name, value in step.items() if name.lower() in words and _number(value, number)])
            turned.append(tuple(_number(step.get(axis, 0.0), number) for axis in ("pitch", "yaw")))
        menus.append(is_menu(step))
    camera, shut = np.array(turned, np.float64), np.array(menus)
    cursor = float(abs(camera[shut]).sum() * variant.camera.unit)
    camera[shut] = 0.0
    keyboard = keyboard_of([[] if menu else keys for keys, menu in zip(held, menus, strict=True)], variant, notes)
    found = inputs_of_arrays(keyboard, camera, variant, notes.all(), _times(steps))
    return ClipInputs(found.track, camera, shut, cursor, found.times, found.notes)


def _number(value: Any, line: int) -> float:
    return (
        float(value) if isinstance(value, bool) else finite_number(value, f"Line {line} has a value that is no number")
    )


def _times(steps: list[Step]) -> Numbers | None:
    """Seconds of the steps by VPT's clock (`milli`), where all have one."""
    found = [step.get("milli") for step in steps]
    if len(found) < 2 or not all(isinstance(t, (int, float)) and abs(t) < 1e15 for t in found):
        return None
    return np.array(found, np.float64) / 1000
