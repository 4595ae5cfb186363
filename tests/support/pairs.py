"""Which of the four pairs of frontend (oldest, newest) and renderer a test of the editors runs in.

$FRONTENDS says in how many a long one runs: 1 (so sets it `script/test` without arguments), 2 (the default) or 4.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import TypeVar

import pytest

Choice = TypeVar("Choice")
ALTERNATING = (("oldest", "canvas"), ("newest", "vue"))  # the renderers that these frontends begin with
KINDS = ("1", "2", "4")


def frontends() -> int:
    """How many pairs a long test runs in. Raises ValueError for anything but 1, 2 and 4."""
    asked = os.environ.get("FRONTENDS") or "2"
    if asked not in KINDS:
        raise ValueError(f"FRONTENDS={asked} is not one of {', '.join(KINDS)}.")
    return int(asked)


def by_turns(test: str, choices: tuple[Choice, ...]) -> Choice:
    """One of the choices for a test, always the same one, and each as often over all of them."""
    return choices[zlib.crc32(test.partition("[")[0].encode()) % len(choices)]


def is_left_out(test: str, pair: tuple[str, str], long: bool) -> bool:
    """Whether other pairs cover this one: a long test runs in frontends() pairs, any other in twice as many."""
    count = min(4, frontends() * (1 if long else 2))
    if count == 4:
        return False
    return pair not in (ALTERNATING if count == 2 else (by_turns(test, ALTERNATING),))


def deselect(items: list[pytest.Item], config: pytest.Config, leaves: Callable[[pytest.Item], bool]) -> None:
    """Remove pytest's items for which `leaves` is true, and tell pytest so."""
    gone = [item for item in items if leaves(item)]
    config.hook.pytest_deselected(items=gone)
    left_out = set(gone)
    items[:] = [item for item in items if item not in left_out]
