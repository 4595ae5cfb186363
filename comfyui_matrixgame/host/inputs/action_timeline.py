"""Action Timeline: text to a track."""

from __future__ import annotations

import functools
from dataclasses import replace

from ...actions.read import read_text
from ...actions.track import ActionTrack
from ...errors import MatrixGameError
from ...variants import VARIANTS
from ..running.notes import say_notes_once


def problem_with_script(script: str | None, variant: str | None) -> str | None:
    """Why a script cannot be played, with line and column; None where it can, is not known yet (linked), or where core
    refuses the variant."""
    if script is None or variant not in VARIANTS:
        return None
    try:
        read_inputs(script, variant)
    except MatrixGameError as error:
        return str(error)
    return None


@functools.lru_cache(maxsize=8)  # a graph asks three times for each edit: when it is checked, run, and shown
def read_inputs(script: str, variant: str) -> ActionTrack:
    """The track of a script, or of a timeline or another format that is text, with the pinned markers of a timeline;
    raises ActionError. What a recording holds without effect is said in the console."""
    loaded = read_text(script, variant)
    if loaded.kind not in ("script", "timeline"):
        say_notes_once(loaded.notes)
    pins = tuple(marker.t for marker in loaded.timeline.markers if marker.pin) if loaded.timeline else ()
    return replace(loaded.track, pins=pins)
