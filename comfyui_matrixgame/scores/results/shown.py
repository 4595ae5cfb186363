"""Scores as a table in a terminal, as JSON, as CSV, and as a page."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...system.files import read_start, write_whole
from ...system.targets import check_target
from .. import protocol
from ..measures.signs import Signs, calibration, wilson
from ..motion.camera import AXES
from ..weighted import registry

PAGE, TABLE, ALL = "index.html", "scores.csv", "scores.json"
TITLE = b"<title>Matrix-Game: scores</title>"
TEMPLATE = Path(__file__).with_name("page.html")
COLUMNS = ("name", "error", "variant", "frames", "rate", *protocol.MEASURES, *registry.NAMES)
SHOWN = ("yaw", "pitch", "forward", "right", "lag", "scenario_consistency", "standing_still", "flicker",
         "motion_smoothness_flow", "black_percent", "frozen_percent", "brightness_drift", "saturation_drift",
         "sharpness_drift", "psnr", "ssim")  # fmt: skip
MOST = 20  # films whose errors a terminal shows
NO_WEIGHTS: Mapping[str, Any] = {}
Values = dict[str, Any]


def check_files(folder: Path) -> None:
    """Raise TargetError where a page, table or list would take the place of what this program did not write."""
    check_target(folder / PAGE, "-o", replaceable=lambda path: TITLE in _start(path), what="page")
    check_target(folder / TABLE, "-o", replaceable=lambda path: _start(path).startswith(b"name,error,"), what="table")
    marks = f'"protocol": "{protocol.NAME}"'.encode()
    check_target(folder / ALL, "-o", replaceable=lambda path: marks in _start(path), what="list of scores")


def write_all(
    folder: Path,
    films: Sequence[Values],
    videos: Mapping[str, Path | None],
    source: str,
    files: Mapping[str, Any] = NO_WEIGHTS,
    side_by_side: Values | None = None,
) -> list[Path]:
    """Write JSON, CSV and page. videos: key -> file that the page plays. files: measure -> the weights that it was
    computed with. side_by_side: of several sets (`compare_sets`). Returns what was written."""
    short = [without_curves(film) for film in films]
    about = protocol.about_protocol() | {"estimator": calibration(), "summary": summary(films)}
    computed = [name for name in registry.NAMES if name in about["summary"]]
    about |= {"weighted": registry.about_weights(computed, files), "published": protocol.PUBLISHED}
    about |= {"compared": side_by_side} if side_by_side else {}
    made = [
        write_whole(folder / ALL, (json.dumps(about | {"films": short}, indent=1, ensure_ascii=False) + "\n").encode()),
        write_whole(folder / TABLE, _csv(films).encode()),
    ]
    data = about | {
        "source": source,
        "written": time.time(),
        "shown": [*SHOWN, *computed],
        "measures": protocol.MEASURES | registry.MEANS,
        "films": [_line(f, videos, folder) for f in films],
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    page = TEMPLATE.read_text(encoding="utf-8").replace("__DATA__", text)
    return [write_whole(folder / PAGE, page.encode(errors="backslashreplace")), *made]


def summary(films: Sequence[Values]) -> Values:
    """Of all films together: signs over all blocks, means of the rest; how many films each is of."""
    whole = [film for film in films if not film["error"]]
    found: Values = {"films": len(films), "scored": len(whole)}
    for axis in AXES:
        parts = [film["signs"][axis] for film in whole if axis in film["signs"]]
        counts = ({each.name: part[each.name] for each in fields(Signs)} for part in parts)
        found[axis] = sum((Signs(**each) for each in counts), Signs()).about(axis)
    for name in (*SHOWN[len(AXES) :], *registry.NAMES):
        values = [film["values"][name] for film in whole if name in film["values"]]
        if values:
            found[name] = {"mean": round(sum(values) / len(values), 4), "films": len(values)}
    return found


def text_table(films: Sequence[Values], files: Mapping[str, Any] = NO_WEIGHTS) -> str:
    """For a terminal: all films together, or one film with everything that was not computed, and why. files: measure ->
    the weights that it was computed with."""
    total, lines = summary(films), []
    lines.append(f"{total['scored']} of {total['films']} scored; {protocol.NAME}, version {protocol.VERSION}")
    for axis in AXES:
        part = total[axis]
        if part["percent"] is None:
            why = next(
                (f["without"].get(axis) for f in films if not f["error"] and axis in f["without"]), part.get("why")
            )
            lines.append(f"  {axis:<22} not computed: {why}")
            continue
        low, high = wilson(part["right"], part["right"] + part["wrong"])
        error = part["estimator"]
        own = f"; the estimator itself: {error['percent']:g}% of {error['judged_percent']:g}%" if error else ""
        lines.append(
            f"  {axis:<22} {part['percent']:g}% right ({low:g} to {high:g}) of {part['judged_percent']:g}% judged of "
            f"{part['asked']} blocks; shuffled inputs: {part['shuffled_percent']:g}%{own}"
        )
    lines += _measured(SHOWN[len(AXES) :], films, total)
    lines.append(f"with weights; {registry.NAME}, version {registry.VERSION}")
    lines += _measured(registry.NAMES, films, total)
    lines += weight_lines(files)
    if len(films) == 1:
        lines += [f"  {note}" for note in films[0].get("notes", ())]
    return "\n".join([*lines, *errors_and_notes(films, [name for name in registry.NAMES if name in total])])


def weight_lines(files: Mapping[str, Any]) -> list[str]:
    """A line for each file of weights, with its licence."""
    each = {file["sha256"]: file for parts in files.values() for file in parts}.values()
    return [f"  {file['file']}, sha256 {file['sha256'][:12]}...: {file['licence']}" for file in each]


def errors_and_notes(films: Sequence[Values], computed: Sequence[str]) -> list[str]:
    """Lines on films that could not be scored, and on how the measures differ from the published benchmark."""
    broken = [film for film in films if film["error"]]
    names = [f"{film['set']}: {film['name']}" if "set" in film else film["name"] for film in broken]
    lines = [f"  {name}: {film['error']}" for name, film in zip(names[:MOST], broken, strict=False)]
    if len(broken) > MOST:
        lines.append(f"  and {len(broken) - MOST} more that could not be scored; {TABLE} has them all")
    return [*lines, *(f"  Note: {text}" for text in (*protocol.DEVIATIONS, *registry.deviations(computed)))]


def _measured(names: Sequence[str], films: Sequence[Values], total: Values) -> list[str]:
    """A line for each measure: its mean, or why there is none."""
    lines = []
    for name in names:
        if name in total:
            lines.append(f"  {name:<22} {total[name]['mean']:g}{unit_of(name)}")
        else:
            why = {f["without"][name] for f in films if name in f.get("without", {})}
            lines.append(f"  {name:<22} not computed: {'; '.join(sorted(why)) or 'no film was scored'}")
    return lines


def unit_of(name: str) -> str:
    """What a figure is counted in."""
    return (
        " frames"
        if name == "lag"
        else "%"
        if name.endswith(("_percent", "_drift"))
        else " dB"
        if name == "psnr"
        else ""
    )


def without_curves(film: Values) -> Values:
    """A film's score without what is only drawn, which is most of it."""
    return {name: value for name, value in film.items() if name not in ("curves", "shots", "worst")}


