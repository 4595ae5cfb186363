"""What results are used for elsewhere: a dataset to train on, and the videos that benchmarks expect."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...actions.track import ActionTrack
from ...errors import BatchError
from ...media.datasets.lerobot import Episode, copy_video, table_path, video_path, write_meta, write_table, write_video
from ...media.images import read_pixels
from ...media.video import is_own_video
from ...system.files import read_start, write_whole, written_whole
from ...system.targets import check_target
from ...variants import FPS, first_input_of_block, frames_of_blocks, get_variant
from ..jobs.output_names import parse_template
from .ledger import LedgerRow
from .result import Result
from .store import Store, finished_jobs

NUMBERS = "batch.json"  # which episode is which result, so that an export can be extended
INDEX = "index.csv"
COLUMNS: tuple[str, ...] = ("video", "image", "action", "seed", "frames", "key")  # of the index


def export_dataset(folder: Path, target: Path, variant: str | None = None) -> tuple[int, int]:
    """Write the results of a run as a dataset of LeRobot's, each once; one row of inputs for each frame.

    Returns how many episodes it has, and how many jobs have no frames to export. What was exported before stays and
    keeps its number. Raises BatchError where the jobs, or what was exported before, are of other variants or sizes.
    """
    store, done, left_out = _finished(folder, variant)
    found = list({entry.key: entry for entry in reversed(done)}.values())[::-1]
    kinds = {(result.variant, result.size) for result in map(_result, found)}
    if len(kinds) > 1:
        shown = ", ".join(f"{name} at {size[1]}x{size[0]}" for name, size in sorted(kinds))
        raise BatchError(f"A dataset has one variant and size, and these jobs have {shown}; choose with --variant.")
    chosen, size = kinds.pop()
    meta = _meta(target)
    kind = {"variant": chosen, "size": list(size)}
    if any(meta.get(name, value) != value for name, value in kind.items()):
        raise BatchError(
            f"{target} holds a dataset of {meta['variant']} at {meta['size'][1]}x{meta['size'][0]}, and these jobs are "
            f"of {chosen} at {size[1]}x{size[0]}; name another folder."
        )
    numbers, tasks = _whole_episodes(target, meta), meta.get("tasks", [])
    new = [entry for entry in found if entry.key not in numbers]
    for entry in new:
        numbers[entry.key] = {"episode": len(numbers), "frames": _result(entry).frames}
    tasks += [task for task in dict.fromkeys(map(_task, new)) if task not in tasks]
    (target / "meta").mkdir(parents=True, exist_ok=True)
    write_whole(target / "meta" / NUMBERS, json.dumps(numbers | {"tasks": tasks} | kind).encode())
    first = sum(known["frames"] for known in numbers.values()) - sum(_result(entry).frames for entry in new)
    for entry in new:
        _write_episode(store, target, entry, numbers[entry.key]["episode"], tasks.index(_task(entry)), first)
        first += _result(entry).frames
    write_meta(target, len(numbers), tasks, get_variant(chosen))
    return len(numbers), left_out


def export_videos(folder: Path, target: Path, template: str, variant: str | None = None) -> tuple[int, int]:
    """Write the videos of a run under the names of a template, such as `{image}_{script}`, and an index of them.

    Returns how many there are, and how many jobs have no frames. Raises BatchError where two would have one name.
    """
    template = parse_template(template)
    store, found, left_out = _finished(folder, variant)
    named: dict[str, LedgerRow] = {}
    for entry in found:
        name = template.format_map(entry.labels)
        if name in named and named[name].key != entry.key:
            raise BatchError(
                f"The jobs {named[name].name} and {entry.name} would both be {name}.mp4; name what tells them apart, "
                "such as --names {image}_{script}_{seed}."
            )
        named[name] = entry
    rows = {}
    for name, entry in sorted(named.items(), key=lambda pair: (_task(pair[1]), pair[0])):
        result = _result(entry)
        row = [f"{name}.mp4", entry.labels["image"], _task(entry), result.seed, result.frames, entry.key]
        rows[name] = dict(zip(COLUMNS, row, strict=True))
    before = _read_index(target)
    there = {
        name
        for name, row in rows.items()
        if before.get(row["video"]) == row["key"] and (target / row["video"]).exists()
    }
    _check_free(target, [name for name in named if name not in there])
    _write_index(target, [rows[name] for name in rows if name in there])  # names no video that is being replaced
    for name, entry in named.items():
        if name not in there:
            _write_plain_video(store, entry, target / f"{name}.mp4")
    _write_index(target, list(rows.values()))
    return len(named), left_out


def rows_of_frames(result: Result) -> ActionTrack:
    """The inputs of a job with a row for each of its frames: what is held while it is on screen."""
    first = result.first_block
    lead = frames_of_blocks(first) - first_input_of_block(first)
    return result.track().slice(lead).padded(result.frames)


def _finished(folder: Path, variant: str | None) -> tuple[Store, list[LedgerRow], int]:
    """Where the results lie, the finished jobs that have frames, and how many have none."""
    store, done = finished_jobs(folder)
    if variant is not None:
        done = [entry for entry in done if _result(entry).variant == get_variant(variant).name]
    found = [entry for entry in done if {"mp4", "png", "jpeg"} & _result(entry).items.keys()]
    if not found:
        raise BatchError(f"No finished job in {folder} has a video or frames; keep mp4 or png.")
    return store, found, len(done) - len(found)


def _write_episode(store: Store, target: Path, entry: LedgerRow, number: int, task: int, first: int) -> None:
    """The video, then the table: an episode with a table is whole."""
    result, path = _result(entry), video_path(target, number)
    item = next(item for item in ("png", "mp4", "jpeg") if item in result.items)
    with store.here(result, item) as source:
        if item == "mp4":
            count, colours = copy_video(path, source)
        else:
            count, colours = write_video(path, _pictures(source), FPS)
    if count != result.frames:
        raise BatchError(f"The result of {entry.name} has {count} of its {result.frames} frames; make it again.")
    write_table(target, Episode(number, rows_of_frames(result), None, task, FPS, first), colours)


def _write_plain_video(store: Store, entry: LedgerRow, path: Path) -> None:
    result = _result(entry)
    item = next(item for item in ("mp4", "png", "jpeg") if item in result.items)
    with store.here(result, item) as source:
        if item != "mp4":
            write_video(path, _pictures(source), FPS)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            shutil.copyfile(source, part)


def _check_free(target: Path, names: list[str]) -> None:
    """Raise TargetError where a video or the index would take the place of what no export wrote."""
    check_target(target / INDEX, "TARGET", replaceable=_is_index, what="index of videos")
    for name in names:
        check_target(target / f"{name}.mp4", "TARGET", replaceable=is_own_video, what="video")


def _is_index(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return read_start(path, len(",".join(COLUMNS))) == ",".join(COLUMNS).encode()
    return False


def _read_index(target: Path) -> dict[str, str]:
    """The key of each video that an export before this one wrote."""
    if not _is_index(target / INDEX):
        return {}
    with (target / INDEX).open(newline="", encoding="utf-8") as file:
        return {row.get("video") or "": row.get("key") or "" for row in csv.DictReader(file)}


def _write_index(target: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    target.mkdir(parents=True, exist_ok=True)
    write_whole(target / INDEX, text.getvalue().encode())


def _pictures(folder: Path) -> Iterator[NDArray[np.uint8]]:
    for path in sorted(folder.iterdir()):
        yield read_pixels(path)


def _task(entry: LedgerRow) -> str:
    return entry.labels["script"]


def _result(entry: LedgerRow) -> Result:
    assert entry.result is not None
    return entry.result


def _whole_episodes(target: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """The results that are episodes already; what was begun after them and not finished is made again."""
    known = {key: value for key, value in meta.items() if isinstance(value, dict)}
    count = next(n for n in itertools.count() if not table_path(target, n).exists())
    return {key: value for key, value in known.items() if value["episode"] < count}


def _meta(target: Path) -> dict[str, Any]:
    """What an export wrote down for the next one: the number of each result, tasks, variant and size."""
    path = target / "meta" / NUMBERS
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    if (target / "meta").exists():
        raise BatchError(f"{target} holds a dataset that no bulk rendering wrote; name another folder.")
    return {}
