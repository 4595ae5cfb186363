"""A take on disk while it is played: whatever ends the program, seconds of it are lost and not the session."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ..actions.document import save_document
from ..errors import MatrixGameError
from .take import Take

SAVE_EVERY = 2.0  # seconds between two saves, at least
SAVE_SHARE = 0.05  # of the time that may go into them: a take of half an hour takes seconds to write


class TakeSaves:
    """Saves of a take in a thread of their own, so that nobody who plays waits for a disk.

    choose: finds the file, when there is something to write. path: the file, once it was written.
    """

    def __init__(self, take: Take, choose: Callable[[], Path]) -> None:
        self.path: Path | None = None
        self._take, self._choose = take, choose
        self._saved: tuple[object, ...] = (0, 0, ())
        self._due = 0.0
        self._writer = ThreadPoolExecutor(1, "take")
        self._writing: Future[None] | None = None

    def now_and_then(self) -> None:
        """Save what is new, where the time for it has come; returns at once."""
        state = (self._take.blocks, self._take.left, self._take.changes)
        busy = self._writing is not None and not self._writing.done()
        if state != self._saved and not busy and time.monotonic() >= self._due:
            self._saved = state
            self._writing = self._writer.submit(self._save)

    def close(self) -> None:
        """Wait until nothing is being written."""
        self._writer.shutdown()

    def _save(self) -> None:
        began = time.monotonic()
        with contextlib.suppress(OSError, RuntimeError, MatrixGameError):  # said at the end, if it stays so
            path = self.path or self._choose()
            save_document(self._take.timeline(), path)
            self.path = path
        took = time.monotonic() - began
        self._due = time.monotonic() + max(SAVE_EVERY, took / SAVE_SHARE)
