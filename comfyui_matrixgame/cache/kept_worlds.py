"""Worlds kept on disk under names, with a limit on their size together."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import WorldError
from ..system.files import DEVICES, read_bytes, write_whole, written_whole

LARGEST_NOTE = 1 << 20  # bytes
_NAME = re.compile(r"\w[\w \-]{0,99}")


def problem_with_name(name: str, of: str = "world") -> str | None:
    """Why a world (or whatever it is the name `of`) cannot be kept under `name`; None where it can."""
    if name.casefold() in DEVICES:
        return f"'{name}' cannot be a {of}'s name, as Windows has a device of that name; choose another."
    if _NAME.fullmatch(name) and not name.endswith(" "):
        return None
    return f"'{name}' cannot be a {of}'s name; use letters, digits, spaces, - and _, at most 100 of them."


@dataclass(frozen=True)
class WorldStore:
    """A folder of kept worlds: `NAME.safetensors`, and `NAME.json` that says what it was made from."""

    folder: Path

    def path(self, name: str) -> Path:
        """Where the world called `name` is or would be; raises WorldError for a name that is not one."""
        problem = problem_with_name(name)
        if problem is not None:
            raise WorldError(problem)
        return self.folder / f"{name}.safetensors"

    def signature(self, name: str) -> str | None:
        """What the kept world was made from; None where there is no such world."""
        note = self.path(name).with_suffix(".json")
        try:
            return json.loads(read_bytes(note, LARGEST_NOTE))["signature"] if self.path(name).exists() else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def keep(self, name: str, signature: str, write: Callable[[Path], object], limit_bytes: float) -> None:
        """Keep a world that `write` puts into a file, then delete those unused for longest beyond the limit.

        Replaces a world of that name only once the new one is whole.
        """
        path = self.path(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            write(part)
        write_whole(path.with_suffix(".json"), json.dumps({"signature": signature}).encode())
        self._prune(limit_bytes, newest=path)

    def find(self, name: str) -> Path:
        """The file of a kept world, from now on the one used last; raises WorldError where there is none."""
        path = self.path(name)
        if not path.exists():
            kept = ", ".join(sorted(p.stem for p in self.worlds())) or "none yet"
            raise WorldError(f"No world is kept under the name '{name}' (kept: {kept}); run once in the mode keep.")
        os.utime(path)
        return path

    def forget(self, name: str) -> None:
        """Delete the world called `name`, if there is one."""
        delete_world(self.path(name))

    def worlds(self) -> list[Path]:
        """The files of all kept worlds, in any order."""
        return list(self.folder.glob("*.safetensors"))

    def _prune(self, limit_bytes: float, newest: Path) -> None:
        worlds = sorted(self.worlds(), key=lambda p: p.stat().st_mtime)
        total = sum(p.stat().st_size for p in worlds)
        for path in worlds:
            if total <= limit_bytes:
                return
            if path != newest:
                total -= path.stat().st_size
                delete_world(path)


def delete_world(path: Path) -> None:
    """Delete a kept world's file and its note."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
