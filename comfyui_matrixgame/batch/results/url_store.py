"""Results at a URL that fsspec knows: s3://, gs://, abfs://, sftp://, memory://, ...

An object store has no folders and cannot rename; what it has is that an object is there as a whole or not at all,
and that the last one written under a name stands. So a result is made in a folder of this machine, its files are
sent under a name that no other attempt has, and result.json, which lists them, is sent last: a result is finished
from the moment that this one object is there. An attempt that was killed leaves files that nothing points to; of two
that end together the last one's list stands, and both lists are right.

results/ab/abcd...-12-34/result.json
results/ab/abcd...-12-34/0a1b2c3d/video.mp4 ...     of the attempt 0a1b2c3d
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ...errors import BatchError
from .result import RESULT_FILE, RESULTS, Result, read_result, result_of_text, result_path

FLAT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory"}  # have no folders that must be made first
PROBE = "probe"
PAUSES = (1.0, 5.0, 20.0, 60.0)  # seconds before sending is tried again
STALE = 86_400.0  # seconds after which a part in the temporary folder is one of a run that was killed
Made = TypeVar("Made")


class UrlStore:
    """Results under a URL. write: also try whether it can be written. Raises BatchError."""

    is_near = False

    def __init__(self, url: str, write: bool = True) -> None:
        try:
            import fsspec
        except ImportError:
            raise BatchError(
                f"Results at {url} need fsspec; install it with `pip install matrixgame[batch]`."
            ) from None
        self.url = url.rstrip("/")
        try:
            self._files, root = fsspec.core.url_to_fs(self.url)
        except Exception as error:  # an unknown protocol, a package that is missing, a wrong setting
            raise BatchError(f"Results cannot be written to {url}: {_said(error)}.") from None
        self._root = root.rstrip("/")
        protocol = self._files.protocol
        self._flat = not FLAT.isdisjoint((protocol,) if isinstance(protocol, str) else protocol)
        self._local = Path(tempfile.gettempdir()) / "matrixgame_batch"
        self._seen: dict[str, set[str]] = {}
        if write:
            self._try_to_write()

    def part(self, key: str) -> Path:
        return self._local / f"{key}.{uuid.uuid4().hex[:8]}"

    def commit(self, part: Path, key: str) -> Result:
        """Send a whole folder; returns what the result now says. Sends nothing where it is there already."""
        try:
            before = self._patiently(lambda: self._read(key))
            own = result_of_text((part / RESULT_FILE).read_bytes())
            if before is not None and own.items.keys() <= before.items.keys():
                return before
            place = f"{self._root}/{result_path(key)}"
            result = _moved(own, part.suffix[1:])
            if before is not None:  # what is finished stays as it is
                result = before.with_items(result.items | before.items)
            files = [file for file in sorted(part.rglob("*")) if file.is_file() and file.name != RESULT_FILE]
            targets = [f"{place}/{part.suffix[1:]}/{file.relative_to(part).as_posix()}" for file in files]
            self._patiently(lambda: self._send(files, targets))
            self._patiently(lambda: self._files.pipe_file(f"{place}/{RESULT_FILE}", result.text().encode()))
            return result
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def seen(self, key: str) -> bool:
        """Whether there may be such a result: neighbours are listed together, once, which spares a question a job."""
        folder = f"{self._root}/{RESULTS}/{key[:2]}"
        if key[:2] not in self._seen:
            try:
                self._files.invalidate_cache(folder)
                names = self._files.ls(folder, detail=False)
            except FileNotFoundError:
                names = []
            except Exception as error:
                raise self._failed("read", error) from None
            self._seen[key[:2]] = {name.rstrip("/").rpartition("/")[2] for name in names}
        return key in self._seen[key[:2]]

    def read(self, key: str) -> Result | None:
        try:
            return self._read(key)
        except Exception as error:
            raise self._failed("read", error) from None

    def link(self, result: Result, name: str, items: tuple[str, ...]) -> list[Path]:
        """Nothing: a URL has no links; the table says which result has which name."""
        return []

    @contextlib.contextmanager
    def here(self, result: Result, item: str) -> Iterator[Path]:
        source = f"{self._root}/{result.place}/{result.items[item].file}"
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / Path(source).name
            try:
                self._files.get(source, str(target), recursive=self._files.isdir(source))
            except Exception as error:
                raise self._failed("read", error) from None
            yield target

    def fetch_thumbnails(self, results: Sequence[Result], paths: Sequence[Path]) -> None:
        """Copy the thumbnails of results to these paths; those that cannot be had are left out."""
        names = [f"{self._root}/{result.place}/{result.thumbnail}" for result in results]
        with contextlib.suppress(Exception):  # a page without pictures is better than none
            found = self._files.cat(names, on_error="omit") if names else {}
            for name, path in zip(names, paths, strict=True):
                if name in found:
                    path.write_bytes(found[name])

    def clean(self) -> None:
        """Delete what runs that were killed left in the temporary folder of this machine."""
        for part in self._local.glob("*"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE:
                    shutil.rmtree(part, ignore_errors=True)

    def _read(self, key: str) -> Result | None:
        path = f"{self._root}/{result_path(key)}/{RESULT_FILE}"
        try:
            return read_result(lambda: self._files.cat_file(path))
        except FileNotFoundError:
            return None

    def _try_to_write(self) -> None:
        try:
            if not self._flat:  # a flat store would make a bucket of a name that is mistyped
                self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(f"{self._root}/{PROBE}", b"matrixgame")
        except Exception as error:
            raise self._failed("written", error) from None
        with contextlib.suppress(Exception):  # some may write and not delete
            self._files.rm_file(f"{self._root}/{PROBE}")

    def _send(self, files: Sequence[Path], targets: Sequence[str]) -> None:
        if not self._flat:
            for folder in {target.rpartition("/")[0] for target in targets}:
                self._files.makedirs(folder, exist_ok=True)
        self._files.put([str(file) for file in files], list(targets))

    def _patiently(self, send: Callable[[], Made]) -> Made:
        """Do it, again and again for a while where the network does not let it through."""
        for pause in (*PAUSES, None):
            try:
                return send()
            except Exception as error:
                if pause is None or isinstance(error, (PermissionError, FileNotFoundError)):
                    raise self._failed("written", error) from None
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _failed(self, what: str, error: Exception) -> BatchError:
        verb = "written to" if what == "written" else "read from"
        return BatchError(f"Results cannot be {verb} {self.url}: {_said(error)}.")


def _moved(result: Result, attempt: str) -> Result:
    """A result with its files in a folder of the attempt."""
    items = {name: item._replace(file=f"{attempt}/{item.file}") for name, item in result.items.items()}
    return replace(result, items=items, thumbnail=result.thumbnail and f"{attempt}/{result.thumbnail}")


def _said(error: Exception) -> str:
    """An error in a line; those of file systems and clouds say little by their text alone."""
    text = " ".join(str(error).split())[:300].rstrip(".")
    return text if isinstance(error, (ValueError, ImportError)) else f"{text} ({type(error).__name__})"
