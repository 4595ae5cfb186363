"""Where results lie: a folder here, or anything that fsspec has a URL for (`urls.py`).

results/ab/abcd...-12-34/   one folder for each result, named by `task.result_key`; result.json is written last
by_name/NAME.mp4 ...        the same files under the names of the job file (links; not on URLs)
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from ..errors import BatchError
from .jobfile import is_url
from .outputs import ABOUT, full_disk_said, whole

RESULTS, NAMED, PARTS = "results", "by_name", "parts"
PICTURES = {"png": "png", "jpeg": "jpg"}  # items that are a folder of frames, and how these end


class Store(Protocol):
    """What engines and the runner need of it. is_near: whether looking at a result costs next to nothing."""

    is_near: bool

    def part(self, key: str) -> Path:
        """A new local folder's name, to make a result in."""
        ...

    def seen(self, key: str) -> bool:
        """Whether there may be such a result, as far as a first look told; where there is none, `read` finds none."""
        ...

    def commit(self, part: Path, key: str) -> dict[str, Any]:
        """Put a whole folder in its place; returns what the result now says. Does nothing where it is there already."""
        ...

    def read(self, key: str) -> dict[str, Any] | None:
        """What a finished result says, of items that are there; None where there is none."""
        ...

    def link(self, about: dict[str, Any], name: str, items: tuple[str, ...]) -> None:
        """Show a result's files under a name of the job file."""
        ...

    def here(self, about: dict[str, Any], item: str) -> AbstractContextManager[Path]:
        """An item of a finished result as a file, or a folder of pictures, of this machine, as long as it is used."""
        ...

    def clean(self) -> None:
        """Delete what earlier runs began on this machine and did not finish."""
        ...


def open_store(where: str) -> Store:
    """The store of a folder or a URL; raises BatchError where it cannot be written."""
    if is_url(where):
        from .urls import UrlStore

        return UrlStore(where)
    return FolderStore(Path(where))


def check_writable(where: str) -> None:
    """Raise BatchError where results could not be written, as far as that can be known without making a folder."""
    if is_url(where):
        open_store(where)
        return
    place = Path(where).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        why = "the folder's rights do not allow it" if place.is_dir() else f"{place} is a file"
        raise BatchError(f"The results cannot be written to {where}: {why}; name another folder with --output.")


def result_path(key: str) -> str:
    """Where a result lies in its store."""
    return f"{RESULTS}/{key[:2]}/{key}"


class FolderStore:
    """Results in a folder of this machine, or of a disk that many machines share."""

    is_near = True

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in (RESULTS, NAMED, PARTS):
                (root / name).mkdir(parents=True, exist_ok=True)
            probe = root / PARTS / f"probe-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise BatchError(
                f"The results cannot be written to {root} ({error.strerror or error}); check the folder's rights, or "
                "name another with --output."
            ) from None

    def folder(self, key: str) -> Path:
        """Where a result lies or would lie."""
        return self.root / result_path(key)

    def part(self, key: str) -> Path:
        return self.root / PARTS / f"{key}.{uuid.uuid4().hex[:8]}"

    def commit(self, part: Path, key: str) -> dict[str, Any]:
        target = self.folder(key)
        with full_disk_said(part):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(part, target)
            except OSError:
                if not target.exists():
                    raise
                _merge(part, target)
        about = self.read(key)
        assert about is not None
        return about

    def seen(self, key: str) -> bool:
        return (self.folder(key) / ABOUT).exists()

    def read(self, key: str) -> dict[str, Any] | None:
        return _read(self.folder(key))

    def link(self, about: dict[str, Any], name: str, items: tuple[str, ...]) -> None:
        source = self.folder(about["key"])
        target = self.root / NAMED / name
        with full_disk_said(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            for item in items:
                file = source / about["items"][item]["file"]
                if item in PICTURES:
                    folder = target.parent / f"{target.name}.{item}"
                    folder.mkdir(exist_ok=True)
                    pictures = {picture.name: picture for picture in file.iterdir()}
                    for old in folder.glob(f"*.{PICTURES[item]}"):
                        if old.name not in pictures:  # of a longer result that had this name
                            old.unlink()
                    for picture in pictures.values():
                        _link(picture, folder / picture.name)
                else:
                    ending = ".mp4" if item == "mp4" else f".{item}{file.suffix}"
                    _link(file, target.parent / (target.name + ending))

    @contextmanager
    def here(self, about: dict[str, Any], item: str) -> Iterator[Path]:
        yield self.folder(about["key"]) / about["items"][item]["file"]

    def clean(self) -> None:
        """Delete what earlier runs began and did not finish; nothing else may be writing."""
        for part in (self.root / PARTS).iterdir():
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


def parsed(read: Callable[[], bytes]) -> dict[str, Any] | None:
    """What a result says; None where that is no JSON, so that the result is not whole."""
    try:
        return json.loads(read())
    except ValueError:
        return None


def _read(folder: Path) -> dict[str, Any] | None:
    about = parsed((folder / ABOUT).read_bytes) if (folder / ABOUT).exists() else None
    return None if about is None else whole(folder, about)


def _merge(part: Path, target: Path) -> None:
    """Add the items of a new folder to a result that is there; what it has is left as it is."""
    old, new = _read(target), _read(part)
    assert new is not None
    if old is None:  # not whole: nothing points to it
        shutil.rmtree(target)
        os.rename(part, target)
        return
    missing = new["items"].keys() - old["items"].keys()
    for item in missing:
        place = target / new["items"][item]["file"]
        if place.is_dir():  # not whole, or of a run that was killed right here
            shutil.rmtree(place)
        os.replace(part / new["items"][item]["file"], place)
    if missing:
        old["items"] |= {item: new["items"][item] for item in missing}
        text = target / (ABOUT + ".part")
        text.write_text(json.dumps(old), encoding="utf-8")
        os.replace(text, target / ABOUT)
    shutil.rmtree(part, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """A hard link where the disk has them, else a copy of the same time; replaces what is there in one step."""
    if target.exists() and (os.path.samefile(source, target) or _stamp(source) == _stamp(target)):
        return
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
        times = source.stat()
        os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(part, target)


def _stamp(path: Path) -> tuple[int, int]:
    """What tells a copy from an older file without reading it: size and time of writing."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns
