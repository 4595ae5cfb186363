"""The words of the script language: what a key is called, per variant, and what to suggest for a typo."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ..variants import Variant

CAMERA = {"up": ("pitch", 1), "down": ("pitch", -1), "left": ("yaw", -1), "right": ("yaw", 1)}
AXES = ("yaw", "pitch")
EASINGS = ("linear", "smooth", "in", "out")
UNITS = {"f": 1.0, "l": 4.0, "b": 12.0, "s": 25.0, "ms": 0.025}  # frames in one unit
ROUNDED_UNITS = ("s", "ms")  # rounded to the nearest frame; the others must come out whole


def key_words(variant: Variant) -> dict[str, str]:
    """Every word that names a key of `variant` -> the key; `idle` names no key unless the variant has one."""
    return {**{key: key for key in variant.keys}, **variant.aliases, "idle": "idle"}


@cache
def held_keys(variant: Variant) -> tuple[str, ...]:
    """The names of the keys that can be held."""
    return tuple(key.name for key in variant.held)


def camera_axes(variant: Variant) -> tuple[str, ...]:
    """The camera lanes that `variant` has."""
    return variant.camera.axes


def action_list(variant: Variant) -> str:
    """The actions of `variant` in one line, for a hint."""
    words = list(held_keys(variant))
    if variant.mouse:
        words += ["up", "down"] * variant.pitch + ["left", "right", "yaw()"] + ["pitch()", "look()"] * variant.pitch
    return " ".join([*words, "idle"])


def suggestion(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` most likely means, or None; the first of equally near ones."""
    best, least = None, (1 if len(word) <= 3 else 2) + 1
    for candidate in candidates if len(word) > 1 else ():
        distance = 1 if _abbreviates(word, candidate) else _edits(word, candidate)
        if distance < least:
            best, least = candidate, distance
    return best


def _abbreviates(word: str, candidate: str) -> bool:
    """Whether `word` is `candidate` with letters left out, the first letter kept: fwd, forward."""
    if len(word) < 2 or word[0] != candidate[0]:
        return False
    rest = iter(candidate)
    return all(letter in rest for letter in word)


def _edits(a: str, b: str) -> int:
    """Levenshtein distance; words longer than 40 letters are not compared."""
    if len(a) > 40 or len(b) > 40:
        return 99
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
