"""Files on users' disks: only regular files of a bounded size are read, and what is written appears whole.

Everything here raises OSError, whose `strerror` can end a sentence for the user ("walk.csv cannot be read: it is a
named pipe, not a file").
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import MatrixGameError

try:
    import fcntl
except ImportError:  # Windows does not delete an open file, and the lock is for nothing else
    fcntl = None

PART = ".part"
_LOCK = "lock"
# seconds between attempts to rename what another program has open, which Windows refuses
_PAUSES = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8) if os.name == "nt" else ()
_TRIES = 100  # attempts to lock a new folder before others delete it
DEVICES = ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"))
"""Names that Windows reserves: no file may have one, with any ending and in any case."""
FORBIDDEN = '<>:"|?*\\'
"""Characters that no file name on Windows has, besides / and control characters."""
_LONGEST_NAME = 200  # bytes of a file's name that its part keeps: file systems allow 255
_KINDS = {
    stat.S_IFDIR: "it is a folder, not a file",
    stat.S_IFIFO: "it is a named pipe, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
    stat.S_IFCHR: "it is a device, not a file",
    stat.S_IFBLK: "it is a device, not a file",
}


class NotARegularFile(OSError):
    """A pipe, a device, a socket or a folder, where a file is wanted: reading it may never end."""


class TooLarge(OSError):
    """A file with more bytes than anything of its kind needs."""


def open_regular(path: str | Path) -> BinaryIO:
    """A file opened for reading bytes. Raises OSError, and NotARegularFile before anything waits for a pipe."""
    # without O_NONBLOCK, opening a named pipe waits for a writer
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        handle = os.open(path, flags)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    except OSError:
        check_regular(path)  # a folder on Windows, a socket: say so
        raise
    try:
        _check_mode(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: str | Path) -> Path:
    """The path of a regular file, for libraries that open it themselves. Raises OSError as `open_regular` does."""
    try:
        _check_mode(os.stat(path).st_mode, path)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    return Path(path)


def read_bytes(path: str | Path, limit: int) -> bytes:
    """All bytes of a regular file. Raises OSError, and TooLarge for more than `limit` bytes, without reading more."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit} bytes"
        raise TooLarge(errno.EFBIG, f"it has more than {size}, which no file of its kind needs", str(path))
    return data


def read_start(path: str | Path, count: int) -> bytes:
    """The first bytes of a regular file, `count` at most. Raises OSError."""
    with open_regular(path) as file:
        return file.read(count)


@contextlib.contextmanager
def written_whole(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """A new, empty file to write to, in a folder of its own beside `path`; it takes the place of `path` at the end.

    On any exception it is deleted and `path` is as it was; the next write to `path` deletes what a killed process
    left. A link at `path` is replaced, never followed. sync: the file is whole even after a power cut.
    """
    path = Path(path)
    sweep_parts(path)
    with own_folder(path) as folder:  # so that what libraries make beside the file is swept with it
        part = folder / f"new{path.suffix[:32]}"
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666))
        rights = stat.S_IMODE(os.stat(part).st_mode)
        yield part
        if stat.S_IMODE(os.stat(part).st_mode) != rights:  # a library made a new one that only its owner can read
            with contextlib.suppress(OSError):
                os.chmod(part, rights)
        if sync:
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
        take_place(part, path)


def take_place(part: str | Path, path: str | Path, replaces: bool = True) -> None:
    """Give a finished file or folder its name, in one step. replaces: whether it may replace another. Raises OSError.

    On Windows a scanner or an indexer keeps a file open for a moment after it was written; meanwhile neither it nor
    its folder can be renamed.
    """
    rename = os.replace if replaces else os.rename
    for pause in _PAUSES:
        try:
            return rename(part, path)
        except PermissionError:
            time.sleep(pause)
    return rename(part, path)


def write_whole(path: str | Path, data: bytes) -> Path:
    """Write a small file in one step, so that nobody ever reads half of it; returns its path. Raises OSError."""
    with written_whole(path) as part:
        part.write_bytes(data)
    return Path(path)


