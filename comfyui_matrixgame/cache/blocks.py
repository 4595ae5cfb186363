"""The records of one project, by name: in memory within a budget, and on disk in its folder.

Names say everything a block was made from, so nothing stored is ever wrong, only missing: two processes may share
a project, a file that is damaged is deleted and made again, and what was used last is kept when room is short.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import OrderedDict
from pathlib import Path

from ..errors import WorldError
from ..system.files import NotARegularFile
from ..system.resources import gigabytes
from ..world.models import Models
from .keys import BlockKeys
from .projects import (
    DISK_BYTES,
    SNAPSHOT,
    DiskRoom,
    Stored,
    check_version,
    delete_stored_file,
    file_name,
    forget_project,
    open_project,
    project_files,
    project_folder,
)
from .records import DamagedRecord, Fits, OtherVersion, Record, read_record, remove_odd, sweep_parts, write_record
from .rollout.records import RecordsInCache

log = logging.getLogger(__name__)

SNAPSHOTS_ON_DISK = 4  # of a project, beside the pinned ones: one takes 2.3 GB at full size
WORTH_KEEPING = 1 / 8  # of the memory budget: a snapshot on the way is kept where it takes less


class BlockCache:
    """The records of one project.

    folder: of all projects. memory_bytes: what this process may keep in memory. disk_bytes: what all projects in
    `folder` may take together. notices: sentences about what could not be stored or was found damaged.
    Raises WorldError for an invalid name, and for a project of another version of this program.
    """

    def __init__(self, folder: Path, project: str, memory_bytes: float = 1e9, disk_bytes: float = DISK_BYTES) -> None:
        self.all_projects = Path(folder)
        self.folder = project_folder(self.all_projects, project)
        self.project = project
        self.memory_bytes, self.disk_bytes = memory_bytes, disk_bytes
        self.notices: list[str] = []
        self._memory: OrderedDict[str, Record] = OrderedDict()
        self._spare: set[str] = set()  # names in memory that go first
        self._held = 0
        self._lock = threading.RLock()
        self._broken: set[Path] = set()  # files that cannot be read, to be written over
        self._room = DiskRoom(self.all_projects)
        check_version(self.folder)
        sweep_parts(self.folder)

    def records_of(self, block_keys: BlockKeys, models: Models) -> RecordsInCache:
        """The records of one rollout."""
        return RecordsInCache(self, block_keys, models)

    def has(self, kind: str, key: str) -> bool:
        """Whether there is such a record; it may still turn out to be damaged."""
        return file_name(kind, key) in self._memory or self.on_disk(kind, key)

    def on_disk(self, kind: str, key: str) -> bool:
        """Whether such a record outlives this process."""
        path = self._path(kind, key)
        return path.is_file() and path not in self._broken

    def get(self, kind: str, key: str, fits: Fits | None = None) -> Record | None:
        """A record, from now on the one used last; its tensors must not be written to. None where there is none, or
        where it is damaged or of another version. fits: as in `read_record`; what does not fit is damaged."""
        name, path = file_name(kind, key), self._path(kind, key)
        with self._lock:
            record = self._memory.get(name)
            if record is not None:
                self._memory.move_to_end(name)
        if record is None:
            record = self._read(path, fits)
            if record is None:
                return None
            self._remember(name, record)
        _touch(path)
        return record

    def in_memory(self, kind: str, key: str) -> Record | None:
        """A record that this process has in memory, for who only looks: what is kept when room is short stays so."""
        with self._lock:
            return self._memory.get(file_name(kind, key))

    def put(self, kind: str, key: str, record: Record, spare: bool = False) -> None:
        """Keep a record. spare: only in memory, and the first to go when that is full."""
        self._remember(file_name(kind, key), record, spare)
        if spare:
            return
        try:
            try:
                self._store(self._path(kind, key), record)
            except FileNotFoundError:  # another process deleted the project, or took our file for a dead one's
                self._store(self._path(kind, key), record)
            if kind == SNAPSHOT:
                self._thin_snapshots()
        except OSError as error:
            self._note(_why_not_stored(error, self.folder))

    def prepare(self, kind: str, key: str) -> Path:
        """The path of a file that something else writes, its folder made. Raises WorldError."""
        try:
            open_project(self.folder)
        except OSError as error:
            raise WorldError(_why_not_stored(error, self.folder)) from None
        path = self._path(kind, key)
        _touch(path)
        return path

    def drop(self, kind: str, key: str) -> None:
        """Forget one record."""
        self._forget(file_name(kind, key))
        _unlink(self._path(kind, key))

    def worth_keeping(self, nbytes: int) -> bool:
        """Whether a record that is only there to save time fits well into the memory budget."""
        return nbytes <= self.memory_bytes * WORTH_KEEPING

    def take_notices(self) -> list[str]:
        """The notices since this was last asked."""
        notices, self.notices = self.notices, []
        return notices

    @property
    def memory_used(self) -> int:
        """Bytes in memory."""
        return self._held

    def free_memory(self) -> None:
        """Let go of everything in memory; the disk keeps it."""
        with self._lock:
            self._memory.clear()
            self._spare.clear()
            self._held = 0

    def files(self) -> list[Stored]:
        """What is on disk, the one unused for longest first."""
        return project_files(self.all_projects, self.project)

    def forget(self) -> None:
        """Delete the project: its records in memory and on disk. Files that are not ours stay."""
        self.free_memory()
        forget_project(self.all_projects, self.project)
        self._room.look_again()

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / file_name(kind, key)

    def _store(self, path: Path, record: Record) -> None:
        if path.is_file() and path not in self._broken:
            _touch(path)
            return
        if record.nbytes > self.disk_bytes:  # no room could be made
            self._note(
                f"A record takes {gigabytes(record.nbytes)} and the cache's limit is {gigabytes(self.disk_bytes)}, so "
                "it is kept in memory only; raise the limit."
            )
            return
        open_project(self.folder)
        self._room.make(record.nbytes, self.disk_bytes)
        written = write_record(path, record)
        self._broken.discard(path)
        self._room.count(written)

    def _read(self, path: Path, fits: Fits | None) -> Record | None:
        try:
            record = read_record(path, fits)
            self._broken.discard(path)
            return record
        except (FileNotFoundError, NotADirectoryError):
            return None
        except DamagedRecord:
            self._discard(path)
        except OtherVersion as error:
            self._note(
                f"{path.name} in the cache project '{self.project}' is of another version of this program ({error}); "
                "it is made again."
            )
            _unlink(path)
        except OSError as error:
            self._note(f"{path} cannot be read ({error.strerror or error}); what it holds is made again.")
            self._broken.add(path)
            if isinstance(error, NotARegularFile):
                remove_odd(path)
        return None

    def _discard(self, path: Path) -> None:
        self._note(f"{path.name} in the cache project '{self.project}' was damaged; it is made again.")
        self._broken.add(path)
        _unlink(path)

    def _remember(self, name: str, record: Record, spare: bool = False) -> None:
        if record.nbytes > self.memory_bytes:
            return
        with self._lock:
            self._forget(name)
            self._memory[name] = record
            self._held += record.nbytes
            if spare:
                self._spare.add(name)
            while self._held > self.memory_bytes:
                self._forget(next(iter(self._spare - {name}), None) or next(iter(self._memory)))

    def _forget(self, name: str) -> None:
        with self._lock:
            record = self._memory.pop(name, None)
            self._spare.discard(name)
            if record is not None:
                self._held -= record.nbytes

    def _thin_snapshots(self) -> None:
        snapshots = [file for file in self.files() if file.kind == SNAPSHOT]
        for file in snapshots[:-SNAPSHOTS_ON_DISK]:
            delete_stored_file(file)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)
            log.warning(sentence)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # in a folder that cannot be written


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        return  # only in memory, or in a folder that cannot be written


def _why_not_stored(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {folder} is full; blocks are kept in memory only. Free some space, or lower the limit."
    return (
        f"{folder} cannot be written ({error.strerror or error}); blocks are kept in memory only. Check its rights, or "
        "choose another folder."
    )
