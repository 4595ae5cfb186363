"""Steps of other programs' recordings: lines of JSON, numbered frames, and values that are what they should be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ActionError
from ..check_document import MAX_FRAMES
from .imported import Notes, parse_json
from .tables import lines_of, more_lines_than

Numbers = NDArray[np.float64]
Step = Mapping[str, Any]
MAX_STEP = 1 << 20  # characters of one line


def json_lines(text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of a text of JSON lines; raises ActionError at the first line that is not JSON."""
    if more_lines_than(text, MAX_FRAMES):
        raise ActionError(f"The recording has more than {MAX_FRAMES} lines; split it.")
    for number, line in enumerate(lines_of(text), 1):
        if not line.strip():
            continue
        try:
            if len(line) > MAX_STEP:
                raise ValueError
            yield number, parse_json(line)
        except (ValueError, RecursionError):
            raise ActionError(f"Line {number} of the recording is not readable JSON, one step a line.") from None


def limited(steps: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The steps; raises ActionError after as many as a track may have."""
    for count, step in enumerate(steps):
        if count == MAX_FRAMES:
            raise ActionError(f"The recording has more than {MAX_FRAMES} lines; split it.")
        yield step


def ordered_frames(frames: Any, what: str) -> list[Step]:
    """The frames of an object with whole numbers as names, in their order, or those of a list."""
    if isinstance(frames, dict):
        numbered = {int(name): frame for name, frame in frames.items() if re.fullmatch(r"[0-9]{1,9}", name)}
        frames = [numbered[number] for number in sorted(numbered)]
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise ActionError(f'{what} needs frames called "0", "1", ... with what is pressed in each.')
    if len(frames) > MAX_FRAMES:
        raise ActionError(f"The recording has {len(frames)} frames, and a track has at most {MAX_FRAMES}.")
    return frames


def fps_of(data: Step, usual: float, without: str, notes: Notes) -> float:
    """The frame rate that the object says, or the usual one with a note."""
    fps = data.get("fps", data.get("frame_rate"))
    if fps is None:
        notes.add(without)
        return usual
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 1 <= fps <= 1000:
        raise ActionError(f"The recording's fps is a number from 1 to 1000, got {str(fps)[:40]}.")
    return float(fps)


def numbers_of(values: Any, what: str) -> Numbers:
    """An array of finite numbers; raises ActionError that says of what they should be."""
    try:
        array = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise ActionError(f"The recording has a value of {what} that is not a number.") from None
    if not np.isfinite(array).all():
        raise ActionError(f"The recording has a value of {what} that is not a number.")
    return array


def finite_number(value: Any, fault: str) -> float:
    """A number; raises ActionError with the fault where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
        raise ActionError(f"{fault}.")
    return float(value)


def pair_of(value: Any, fault: str) -> tuple[float, float]:
    """Two numbers; raises as `finite_number`."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ActionError(f"{fault}.")
    return finite_number(value[0], fault), finite_number(value[1], fault)


def is_pressed(value: Any) -> bool:
    """Whether a value means that a key is held."""
    return isinstance(value, (int, float)) and value > 0.5
