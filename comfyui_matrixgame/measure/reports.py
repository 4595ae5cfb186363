"""Files of figures: nothing but an earlier report is overwritten, and none is half written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..system.files import path_argument, read_bytes, write_whole
from ..system.targets import check_target

MOST_BYTES = 64 << 20  # of a report


def check_report(
    path: Path, *endings: str, option: str = "--output", is_report: Callable[[Path], bool] | None = None
) -> None:
    """Raise TargetError where a report could not be written, or would take the place of what no measuring wrote.
    endings: those of the files that are written, in place of the path's own. is_report: whether an existing file may
    be overwritten, in place of what `matrixgame bench` writes."""
    for ending in endings or (path.suffix,):
        check_target(path.with_suffix(ending), option, replaceable=is_report or _is_bench_report, what="report")


def write_text(path: Path, text: str) -> None:
    """Write a report's text whole, in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())


def report_in(path: Path) -> dict[str, Any]:
    """What a report says; nothing where a file is none."""
    try:
        data = json.loads(read_bytes(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_bench_report(path: Path) -> bool:
    """Whether measuring wrote a file: JSON that says on which machine, a text or a picture beside such a one."""
    if path.suffix in (".md", ".png"):
        return _is_bench_report(path.with_suffix(".json"))
    data = report_in(path)
    parts = [data, *data.values()]
    return any(isinstance(part, dict) and "machine" in part for part in parts)


def report_argument(
    *endings: str, option: str = "--output", is_report: Callable[[Path], bool] | None = None
) -> Callable[[str], Path]:
    """The type of an argument that names a report: what `check_report` finds wrong ends the program with a sentence."""

    def read(text: str) -> Path:
        path = Path(path_argument(text))
        try:
            check_report(path, *endings, option=option, is_report=is_report)
        except TargetError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return path

    return read
