"""Paths in a job file: the home folder, and patterns with * ? [ ] that never walk a whole disk."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import BatchError
from ...system import files

MOST_ENTRIES = 200_000  # of folders that one pattern looks through
MOST_NAME = 1024  # characters of a path
_SIGNS = "*?["


def home_path(text: str) -> Path:
    """A path with ~ as the home folder; raises BatchError for one of a user who has none here."""
    try:
        return files.home_path(text)
    except OSError as error:
        raise BatchError(f"{error.strerror}.") from None


def find_files(text: str, folder: Path) -> list[Path]:
    """The files or folders that a path, or a pattern with * ? [ ], names; paths count from `folder`.

    What is there under exactly this name is meant, brackets and all; so is every part of a pattern that is. Raises
    BatchError for a pattern that would look through a whole disk.
    """
    name = text.strip()
    if not name or "\n" in name or len(name) > MOST_NAME or "\0" in name:
        return []
    pattern = any(sign in name for sign in _SIGNS)
    if not pattern and name[0] != "~" and not os.path.lexists(os.path.join(folder, name)):
        return []  # most often it is a script, and a Path costs more than the look
    path = folder / home_path(name) if name.startswith("~") else folder / name
    try:
        if os.path.lexists(path):
            return [path]
        if not pattern:
            return []
        return sorted(
            set(_Search(name).under(Path(path.anchor) if path.anchor else Path(), path.parts[bool(path.anchor) :]))
        )
    except (OSError, ValueError):
        return []


class _Search:
    """One pattern that is being looked for, and how many entries of folders it may still look at."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._left = pattern, MOST_ENTRIES

    def under(self, base: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """What matches `parts`, one after the other, in `base`."""
        if not parts:
            yield base
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            if base.resolve() == Path(base.resolve().anchor):
                raise BatchError(
                    f"{self._pattern} looks through the whole disk; name the folder that the files are in."
                )
            for inner in self._folders_below(base):
                yield from self.under(inner, rest)
        elif part == ".." or not any(sign in part for sign in _SIGNS) or os.path.lexists(base / part):
            if os.path.lexists(base / part):
                yield from self.under(base / part, rest)
        else:
            for entry in self._entries(base):
                if fnmatch.fnmatch(entry.name, part) and (not rest or entry.is_dir()):
                    yield from self.under(base / entry.name, rest)

    def _folders_below(self, base: Path) -> Iterator[Path]:
        """`base` and all folders in it, links left alone."""
        yield base
        for entry in self._entries(base):
            if entry.is_dir(follow_symlinks=False):
                yield from self._folders_below(base / entry.name)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as found:
                entries = []
                for entry in found:
                    self._left -= 1
                    if self._left < 0:
                        raise BatchError(
                            f"{self._pattern} looks through more than {MOST_ENTRIES:,} files; name a folder further in."
                        )
                    entries.append(entry)
        except (NotADirectoryError, PermissionError, FileNotFoundError):
            return []
        return sorted(entries, key=lambda entry: entry.name)
