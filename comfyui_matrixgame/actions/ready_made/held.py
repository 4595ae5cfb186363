"""Keys and a camera that are held all the time, as people write them in a terminal: `w+d`, `Forward, D`, `0,0.1`,
`pitch=0.1`."""

from __future__ import annotations

import re

from ...errors import ActionError
from ...variants import Variant
from ..track import ActionTrack
from ..vocabulary import CAMERA, key_words, suggestion

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)


def held_track(variant: Variant, keys: str, mouse: str, rows: int) -> ActionTrack:
    """The same input in every row. Raises ActionError that names the option."""
    held = dict.fromkeys(_keys(variant, keys), 1.0)
    pitch, yaw = _camera(mouse)
    camera = {"pitch": pitch, "yaw": yaw} if variant.mouse or pitch or yaw else {}
    return ActionTrack.from_rows(variant, [{**held, **camera}]).padded(rows)


def _keys(variant: Variant, text: str) -> list[str]:
    words = key_words(variant)
    found = []
    for word in re.split(r"[\s,;+]+", text.strip().casefold()):
        name = word.replace("-", "_")
        if name in ("idle", "none") and name not in variant.keys:
            continue
        if name and name not in words:
            if name in CAMERA:
                raise ActionError(f"--keys: '{word}' turns the camera, which is --mouse PITCH,YAW such as 0,0.1.")
            near = suggestion(name, words)
            hint = f"; did you mean {near}?" if near else f" ({', '.join(variant.keys)})."
            raise ActionError(f"--keys: {variant.name} has no key '{word}'{hint}")
        found += [words[name]] if name else []
    return found


def _camera(text: str) -> tuple[float, float]:
    """Pitch and yaw."""
    plain = re.sub("[\u2212\u2010-\u2013]", "-", text.strip().lower()).strip("()[]")
    parts = [part for part in re.split(r"[\s,;]+", plain) if part]
    named = dict(part.split("=", 1) for part in parts if part.count("=") == 1)
    if named and len(named) == len(parts) and named.keys() <= {"pitch", "yaw"}:
        parts = [named.get("pitch", "0"), named.get("yaw", "0")]
    if len(parts) != 2 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ActionError(f"--mouse takes two numbers with a point, pitch,yaw such as 0,0.1 or yaw=-0.1; got '{text}'.")
    return float(parts[0]), float(parts[1])
