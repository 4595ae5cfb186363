"""Texts without what is personal in them: home, user name, name of the machine, and folders of the user's own."""

from __future__ import annotations

import getpass
import re
import socket
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from urllib.parse import quote

# From the first separator of an absolute path to the last one on its line; what ends a path there cannot be in it.
# Spaces can: "C:\Users\Jane Doe\a.png". More than the path may go, never less.
_STOP = r"\"'\n\r\t|<>*?`"
_WINDOWS = re.compile(rf"(?:\\\\\?\\)?\b[A-Za-z]:[\\/](?:[^{_STOP}]*[\\/])?")
_SHARE = re.compile(rf"(?<![\\\w])\\\\[^{_STOP}\\]+\\(?:[^{_STOP}]*\\)?")
_POSIX = re.compile(rf"(?<![\w.<>/~:)\]])/(?:[^{_STOP}:;]*/)")
_FILE_URL = re.compile(rf"file://[^{_STOP}]*/")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_BELOW = re.compile(rf"(~|<temp>)[\\/](?:[^{_STOP}:;]*[\\/])")
_COMMON = frozenset({"", "root", "user", "admin", "administrator", "runner", "localhost", "ubuntu", "python", "torch"})


def without_paths(text: str) -> str:
    """The text with each absolute path cut to its last name, after `~`, `<python>`, `<temp>` or `<path>` for where it
    begins, and with the user's and the machine's name replaced."""
    text = _CREDENTIALS.sub("", text)
    for place, shown in _known_places():
        text = re.sub(re.escape(place), lambda _, shown=shown: shown, text, flags=re.IGNORECASE)
    for pattern in (_FILE_URL, _WINDOWS, _SHARE, _POSIX):
        text = pattern.sub(lambda _: "<path>/", text)
    text = _BELOW.sub(lambda found: f"{found[1]}/.../", text)
    for name, shown in _names():
        text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", shown, text, flags=re.IGNORECASE)
    return text


@cache
def _known_places() -> tuple[tuple[str, str], ...]:
    """Folders and what stands for them, the longest first, in the ways in which a text may write them."""
    places = [(Path(sys.prefix), "<python>"), (Path(sys.base_prefix), "<python>"), (_home(), "~")]
    places.append((Path(tempfile.gettempdir()), "<temp>"))
    written = {form: shown for path, shown in places for form in _forms(path)}
    return tuple(sorted(written.items(), key=lambda item: -len(item[0])))


def _forms(path: Path | None) -> Iterable[str]:
    if path is None or len(path.parts) < 2:  # a root would be everywhere
        return ()
    text, posix = str(path), path.as_posix()
    real = path.resolve()
    return {text, posix, text.replace("\\", "\\\\"), quote(posix), str(real), real.as_posix()}


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # a user without one
        return None


@cache
def _names() -> tuple[tuple[str, str], ...]:
    found = []
    for ask, shown in ((getpass.getuser, "<user>"), (socket.gethostname, "<machine>")):
        try:
            name = ask()
        except (OSError, KeyError, ImportError):
            continue
        found.append((name, shown))
    home = _home()
    found.append((home.name if home else "", "<user>"))
    return tuple((name, shown) for name, shown in found if len(name) > 1 and name.lower() not in _COMMON)
