"""Where results lie: a folder, or anything that fsspec has a URL for.

results/ab/abcd...-1234/    one folder for each result, named by its last block; result.json is written last
by_name/NAME.mp4 ...        the same files under the names of the job file (links; not on URLs)
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Protocol

from ..errors import BatchError
from .outputs import ABOUT, full_disk_said

RESULTS, NAMED, PARTS = "results", "by_name", "parts"
PICTURES = {"png": "png", "jpeg": "jpg"}  # items that are a folder of frames, and how these end


class Store(Protocol):
    """What engines and the runner need of it."""

    def part(self, key: str) -> Path:
        """A new local folder's name, to make a result in."""
        ...

    def commit(self, part: Path, key: str) -> dict[str, Any]:
        """Put a whole folder in its place; returns what the result now says. Does nothing where it is there already."""
        ...

    def read(self, key: str) -> dict[str, Any] | None:
        """What a finished result says; None where there is none."""
        ...

    def link(self, about: dict[str, Any], name: str, items: tuple[str, ...]) -> None:
        """Show a result's files under a name of the job file."""
        ...


def open_store(where: str) -> Store:
    """The store of a folder or a URL; raises BatchError where it cannot be written."""
    return UrlStore(where) if "://" in where else FolderStore(Path(where))


def result_path(key: str) -> str:
    """Where a result lies in its store."""
    return f"{RESULTS}/{key[:2]}/{key}"


class FolderStore:
    """Results in a folder of this machine, or of a disk that many machines share."""

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

    def read(self, key: str) -> dict[str, Any] | None:
        return _about((self.folder(key) / ABOUT).read_bytes) if (self.folder(key) / ABOUT).exists() else None

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
                    for picture in file.iterdir():
                        _link(picture, folder / picture.name)
                else:
                    ending = ".mp4" if item == "mp4" else f".{item}{file.suffix}"
                    _link(file, target.parent / (target.name + ending))

    def clean(self) -> None:
        """Delete what earlier runs began and did not finish; nothing else may be writing."""
        for part in (self.root / PARTS).iterdir():
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


class UrlStore:
    """Results at a URL that fsspec knows (s3://, gs://, sftp://, memory://, ...), made in a local folder first."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise BatchError(
                f"Results at {url} need fsspec; install it with `pip install matrixgame[batch]`."
            ) from None
        import tempfile

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            self._files.makedirs(self._root, exist_ok=True)
        except (ValueError, ImportError, OSError) as error:
            raise BatchError(f"Results cannot be written to {url}: {error}.") from None
        self._local = Path(tempfile.gettempdir()) / "matrixgame_batch"

    def part(self, key: str) -> Path:
        return self._local / f"{key}.{uuid.uuid4().hex[:8]}"

    def commit(self, part: Path, key: str) -> dict[str, Any]:
        target = f"{self._root}/{result_path(key)}"
        before = self.read(key)
        own = json.loads((part / ABOUT).read_text(encoding="utf-8"))
        if before is not None and own["items"].keys() <= before["items"].keys():
            shutil.rmtree(part)
            return before
        if before is not None:
            own["items"] = before["items"] | own["items"]
        try:
            self._files.makedirs(target, exist_ok=True)
            for file in sorted(part.rglob("*")):
                if file.is_file() and file.name != ABOUT:
                    self._files.makedirs(f"{target}/{file.parent.relative_to(part).as_posix()}", exist_ok=True)
                    self._files.put_file(str(file), f"{target}/{file.relative_to(part).as_posix()}")
            self._files.pipe_file(f"{target}/{ABOUT}", json.dumps(own).encode())
        except OSError as error:
            raise BatchError(f"The result could not be written to {target}: {error}.") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return own

    def read(self, key: str) -> dict[str, Any] | None:
        path = f"{self._root}/{result_path(key)}/{ABOUT}"
        try:
            return _about(lambda: self._files.cat_file(path))
        except FileNotFoundError:
            return None

    def link(self, about: dict[str, Any], name: str, items: tuple[str, ...]) -> None:
        """Nothing: a URL has no links; the table says which result has which name."""


def _about(read: Any) -> dict[str, Any] | None:
    try:
        return json.loads(read())
    except ValueError:
        return None


def _merge(part: Path, target: Path) -> None:
    """Add the items of a new folder to a result that is there; what it has is left as it is."""
    old, new = (_about((folder / ABOUT).read_bytes) if (folder / ABOUT).exists() else None for folder in (target, part))
    assert new is not None
    if old is None:  # not whole: nothing points to it
        shutil.rmtree(target)
        os.rename(part, target)
        return
    missing = new["items"].keys() - old["items"].keys()
    for item in missing:
        place = target / new["items"][item]["file"]
        if place.is_dir():  # of a run that was killed right here
            shutil.rmtree(place)
        os.replace(part / new["items"][item]["file"], place)
    if missing:
        old["items"] |= {item: new["items"][item] for item in missing}
        whole = target / (ABOUT + ".part")
        whole.write_text(json.dumps(old), encoding="utf-8")
        os.replace(whole, target / ABOUT)
    shutil.rmtree(part, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """A hard link where the disk has them, else a copy; replaces what is there in one step."""
    if target.exists() and os.path.samefile(source, target):
        return
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    os.replace(part, target)
