"""What inputs hold without effect, said in the console."""

from __future__ import annotations

import functools
import logging

log = logging.getLogger(__name__)


@functools.lru_cache(maxsize=256)  # what is checked and then run is said once
def say_notes_once(notes: tuple[str, ...]) -> None:
    """Say each note, once while the process lasts."""
    for note in notes:
        log.warning("Inputs: %s", note)
