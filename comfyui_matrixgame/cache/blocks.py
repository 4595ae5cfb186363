"""Blocks already made, by name: in memory within a budget, and on disk in a folder for each project.

Names say everything a block was made from, so nothing stored is ever wrong, only missing: two processes may share
a project, a file that is damaged is deleted and made again, and what was used last is kept when room is short.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from ..errors import WorldError
from ..system.files import NotARegularFile, read_bytes, write_whole
from ..system.resources import gigabytes
from .kept_worlds import problem_with_name
from .records import PART, DamagedRecord, Fits, OtherVersion, Record, read_record, remove_odd, sweep_parts, write_record

log = logging.getLogger(__name__)

LATENTS, FRAMES, SNAPSHOT, PINNED, CONDITION = "latents", "frames", "snapshot", "pinned", "condition"
FILM, UNFINISHED = "mp4", "unfinished.mp4"
KINDS = (LATENTS, FRAMES, SNAPSHOT, PINNED, CONDITION, FILM)
ABOUT = "store.json"
FORMAT, VERSION = "matrixgame.cache", 1
DISK_BYTES = 20e9  # that all projects of a folder may take, where nothing else is said
SNAPSHOTS_ON_DISK = 4  # of a project, beside the pinned ones: one takes 2.3 GB at full size
WORTH_KEEPING = 1 / 8  # of the memory budget: a snapshot on the way is kept where it takes less
_ROOM = 0.9  # of the limit, after files were deleted to make room
_LARGEST_ABOUT = 1 << 16  # bytes
_BEING_WRITTEN = 3600  # seconds since the last frame, after which a video that was not finished may go
_LOOK_AGAIN = 0.05  # of the limit, written before the folder is looked at again: others write there too


@dataclass(frozen=True)
class Stored:
    """A file of a project."""

    path: Path
    kind: str
    bytes: int
    used: float  # when, in seconds since the epoch


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
        self._on_disk: float | None = None  # bytes of all projects, when last looked, and what was written since
        self._since_look = 0
        _check_version(self.folder)
        sweep_parts(self.folder)

    def has(self, kind: str, key: str) -> bool:
        """Whether there is such a record; it may still turn out to be damaged."""
        return _name(kind, key) in self._memory or self.on_disk(kind, key)

    def on_disk(self, kind: str, key: str) -> bool:
        """Whether such a record outlives this process."""
        path = self._path(kind, key)
        return path.is_file() and path not in self._broken

    def get(self, kind: str, key: str, fits: Fits | None = None) -> Record | None:
        """A record, from now on the one used last; its tensors must not be written to. None where there is none, or
        where it is damaged or of another version. fits: as in `read_record`; what does not fit is damaged."""
        name, path = _name(kind, key), self._path(kind, key)
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

    def put(self, kind: str, key: str, record: Record, spare: bool = False) -> None:
        """Keep a record. spare: only in memory, and the first to go when that is full."""
        self._remember(_name(kind, key), record, spare)
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
            self._open()
        except OSError as error:
            raise WorldError(_why_not_stored(error, self.folder)) from None
        path = self._path(kind, key)
        _touch(path)
        return path

    def drop(self, kind: str, key: str) -> None:
        """Forget one record."""
        self._forget(_name(kind, key))
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
        self._on_disk = None

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / _name(kind, key)

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
        self._open()
        self._make_room(record.nbytes)
        written = write_record(path, record)
        self._broken.discard(path)
        self._on_disk = (self._on_disk or 0) + written
        self._since_look += written

    def _open(self) -> None:
        """Make the project's folder."""
        about = self.folder / ABOUT
        if about.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(about, json.dumps({"format": FORMAT, "version": VERSION}).encode())

    def _read(self, path: Path, fits: Fits | None) -> Record | None:
        try:
            record = read_record(path, fits)
            self._broken.discard(path)
            return record
        except FileNotFoundError:
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

    def _make_room(self, needed: int) -> None:
        looked = self._on_disk is not None and self._since_look < _LOOK_AGAIN * self.disk_bytes
        if looked and (self._on_disk or 0) + needed <= self.disk_bytes:
            return
        files = [file for folder in _project_folders(self.all_projects) for file in _files(folder)]
        files += _kept_worlds(self.all_projects)
        total = sum(file.bytes for file in files)
        if total + needed > self.disk_bytes:
            now = time.time()
            for file in sorted(files, key=lambda file: (file.kind == PINNED, file.used)):
                if total + needed <= _ROOM * self.disk_bytes:
                    break
                if file.path.name.endswith(UNFINISHED) and now - file.used < _BEING_WRITTEN:
                    continue
                _delete(file)
                total -= file.bytes
        self._on_disk, self._since_look = total, 0

    def _thin_snapshots(self) -> None:
        snapshots = [file for file in self.files() if file.kind == SNAPSHOT]
        for file in snapshots[:-SNAPSHOTS_ON_DISK]:
            _delete(file)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)
            log.warning(sentence)


