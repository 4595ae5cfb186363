"""Results shown under the names of the job file: hard links, or copies where a disk has none.

What is written here is remembered by name, size and time of writing, a line of LIST for each file, so that a file of
the user's own under such a name is never replaced or deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from ...errors import BatchError
from ...system.files import read_start, take_place
from .outputs import PICTURES
from .result import RESULTS, Result

NAMED = "by_name"
LIST = "by_name.list"
_TITLE = b"Files in by_name that matrixgame made, one in a line; without this list it replaces none of them.\n"

Stamp = tuple[int, int]  # what tells a copy from another file without reading it: size and time of writing


class NamedLinks:
    """The named files of an output folder. parts: where unfinished ones lie. Raises BatchError where a file of the
    user's lies in the place of its list."""

    def __init__(self, root: Path, parts: Path) -> None:
        self._root, self._parts, self._list = root, parts, root / LIST
        self._listed: set[bytes] | None = None
        self._results: dict[Path, set[Stamp]] = {}
        if os.path.lexists(self._list) and not _is_list(self._list):
            raise BatchError(f"{self._list} exists and is no list that this program wrote; move it.")

    def show(self, source: Path, result: Result, name: str, items: Iterable[str]) -> list[Path]:
        """Show the items of a result in the folder `source`; returns what could not be, as files of other origin are in
        its place. Raises OSError."""
        wanted: dict[Path, Path] = {}
        kept: list[Path] = []
        target = self._root / NAMED / name
        for item in items:
            file = source / result.items[item].file
            if item in PICTURES:
                folder = target.parent / f"{target.name}.{item}"
                pictures = {folder / picture.name: picture for picture in file.iterdir()}
                wanted |= pictures
                for old in folder.glob(f"*.{PICTURES[item]}"):
                    if old not in pictures and self._is_ours(old, file.relative_to(source) / old.name):
                        old.unlink()  # of a longer result that had this name
            else:
                wanted[target.parent / (target.name + (".mp4" if item == "mp4" else f".{item}{file.suffix}"))] = file
        missing = {place: file for place, file in wanted.items() if not _is_shown(file, place)}
        for place, file in list(missing.items()):
            if obstacle := self._obstacle(place, file.relative_to(source)):
                kept.append(obstacle)
                del missing[place]
        self._remember(missing)
        for place, file in missing.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            self._link(file, place)
        return list(dict.fromkeys(kept))

    def _obstacle(self, place: Path, item: Path) -> Path | None:
        """What of the user's own lies where a file, or a folder above it, has to be; None where nothing does."""
        for folder in place.relative_to(self._root).parents:
            above = self._root / folder
            if os.path.lexists(above):
                if not above.is_dir():
                    return above
                break
        return place if os.path.lexists(place) and not self._is_ours(place, item) else None

    def _is_ours(self, place: Path, item: Path) -> bool:
        """Whether a file that is there was put there by this program: it is on the list, or, in folders older than the
        list, one of the results has the same `item`. An empty one is nobody's."""
        if place.is_symlink() or not place.is_file():
            return False
        if not place.stat().st_size:
            return True
        if self._listed is None:
            self._listed = set(self._list.read_bytes().splitlines()) if self._list.exists() else set()
        if self._line(place, _stamp(place)) in self._listed:
            return True
        if item not in self._results:
            self._results[item] = set()
            for result in (self._root / RESULTS).glob(f"*/*/{item.as_posix()}"):
                with contextlib.suppress(OSError):
                    self._results[item].add(_stamp(result))
        return _stamp(place) in self._results[item]

    def _remember(self, made: dict[Path, Path]) -> None:
        """Written before the files are in their places: one that is killed in between leaves lines that hit nothing."""
        if not made:
            return
        lines = [self._line(place, _stamp(file)) for place, file in made.items()]
        with self._list.open("ab") as file:
            # a line that an earlier write left unfinished is ended first
            file.write(b"\n".join([b"" if file.tell() else _TITLE.rstrip(), *lines, b""]))
        if self._listed is not None:
            self._listed.update(lines)

    def _line(self, place: Path, stamp: Stamp) -> bytes:
        text = f"{place.relative_to(self._root).as_posix()}\0{stamp[0]}\0{stamp[1]}"
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest().encode()

    def _link(self, source: Path, target: Path) -> None:
        """A hard link where the disk has them, else a copy of the same time; it takes its place in one step."""
        part = self._parts / f"link-{uuid.uuid4().hex}"  # where what a killed run leaves is deleted
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
            times = source.stat()
            os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
        take_place(part, target)


def _is_list(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return read_start(path, len(_TITLE)) in (_TITLE, b"")
    return False


def _is_shown(source: Path, place: Path) -> bool:
    try:
        return os.path.samefile(source, place) or _stamp(source) == _stamp(place)
    except OSError:
        return False


def _stamp(path: Path) -> Stamp:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
