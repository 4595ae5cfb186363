"""The files that a run writes beside its results, and how those of earlier runs are told from the user's own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import ImageError
from ...media.images import open_picture
from ...system.files import read_start
from ...system.targets import check_target
from .ledger import FILE, TABLES

PAGE, SHEET, TABLE = "report.html", "contact_sheet_{:03d}.jpg", "results"
TITLE = b"<title>Matrix-Game: bulk rendering</title>"
ACROSS, DOWN, CELL, TEXT = 10, 12, (192, 128), 26  # pictures of a contact sheet, their size, the text under them
BACKGROUND = (24, 26, 29)  # of a contact sheet
SHEET_COMMENT = b"Matrix-Game: contact sheet"
FIRST_COLUMNS = ["name", "state", "error", "attempts"]  # of the tables, in every version
_NEAR = 12  # levels by which JPEG moves the background


def sheet_count(pictures: int) -> int:
    """Contact sheets that so many pictures need."""
    return -(-pictures // (ACROSS * DOWN))


def check_report_files(folder: Path, pictures: int, tables: bool = True) -> None:
    """Raise TargetError where a report with so many pictures would take the place of what no report wrote, or the
    ledger is another program's."""
    _check(folder / FILE, _is_ledger, "ledger of bulk rendering")
    _check(folder / PAGE, _is_page, "page")
    if tables:
        _check(folder / f"{TABLE}.csv", _is_csv, "table")
        _check(folder / f"{TABLE}.parquet", _is_parquet, "table")
    for number in range(1, sheet_count(pictures) + 1):
        _check(folder / SHEET.format(number), _is_sheet, "contact sheet")


def _check(path: Path, replaceable: Callable[[Path], bool], what: str) -> None:
    if path.exists() or path.is_symlink():  # else the folder has been looked at already
        check_target(path, "The output folder's", replaceable=replaceable, what=what)


def _is_page(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return TITLE in read_start(path, 1024)
    return False


def _is_csv(path: Path) -> bool:
    start = ",".join(FIRST_COLUMNS).encode()
    with contextlib.suppress(OSError):
        return read_start(path, len(start)) == start
    return False


def _is_parquet(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.suppress(OSError, pa.ArrowException):
        return pq.read_schema(path).names[: len(FIRST_COLUMNS)] == FIRST_COLUMNS
    return False


def _is_sheet(path: Path) -> bool:
    """By its comment; those of before had none: cells of one size, and the background beside the text of each."""
    wide, high = CELL[0], CELL[1] + TEXT
    try:
        with open_picture(path) as picture:
            if picture.format != "JPEG" or picture.width % wide or picture.height % high:
                return False
            if picture.width > ACROSS * wide or picture.height > DOWN * high:
                return False
            if picture.info.get("comment") == SHEET_COMMENT:
                return True
            edge = np.asarray(picture.convert("RGB"))[:, 0].astype(int).reshape(-1, high, 3)
    except ImageError:
        return False
    under = np.median(edge[:, CELL[1] :], axis=1)  # beside the text: a picture may be as wide as its cell
    return bool((abs(under - np.array(BACKGROUND)) <= _NEAR).all())


def _is_ledger(path: Path) -> bool:
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        try:
            found = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        finally:
            database.close()
    except sqlite3.Error:
        return False
    return found <= TABLES