def project_folder(all_projects: Path, project: str) -> Path:
    """Where a project is; raises WorldError for an invalid name, or one that leads elsewhere."""
    problem = problem_with_name(project, "project")
    if problem is not None:
        raise WorldError(problem)
    folder = Path(all_projects) / project
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise WorldError(f"{folder} is a link or a file and not a folder of this program; choose another project name.")
    return folder


def list_projects(all_projects: Path) -> list[str]:
    """Names of the projects, the one used last first."""
    folders = [f for f in _project_folders(Path(all_projects)) if problem_with_name(f.name) is None]
    newest = {folder: max((file.used for file in _files(folder)), default=0.0) for folder in folders}
    return [folder.name for folder in sorted(folders, key=lambda folder: -newest[folder])]


def project_files(all_projects: Path, project: str) -> list[Stored]:
    """What a project has on disk, the one unused for longest first; raises WorldError for an invalid name."""
    return sorted(_files(project_folder(all_projects, project)), key=lambda file: file.used)


def forget_project(all_projects: Path, project: str) -> None:
    """Delete a project's records and, where nothing else is in it, its folder; a video that is being written stays.
    Raises WorldError."""
    folder = project_folder(all_projects, project)
    if not folder.is_dir():
        return
    try:
        sweep_parts(folder)
        for file in _files(folder):
            if not _is_claimed(file):
                file.path.unlink(missing_ok=True)
        if _files(folder):
            return
        (folder / ABOUT).unlink(missing_ok=True)
    except OSError as error:
        raise WorldError(f"{folder} cannot be emptied ({error.strerror or error}); check its rights.") from None
    try:
        folder.rmdir()
    except OSError:
        return  # somebody keeps other files there


def _name(kind: str, key: str) -> str:
    return f"{key}.{kind}"


def _check_version(folder: Path) -> None:
    try:
        about = json.loads(read_bytes(folder / ABOUT, _LARGEST_ABOUT))
        version = about.get("version") if about.get("format") == FORMAT else None
    except (FileNotFoundError, NotADirectoryError):
        return  # whatever cannot be stored there is kept in memory, and that is said then
    except OSError as error:
        raise WorldError(
            f"The cache project '{folder.name}' cannot be used, as its {ABOUT} cannot be read: "
            f"{error.strerror or error}; choose another project name, or delete that file."
        ) from None
    except (ValueError, AttributeError, RecursionError):
        version = None
    if version != VERSION:
        raise WorldError(
            f"The cache project '{folder.name}' was written by another version of this program (format {version}, this "
            f"one reads {VERSION}); choose another project name, update, or delete its folder."
        )


def _project_folders(all_projects: Path) -> list[Path]:
    try:
        entries = list(os.scandir(all_projects))
    except OSError:
        return []
    folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [folder for folder in folders if (folder / ABOUT).is_file()]


def _files(folder: Path) -> list[Stored]:
    stored = []
    try:
        for entry in os.scandir(folder):
            kind = entry.name.removesuffix(PART).rpartition(".")[2]
            if kind in KINDS and entry.is_file(follow_symlinks=False):
                about = entry.stat(follow_symlinks=False)
                stored.append(Stored(Path(entry.path), kind, about.st_size, about.st_mtime))
    except OSError:
        return stored  # it went while we looked
    return stored


def _is_claimed(file: Stored) -> bool:
    """Whether a video is being written, once claims of processes that ended are swept (see CachedVideo)."""
    return file.kind == FILM and file.path.with_name(f"{file.path.name.partition('.')[0]}{PART}").exists()


def _kept_worlds(all_projects: Path) -> list[Stored]:
    """Worlds kept under names, which share the limit."""
    found = []
    for path in all_projects.glob("*.safetensors"):
        if path.is_file() and not path.is_symlink():
            about = path.stat()
            found.append(Stored(path, "world", about.st_size, about.st_mtime))
    return found


def _delete(file: Stored) -> None:
    file.path.unlink(missing_ok=True)
    if file.kind == "world":
        file.path.with_suffix(".json").unlink(missing_ok=True)


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