def _line(film: Values, videos: Mapping[str, Path | None], folder: Path) -> Values:
    """What the page's table shows of a film; the rest comes when it is opened."""
    video = videos.get(film["key"])
    return {
        "name": film["name"], "key": film["key"], "error": film["error"], "values": film.get("values", {}),
        "video": _link(video, folder) if video else None, "frames": film.get("frames", 0), "rate": film.get("rate", 25),
    } | ({"set": film["set"]} if "set" in film else {})  # fmt: skip


def _link(path: Path, folder: Path) -> str:
    with contextlib.suppress(ValueError):  # of another drive
        return quote(Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix())
    return path.absolute().as_uri()


def _csv(films: Sequence[Values]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [
        *COLUMNS,
        *(["set"] if any("set" in film for film in films) else []),
        *(f"{axis}_{what}" for axis in AXES for what in ("asked", "judged_percent")),
        "notes",
    ]
    writer.writerow(columns)
    for film in films:
        row = film | film.get("values", {}) | {"notes": " ".join(film.get("notes", ()))}
        for axis, part in film.get("signs", {}).items():
            row |= {f"{axis}_asked": part["asked"], f"{axis}_judged_percent": part["judged_percent"]}
        writer.writerow(["" if row.get(name) is None else row[name] for name in columns])
    return text.getvalue()


def _start(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return read_start(path, 4096)
    return b""
