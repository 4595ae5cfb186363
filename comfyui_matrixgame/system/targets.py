"""Where results are written: checked before anything is loaded, so that nothing of the user's is overwritten and no
work is lost to a folder that cannot be written. What killed runs left beside them is deleted."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import TargetError
from .files import DEVICES, FORBIDDEN, sweep_parts

LONGEST_NAME = 255  # bytes, on most file systems


def check_target(
    path: str | Path,
    option: str,
    inputs: Mapping[str, str | Path | None] | None = None,
    replaceable: Callable[[Path], bool] | None = None,
    what: str = "file of this kind",
) -> Path:
    """The path of a file to write. Raises TargetError, with what to do, where it cannot be written, is one of `inputs`
    (what each is -> its path, links followed), or holds what this program did not write.

    option: its name on the command line. replaceable: whether an existing file may be overwritten. what: the kind of
    file that may be.
    """
    text = str(path)
    _check_name(text, option)
    target = Path(path)
    for role, other in (inputs or {}).items():
        if other is not None and is_same(target, other):
            raise TargetError(
                f"{option} {printable_path(text)} is {role}, and would be overwritten; name another file."
            )
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise TargetError(f"{option} {printable_path(text)} cannot be written: {_why(error)}.") from None
    if (mode is not None and stat.S_ISDIR(mode)) or text.endswith(("/", os.sep)):
        raise TargetError(
            f"{option} {printable_path(text)} is a folder; name a file in it, such as {_example(target)}."
        )
    if mode is not None and not stat.S_ISREG(mode):
        raise TargetError(f"{option} {printable_path(text)} is a device or a pipe, not a file; name a file.")
    if mode is not None and replaceable is not None and target.stat().st_size and not replaceable(target):
        raise TargetError(
            f"{option} {printable_path(text)} exists and is no {what} that this program wrote; name another file, or "
            "move it."
        )
    check_folder(target.parent, option, text)
    sweep_parts(target)
    return target


def check_folder(folder: Path, option: str, text: str | None = None) -> None:
    """Raise TargetError where no file can be made in a folder, which need not exist yet. text: the path as given."""
    if why := fault_of(folder):
        raise TargetError(
            f"{option} {printable_path(text or str(folder))} cannot be written: {why}; check the folder and free space."
        )


def fault_of(folder: Path) -> str:
    """Why no file can be made in a folder, which need not exist yet; empty where one can."""
    place = folder
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=place).close()  # which leaves nothing, whenever this process is killed
    except (OSError, ValueError) as error:
        return _why(error)
    return ""


def is_same(one: str | Path, other: str | Path) -> bool:
    """Whether two paths are one file, also through links."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        pass
    try:
        return Path(one).resolve() == Path(other).resolve()
    except (OSError, ValueError, RuntimeError):
        return False


def printable_path(text: str) -> str:
    """A path that can be printed and sent: without line breaks, with bytes that are not UTF-8 escaped, and without the
    middle of a very long one."""
    text = text.encode("utf-8", "backslashreplace").decode()
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= 200 else f"{text[:90]}...{text[-90:]}"


def _check_name(text: str, option: str) -> None:
    name = Path(text).name
    if not text.strip() or "\0" in text:
        raise TargetError(f"{option} {printable_path(text)!r} is not a valid file name.")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise TargetError(
            f"{option} {printable_path(text)} has a name longer than {LONGEST_NAME} bytes; choose a shorter one."
        )
    if sys.platform == "win32" and (name.partition(".")[0].casefold() in DEVICES or set(name) & set(FORBIDDEN)):
        raise TargetError(f"{option} {printable_path(text)} is a name that Windows does not allow; choose another.")


def _example(folder: Path) -> str:
    return str(folder / "out.mp4") if str(folder) != "." else "out.mp4"


def _why(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
