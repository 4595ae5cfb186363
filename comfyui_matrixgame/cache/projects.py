"""The folders of a cache on disk: one a project, with a file for each record, and one limit for all of them.

Kept worlds lie beside them and share the limit. What was used last is kept when room is short.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import WorldError
from ..system.files import read_bytes, write_whole
from .kept_worlds import delete_world, problem_with_name
from .records import PART, sweep_parts

LATENTS, FRAMES, SNAPSHOT, PINNED, CONDITION = "latents", "frames", "snapshot", "pinned", "condition"
FILM, UNFINISHED = "mp4", "unfinished.mp4"
KINDS = (LATENTS, FRAMES, SNAPSHOT, PINNED, CONDITION, FILM)
_WORLD = "world"  # kept under a name
ABOUT = "store.json"
FORMAT, VERSION = "matrixgame.cache", 1
DISK_BYTES = 20e9  # that all projects of a folder may take, where nothing else is said
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


class DiskRoom:
    """Room on disk for all projects of a folder together."""

    def __init__(self, all_projects: Path) -> None:
        self._all_projects = all_projects
        self._used: float | None = None  # bytes of all projects, when last looked, and what was written since
        self._since_look = 0

    def make(self, needed: int, limit: float) -> None:
        """Delete what was unused for longest, pinned states last, until `needed` bytes more are within the limit."""
        looked = self._used is not None and self._since_look < _LOOK_AGAIN * limit
        if looked and (self._used or 0) + needed <= limit:
            return
        files = [file for folder in _project_folders(self._all_projects) for file in _files(folder)]
        files += _kept_worlds(self._all_projects)
        total = sum(file.bytes for file in files)
        if total + needed > limit:
            now = time.time()
            for file in sorted(files, key=lambda file: (file.kind == PINNED, file.used)):
                if total + needed <= _ROOM * limit:
                    break
                if file.path.name.endswith(UNFINISHED) and now - file.used < _BEING_WRITTEN:
                    continue
                delete_stored_file(file)
                total -= file.bytes
        self._used, self._since_look = total, 0

    def count(self, written: int) -> None:
        """So many bytes were written."""
        self._used = (self._used or 0) + written
        self._since_look += written

    def look_again(self) -> None:
        """Files were deleted."""
        self._used = None


def file_name(kind: str, key: str) -> str:
    """The name of a record's file."""
    return f"{key}.{kind}"


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


def open_project(folder: Path) -> None:
    """Make a project's folder where there is none. Raises OSError."""
    about = folder / ABOUT
    if about.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(about, json.dumps({"format": FORMAT, "version": VERSION}).encode())


def delete_stored_file(file: Stored) -> None:
    """Delete a file, and what belongs to it."""
    if file.kind == _WORLD:
        delete_world(file.path)
    else:
        file.path.unlink(missing_ok=True)


def check_version(folder: Path) -> None:
    """Raises WorldError for a project of another version of this program."""
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
            found.append(Stored(path, _WORLD, about.st_size, about.st_mtime))
    return found
