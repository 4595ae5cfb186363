"""Results in a folder."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BatchError
from ...system.files import take_place
from .named_links import NAMED, NamedLinks
from .outputs import explaining_full_disk, without_lost_files
from .result import RESULT_FILE, RESULTS, Result, read_result, result_path

PARTS = "parts"
_OURS = re.compile(r"[0-9a-z-]{32,}\.[0-9a-f]{8}|(probe|link)-[0-9a-f]{32}")  # in the folder of parts


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
        self._links = NamedLinks(root, root / PARTS)

    def folder(self, key: str) -> Path:
        """Where a result lies or would lie."""
        return self.root / result_path(key)

    def part(self, key: str) -> Path:
        return self.root / PARTS / f"{key}.{uuid.uuid4().hex[:8]}"

    def commit(self, part: Path, key: str) -> Result:
        target = self.folder(key)
        with explaining_full_disk(part):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                take_place(part, target, replaces=False)
            except OSError:
                if not target.exists():
                    raise
                _merge(part, target)
        result = self.read(key)
        assert result is not None
        return result

    def seen(self, key: str) -> bool:
        return (self.folder(key) / RESULT_FILE).exists()

    def read(self, key: str) -> Result | None:
        return _read(self.folder(key))

    def link(self, result: Result, name: str, items: tuple[str, ...]) -> list[Path]:
        with explaining_full_disk(self.root / NAMED / name):
            return self._links.show(self.folder(result.key), result, name, items)

    @contextmanager
    def here(self, result: Result, item: str) -> Iterator[Path]:
        yield self.folder(result.key) / result.items[item].file

    def clean(self) -> None:
        """Delete what earlier runs began and did not finish; nothing else may be writing."""
        for part in (self.root / PARTS).iterdir():
            if not _OURS.fullmatch(part.name):
                continue
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


def _read(folder: Path) -> Result | None:
    path = folder / RESULT_FILE
    result = read_result(path.read_bytes) if path.exists() else None
    return None if result is None else without_lost_files(folder, result)


def _merge(part: Path, target: Path) -> None:
    """Add the items of a new folder to a result that is there; what it has is left as it is."""
    old, new = _read(target), _read(part)
    assert new is not None
    if old is None:  # not whole: nothing points to it
        shutil.rmtree(target)
        take_place(part, target, replaces=False)
        return
    missing = {name: item for name, item in new.items.items() if name not in old.items}
    for item in missing.values():
        place = target / item.file
        if place.is_dir():  # not whole, or of a run that was killed right here
            shutil.rmtree(place)
        take_place(part / item.file, place)
    if missing:
        old.with_items(old.items | missing).write(target)
    shutil.rmtree(part, ignore_errors=True)
