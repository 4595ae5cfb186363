"""Scripts that are nothing but steps, put together from steps that were read before: those of a job file have few."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from ...variants import Variant
from ..check_document import MAX_FRAMES
from .statements import Statement, Step

_MOST_TEXT = 4096  # characters: a longer script costs far more than what it shares with others saves
_MOST_PIECE = 60
_SPACE = " \t\u00a0\n"
_CUTS = re.compile(r"[,;\n]")
_OTHERS = re.compile(r'[#@:{}"]')  # a comment hides what separates steps; the rest begins no step

Read = Callable[[str, Variant], list[Statement] | None]


def plain_steps(text: str, variant: Variant, read: Read) -> list[Statement] | None:
    """The steps of a normalised text where each, read by itself, is a step without a warning; else None.

    read: what a text says, or None where there is an error or a warning in it.
    """
    text = text.strip(_SPACE)  # one of several texts in a file has a line for each before it
    if len(text) > _MOST_TEXT or _OTHERS.search(text):
        return None
    steps: list[Statement] = []
    frames = 0
    for cut in _CUTS.split(text):
        piece = cut.strip(_SPACE)
        if not piece:
            continue
        step = _step(piece, variant, read) if len(piece) <= _MOST_PIECE else None
        if step is None:
            return None
        steps.append(step)
        frames += step.frames
    return steps if 0 < frames <= MAX_FRAMES else None


@lru_cache(maxsize=1 << 13)
def _step(piece: str, variant: Variant, read: Read) -> Step | None:
    said = read(piece, variant)
    return said[0] if said is not None and len(said) == 1 and isinstance(said[0], Step) else None
