"""What a person looks at: a static page, contact sheets, and tables, from the ledger as it stands."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ...errors import BatchError, ImageError
from ...media.images import open_picture
from ...system.files import write_whole
from ..jobs.settings import is_url
from .ledger import Ledger, LedgerRow
from .report_files import (
    ACROSS,
    BACKGROUND,
    CELL,
    DOWN,
    FIRST_COLUMNS,
    PAGE,
    SHEET,
    SHEET_COMMENT,
    TABLE,
    TEXT,
    check_report_files,
)  # fmt: skip
from .result import Result

THUMBNAILS = "thumbnails"  # of results at a URL
TEMPLATE = Path(__file__).with_name("report.html")
LABELS = ("variant", "image", "script", "seed")
COLUMNS = (
    *FIRST_COLUMNS, *LABELS, "blocks", "frames", "width", "height", "model_seconds", "seconds",
    "bytes", "worker", "finished", "key", "block", "video", "thumbnail", "program",
)  # fmt: skip


def write_report(folder: Path, output: str | None = None, quick: bool = False) -> list[Path]:
    """Write the page, and unless `quick` the sheets and tables, of the ledger in `folder`; returns what was written.

    output: where the results lie, as the run had it; by default as the last run wrote it down. Works while a run is
    on. Raises BatchError where nothing ran, or nothing can be written, and TargetError where a file of the user's
    would be overwritten.
    """
    ledger = Ledger(folder, write=False)
    try:
        where = str(output or ledger.note("output") or folder)
        total = ledger.note("total") or 0
        entries = list(ledger.entries())
    finally:
        ledger.close()
    finished = [entry for entry in entries if entry.result]
    check_report_files(folder, 0 if quick else len(finished), tables=not quick)
    try:
        if is_url(where):
            _bring_thumbnails(folder, where, entries)
        written = [write_page(folder, entries, total, where)]
        if not quick:
            written += write_tables(folder, entries)
            written += write_sheets(folder, finished, is_url(where))
    except OSError as error:
        raise BatchError(f"The report cannot be written to {folder}: {error.strerror or error}.") from None
    return written


def write_page(folder: Path, entries: list[LedgerRow], total: int, output: str) -> Path:
    """The page. output: where the results lie."""
    lanes: dict[str, int] = {}
    jobs = [_row(entry, lanes, output) for entry in entries]
    data = {
        "written": time.time(),
        "total": total,
        "lanes": [json.loads(text) for text in lanes],
        "jobs": jobs,
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    page = TEMPLATE.read_text(encoding="utf-8").replace("__DATA__", text)
    return write_whole(folder / PAGE, page.encode())


def write_tables(folder: Path, entries: list[LedgerRow]) -> list[Path]:
    """One row for each job, as CSV and as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_table_row(entry) for entry in entries]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    made = [write_whole(folder / f"{TABLE}.csv", text.getvalue().encode())]
    kinds = {name: pa.string() for name in COLUMNS}
    kinds |= {name: pa.int64() for name in ("attempts", "blocks", "frames", "width", "height", "bytes")}
    kinds |= {name: pa.float64() for name in ("model_seconds", "seconds", "finished")} | {"seed": pa.uint64()}
    table = pa.table({name: pa.array([row[name] for row in rows], kinds[name]) for name in COLUMNS})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return [*made, write_whole(folder / f"{TABLE}.parquet", buffer.getvalue())]


def write_sheets(folder: Path, entries: list[LedgerRow], far: bool = False) -> list[Path]:
    """Thumbnails of finished jobs with their names, on as many sheets as are needed; older sheets beyond are left."""
    made = []
    count = ACROSS * DOWN
    for number, first in enumerate(range(0, len(entries), count), 1):
        sheet = _sheet(folder, entries[first : first + count], far)
        buffer = io.BytesIO()
        sheet.save(buffer, format="JPEG", quality=85, comment=SHEET_COMMENT)
        made.append(write_whole(folder / SHEET.format(number), buffer.getvalue()))
    return made


