"""What readers of other programs' inputs share: a track, and sentences on what could not be taken over."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ActionError
from ...system.text_files import half_character
from ...system.words import counted
from ...variants import Variant
from ..check_document import MAX_FRAMES
from ..document import Timeline
from ..track import ActionTrack
from ..vocabulary import key_words

MAX_NOTES = 20  # further ones are counted
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Imported:
    """A track, and in `notes` one sentence for each thing that was changed or left out.

    timeline: markers, branches and exact ramps, where the source has them.
    """

    track: ActionTrack
    notes: tuple[str, ...] = ()
    timeline: Timeline | None = None


class Notes:
    """Sentences, each once, in the order they came up."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        self._texts.setdefault(text)

    def all(self) -> tuple[str, ...]:
        texts = list(self._texts)
        more = len(texts) - MAX_NOTES
        if more > 0:
            texts[MAX_NOTES:] = [f"and {more} more of this kind"]
        return tuple(text[0].upper() + text[1:] + "." for text in texts)


def keyboard_of(held: Iterable[Iterable[str]], variant: Variant, notes: Notes) -> NDArray[np.float32]:
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
            _keep_one(row, variant, notes)
        rows.append(row)
    return np.stack(rows)


def _keep_one(row: NDArray[np.float32], variant: Variant, notes: Notes) -> None:
    idle = variant.keys.index("idle")
    pressed = np.flatnonzero(row)
    if len(pressed) > 1:
        pressed = pressed[pressed != idle]
    if len(pressed) > 1:
        notes.add(f"{variant.name} takes one action at a time; of several, the first was kept")
    row[:] = 0
    row[pressed[0] if len(pressed) else idle] = 1


def track_of(variant: Variant, keyboard: NDArray[Any], units: NDArray[Any], notes: Notes) -> ActionTrack:
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
    limit = variant.camera.limit
    beyond = int((np.abs(units) > limit).any(axis=1).sum())
    if beyond:
        notes.add(
            f"turns faster than {limit * variant.camera.unit:g} degrees were slowed down, in {counted(beyond, 'row')}"
        )
    return ActionTrack(variant, keyboard.astype(np.float32), np.clip(units, -limit, limit))


def parse_json(text: str) -> Any:
    """The value of JSON text; raises ValueError or RecursionError, also at half a character, which no file takes."""
    value = json.loads(text)
    if _ESCAPED_HALF.search(text) and half_character(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it holds half a character (a lone surrogate)")
    return value


def parse_number(text: str) -> float | None:
    """A number as people and spreadsheets write it, with a decimal point or a decimal comma; None for anything else."""
    text = text.strip().replace("\u2212", "-")
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if len(text) > 60 or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
