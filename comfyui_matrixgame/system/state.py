"""Small things that are kept from one run of the program to the next; losing them costs only time."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from .files import read_bytes, write_whole

FOLDER = "MATRIXGAME_STATE"  # names another folder for them
_MOST_ENTRIES = 64
_LARGEST = 1 << 20  # bytes of a file


def state_folder() -> Path:
    """The system's folder for such files of a program. Raises RuntimeError for a user without a home."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "matrixgame"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "matrixgame"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "matrixgame"


def recall(name: str) -> dict[str, str]:
    """The strings that are kept under a name, by key, the newest last; empty where they cannot be read."""
    try:
        found = json.loads(read_bytes(state_folder() / f"{name}.json", _LARGEST))
    except (OSError, RuntimeError, ValueError, RecursionError):
        return {}
    good = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if good else {}


def remember(name: str, key: str, value: str) -> None:
    """Keep a string under a key; the oldest beyond the limit go. Where nothing can be written, nothing is kept."""
    known = {other: text for other, text in recall(name).items() if other != key} | {key: value}
    kept = dict(list(known.items())[-_MOST_ENTRIES:])
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{name}.json", json.dumps(kept, indent=1).encode())