def _sheet(folder: Path, entries: list[LedgerRow], far: bool) -> Image.Image:
    across, down = min(ACROSS, len(entries)), -(-len(entries) // ACROSS)
    wide, high = CELL[0], CELL[1] + TEXT
    sheet = Image.new("RGB", (across * wide, down * high), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, entry in enumerate(entries):
        left, top = index % ACROSS * wide, index // ACROSS * high
        try:
            assert entry.result is not None
            with open_picture(folder / _thumbnail_place(entry.result, far)) as picture:
                picture = picture.convert("RGB")
                scale = min((wide - 8) / picture.width, (CELL[1] - 4) / picture.height)
                picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
            sheet.paste(picture, (left + (wide - picture.width) // 2, top + 4 + (CELL[1] - 4 - picture.height) // 2))
        except ImageError:
            draw.text((left + 8, top + CELL[1] // 2), "no picture", (160, 160, 160), font)
        draw.text((left + 4, top + CELL[1] + 3), _fitting(entry.name, draw, font, wide - 8), (225, 225, 225), font)
    return sheet


def _fitting(text: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """The end of a text, which tells jobs apart, in so many pixels."""
    shown = text
    while draw.textlength(shown, font) > width and len(shown) > 4:
        shown = "…" + shown[2:]
    return shown


def _bring_thumbnails(folder: Path, output: str, entries: list[LedgerRow]) -> None:
    """Copy the thumbnails of results at a URL beside the page, which could not show them otherwise."""
    from .url_store import UrlStore

    (folder / THUMBNAILS).mkdir(exist_ok=True)
    results = [entry.result for entry in entries if entry.result and entry.result.thumbnail]
    missing = {folder / _thumbnail_place(result, True): result for result in results}
    missing = {path: result for path, result in missing.items() if not path.exists()}
    if missing:
        UrlStore(output, write=False).fetch_thumbnails(list(missing.values()), list(missing))


def _thumbnail_place(result: Result, far: bool) -> str:
    """Where a result's thumbnail lies beside the page. far: whether the result itself is at a URL."""
    return f"{THUMBNAILS}/{result.key}.jpg" if far else f"{result.place}/{result.thumbnail}"


def _base(output: str) -> str | None:
    """What stands before a result's path on the page; None where a browser cannot open it."""
    if not is_url(output):
        return ""
    return output.rstrip("/") + "/" if output.startswith("http") else None


def _row(entry: LedgerRow, lanes: dict[str, int], output: str) -> dict[str, Any]:
    base = _base(output)
    row: dict[str, Any] = {"name": entry.name, "state": entry.state}
    if entry.error:
        row |= {"error": entry.error, "finished": entry.updated}
    result = entry.result
    if result is None:
        return row
    text = json.dumps({"rows": result.rows, "lanes": result.lanes}, separators=(",", ":"))
    row |= {
        "labels": entry.labels,
        "lanes": lanes.setdefault(text, len(lanes)),
        "frames": result.frames,
        "seconds": result.seconds.get("model") or result.seconds.get("all"),
        "bytes": result.bytes,
        "finished": result.finished,
        "worker": result.worker,
    }
    row |= {"thumbnail": _thumbnail_place(result, is_url(output))} if result.thumbnail else {}
    if base is not None:
        place = f"{base}{result.place}/"
        row |= {"video": place + result.video} if result.video else {}
        row["files"] = [[name, place + item.file] for name, item in result.items.items()]
    return row


def _table_row(entry: LedgerRow) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"name": entry.name, "state": entry.state, "error": entry.error, "attempts": entry.attempts}
    row |= {"key": entry.key, "finished": entry.updated}
    result = entry.result
    if result is not None:
        place = f"{result.place}/"
        video, thumbnail = result.video, result.thumbnail
        row |= {name: entry.labels[name] for name in LABELS} | {"seed": result.seed}
        row |= {name: getattr(result, name) for name in ("blocks", "frames", "worker", "finished", "block", "program")}
        row |= {"height": result.size[0], "width": result.size[1], "bytes": result.bytes}
        row |= {"model_seconds": result.seconds.get("model"), "seconds": result.seconds.get("all")}
        row |= {"video": video and place + video, "thumbnail": thumbnail and place + thumbnail}
    return row
