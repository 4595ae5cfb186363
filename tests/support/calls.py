"""Counting calls of Python functions, which a busy machine does not change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def counted_calls() -> Iterator[list[None]]:
    """Yields a list that gets an item for each call of a Python function within the block."""
    calls: list[None] = []

    def tick(_frame: object, event: str, _argument: object) -> None:
        if event == "call":
            calls.append(None)

    sys.setprofile(tick)
    try:
        yield calls
    finally:
        sys.setprofile(None)