@contextlib.contextmanager
def own_folder(path: Path, mode: int = 0o777) -> Iterator[Path]:
    """A new folder beside `path`, deleted at the end, with a lock that tells others that it is in use: the next
    `sweep_parts(path)` deletes what a killed process left. mode: its permissions. Raises OSError."""
    folder, lock = _locked_folder(path, mode)
    try:
        yield folder
    finally:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(path: Path, mode: int) -> tuple[Path, BinaryIO]:
    for _ in range(_TRIES):
        folder = path.with_name(f".{_shortened(path)}.{secrets.token_hex(4)}{PART}")
        os.mkdir(folder, mode)
        try:
            lock = new_locked(folder / _LOCK)
        except (FileNotFoundError, FileExistsError):  # others have deleted it
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if lock is not None:
            return folder, lock
        shutil.rmtree(folder, ignore_errors=True)
    raise OSError(errno.EBUSY, "other processes keep deleting its temporary folder", str(path))


def sweep_parts(path: Path) -> None:
    """Delete what killed processes left of `path`, but nothing that a running one writes."""
    ours = re.compile(re.escape(f".{_shortened(path)}.") + "[0-9a-f]{8}" + re.escape(PART))
    try:
        with os.scandir(path.parent) as entries:
            found = [entry for entry in entries if ours.fullmatch(entry.name)]
    except OSError:  # there is no such folder yet, or it may not be listed
        return
    for entry in found:
        with contextlib.suppress(OSError):
            if entry.is_file(follow_symlinks=False):  # from a version that made no folders
                os.unlink(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                _delete_left(Path(entry.path))


def _delete_left(folder: Path) -> None:
    """Delete a folder of `own_folder`; raises OSError where a running process writes in it.

    Nobody can begin to write in it meanwhile: its lock is held until it is gone, or it has another name.
    """
    if fcntl is None:
        gone = folder.with_name(folder.name[: -len(PART) - 8] + secrets.token_hex(4) + PART)
        os.rename(folder, gone)  # refused while a file in it is open
        shutil.rmtree(gone, ignore_errors=True)
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(folder / _LOCK, flags, 0o666), "rb+") as file:
        try_lock(file)
        shutil.rmtree(folder, ignore_errors=True)


def new_locked(path: Path) -> BinaryIO | None:
    """A new file to write to, locked while it is open, so that others see that a running process has it; None where
    a sweep deleted it before it was locked. Raises OSError, and FileExistsError where the file exists."""
    file = open(path, "xb")  # noqa: SIM115  it is open for as long as it is in use
    if fcntl is None:
        return file
    with contextlib.suppress(OSError):  # the file system has no locks
        fcntl.flock(file, fcntl.LOCK_EX)
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


def try_lock(file: BinaryIO) -> None:
    """Lock an open file until it is closed. Raises OSError where another process has it or there are no locks."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _shortened(path: Path) -> str:
    return path.name.encode(errors="surrogateescape")[:_LONGEST_NAME].decode(errors="ignore")


def home_path(path: str | Path) -> Path:
    """A path with ~ as the home folder. Raises OSError for a user who has none here."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        name = os.fspath(path).replace("\\", "/").split("/")[0]
        words = f"{name} has no home folder here; write the path out, or ./{name} for a name"
        raise OSError(errno.ENOENT, words, str(path)) from None


def path_argument(text: str) -> str:
    """An argument that names a file or a folder, with ~ as the home folder: a shell leaves it alone after = and in
    quotes. Raises MatrixGameError for a user who has none."""
    if not text.startswith("~") or os.path.lexists(text):
        return text
    try:
        return str(home_path(text))
    except OSError as error:
        raise MatrixGameError(f"{error.strerror}.") from None


def readable_path(path: str | Path) -> str:
    """A path for a message, even where it cannot be printed as it is."""
    text = os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text if text.isprintable() else ascii(text)[1:-1]


def readable_name(path: str | Path) -> str:
    """A file's name for a message."""
    return readable_path(Path(path).name or path)


def _check_mode(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        words = _KINDS.get(stat.S_IFMT(mode), "it is not a regular file")
        raise NotARegularFile(errno.EINVAL, words, str(path))
