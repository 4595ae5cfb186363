"""The last error of the terminal program, kept in one small file until the next one."""

from __future__ import annotations

import contextlib
import time
import traceback

from ... import __version__
from ...errors import MatrixGameError
from ...system.files import write_whole
from ...system.state import state_folder
from .privacy import without_paths

_NAME = "last_error.txt"
_MOST = 8000  # characters


def keep_error(error: BaseException, command: str) -> None:
    """Remember an error, without personal paths. command: what was run, its name alone. An error that was said in a
    sentence needs no traceback. Where nothing can be written, nothing is kept."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True)
        head = f"{time.strftime('%Y-%m-%d %H:%M')}, matrixgame {__version__}, {command}"
        text = f"{type(error).__name__}: {error}"
        if not isinstance(error, MatrixGameError):
            text = "".join(traceback.format_exception(error))
        write_whole(folder / _NAME, f"{head}\n{without_paths(text)[-_MOST:]}".encode(errors="backslashreplace"))


def read_last_error() -> str:
    """What was kept; empty where nothing was."""
    try:
        return (state_folder() / _NAME).read_text(encoding="utf-8", errors="replace").strip()[:_MOST]
    except (OSError, RuntimeError):
        return ""
