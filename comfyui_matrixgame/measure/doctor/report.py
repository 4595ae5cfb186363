"""The report: sections of named facts, each found out by itself, so that one that fails spoils no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .privacy import without_paths

Fact = tuple[str, str]
Section = tuple[str, Callable[[], Iterable[Fact]]]
WIDTH = 16  # of a fact's name


def report(
    folders: Mapping[str, Sequence[Path]] | None = None,
    last_error: Callable[[], str] | None = None,
    device: str | None = None,
    more: Sequence[Section] = (),
    plan: Callable[[], Iterable[Fact]] | None = None,
    checksums: bool = False,
) -> str:
    """The whole report as text, made to be pasted into an issue.

    folders: weights files by the folder of `models` that they lie in; the demo world's are always looked at.
    last_error: what went wrong last; empty where nothing did. device: the name of the device that is used; None for
    the best there is. more: sections of the host. plan: how the host fits a rollout into the device; the terminal's
    plan without one. checksums: compare files with the published ones, byte for byte.
    """
    from .device import about_device
    from .files import about_files
    from .last_error import read_last_error
    from .memory import about_memory
    from .versions import about_versions

    sections: list[Section] = [
        ("versions", about_versions),
        *more,
        ("device", lambda: about_device(device)),
        ("memory", lambda: about_memory(device, plan)),
        ("files", lambda: about_files(folders or {}, checksums)),
        ("last error", lambda: [("", (last_error or read_last_error)() or "none is known")]),
    ]
    made = time.strftime("%Y-%m-%d")
    return "\n\n".join([f"matrixgame doctor, {made}", *(_as_text(*section) for section in sections)]) + "\n"


def _as_text(title: str, find: Callable[[], Iterable[Fact]]) -> str:
    lines = [f"== {title} =="]
    try:
        for name, value in find():
            lines += _lines(name, value)
    except Exception as error:  # a report that ends early says why, and goes on with the next section
        lines.append(f"(could not be found out: {type(error).__name__}: {without_paths(str(error))})")
    return "\n".join(lines)


def _lines(name: str, value: str) -> list[str]:
    first, *rest = without_paths(value).splitlines() or [""]
    if not name:
        return [first, *rest]
    return [f"{name:<{WIDTH}} {first}", *(" " * (WIDTH + 1) + line for line in rest)]
