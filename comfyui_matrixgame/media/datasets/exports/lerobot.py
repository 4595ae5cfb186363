"""LeRobot's datasets, version 2.1, and 3.0 with a file an episode, so that an export can go on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import DatasetError, MatrixGameError
from ....system.files import write_whole, written_whole
from ....variants import FPS, Variant
from ..clips import Dataset
from ..extras import import_extra
from ..lerobot import (
    CHUNK,
    VIDEO_KEY,
    Episode,
    action_names,
    copy_video,
    info_of,
    table_path,
    video_path,
    write_meta,
    write_table,
    write_video,
)
from .resampled import SAME
from .windows import Exported, Usable, usable_clip

PLAN = "export.json"
TASK = "play"
DATA_3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
OWN_2 = ("total_chunks", "total_videos")


def export_lerobot(
    dataset: Dataset, target: Path, version: int = 2, on_episode: Callable[[Exported], object] = lambda out: None,
    fps: float | None = None,
) -> Exported:  # fmt: skip
    """Write what is missing of a dataset: an episode for each clip. version: 2 (2.1) or 3 (3.0). fps: frames a second
    that clips are resampled to. Clips that cannot be used are left out. Raises MatrixGameError."""
    import_extra("pyarrow")
    out = Exported(lost=dict(dataset.lost))
    usable: list[Usable] = []
    for clip in dataset.clips:
        try:
            usable.append(usable_clip(clip, fps, out))
        except (MatrixGameError, OSError) as error:
            out.lost[clip.name] = str(error)
    if not usable:
        raise DatasetError(f"No clip of {dataset.root} can be exported: {next(iter(out.lost.values()), 'it has none')}")
    variant = usable[0].track.variant
    if any(each.track.variant != variant for each in usable):
        raise DatasetError("Its clips are of several variants; choose with --variant.")
    rates = sorted({round(each.rate, 2) for each in usable})
    if rates[-1] - rates[0] > SAME * rates[0]:
        raise DatasetError(
            f"Its clips have {rates[0]:g} to {rates[-1]:g} frames a second, and a LeRobot dataset has one rate; name "
            f"it with --fps, such as --fps {FPS}."
        )
    _check_plan(target, version, [each.clip.id for each in usable])
    tasks = list(dict.fromkeys(each.clip.task or TASK for each in usable))
    first = 0
    for number, each in enumerate(usable):
        clip = each.clip
        table, video = paths_of(target, number, version)
        if table.exists():
            out.there += 1
        else:
            whole = clip.is_film and clip.video.suffix.lower() == ".mp4"
            made, colours = copy_video(video, clip.video) if whole else write_video(video, clip.pixels(), each.rate)
            if made != each.count:
                raise DatasetError(f"{clip.name} has {made} of its {each.count} frames; leave it out, or mend it.")
            task = tasks.index(clip.task or TASK)
            write_table(target, Episode(number, each.track, None, task, each.rate, first), colours, table)
            out.made += 1
        first += each.count
        on_episode(out)
    if version == 2:
        write_meta(target, len(usable), tasks, variant)
    else:
        _write_meta_3(target, len(usable), tasks, variant)
    return out


def paths_of(root: Path, number: int, version: int) -> tuple[Path, Path]:
    """Table and film of an episode."""
    if version == 2:
        return table_path(root, number), video_path(root, number)
    place = {"chunk_index": number // CHUNK, "file_index": number % CHUNK}
    return root / DATA_3.format(**place), root / VIDEO_3.format(video_key=VIDEO_KEY, **place)


def _check_plan(target: Path, version: int, names: list[str]) -> None:
    """A folder is of one export; clips may only be added at its end."""
    path = target / "meta" / PLAN
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["version"] != version or names[: len(before["clips"])] != before["clips"]:
            raise DatasetError(f"{target} holds the export of other clips or of another version; name another folder.")
    elif (target / "meta" / "info.json").exists():
        raise DatasetError(f"{target} holds a dataset that no export wrote; name another folder.")
    write_whole(path, json.dumps({"version": version, "clips": names}).encode())


def _write_meta_3(root: Path, episodes: int, tasks: Sequence[str], variant: Variant) -> None:
    parquet, pa = import_extra("pyarrow.parquet"), import_extra("pyarrow")
    info: dict[str, Any] = {}
    rows, statistics, total = [], [], 0
    for number in range(episodes):
        table, video = paths_of(root, number, 3)
        rows_there = parquet.read_table(table, columns=["task_index"])
        inside = json.loads(parquet.read_schema(table).metadata[b"statistics"])
        if not info:
            info = info_of(episodes, 0, len(tasks), video, False, action_names(variant))
        length, place = rows_there.num_rows, {"chunk_index": number // CHUNK, "file_index": number % CHUNK}
        row = {
            "episode_index": number, "tasks": [tasks[rows_there["task_index"][0].as_py()]], "length": length,
            "dataset_from_index": total, "dataset_to_index": total + length,
            **{f"{part}/{name}": value for part in ("data", f"videos/{VIDEO_KEY}") for name, value in place.items()},
            f"videos/{VIDEO_KEY}/from_timestamp": 0.0, f"videos/{VIDEO_KEY}/to_timestamp": length / info["fps"],
            "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
        }  # fmt: skip
        rows.append(row | {f"stats/{name}/{kind}": v for name, kinds in inside.items() for kind, v in kinds.items()})
        statistics.append(inside)
        total += length
    meta = root / "meta"
    (meta / "episodes" / "chunk-000").mkdir(parents=True, exist_ok=True)
    for path, table in (
        (meta / "episodes" / "chunk-000" / "file-000.parquet", pa.Table.from_pylist(rows)),
        (meta / "tasks.parquet", _task_table(pa, tasks)),
    ):
        with written_whole(path) as part:
            parquet.write_table(table, part)
    write_whole(meta / "stats.json", json.dumps(_together(statistics), indent=4).encode())
    info = {name: value for name, value in info.items() if name not in OWN_2}
    for about in info["features"].values():
        if about["dtype"] != "video":
            about["fps"] = info["fps"]
    info |= {
        "codebase_version": "v3.0", "total_frames": total, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200,
        "data_path": DATA_3, "video_path": VIDEO_3,
    }  # fmt: skip
    write_whole(meta / "info.json", (json.dumps(info, indent=2) + "\n").encode())


def _task_table(pa: Any, tasks: Sequence[str]) -> Any:
    """Tasks as pandas writes a frame whose index they are."""
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def _together(statistics: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Statistics of all episodes from those of each."""
    found = {}
    for name in statistics[0]:
        parts = [{kind: np.array(value, np.float64) for kind, value in each[name].items()} for each in statistics]
        counts = np.array([part["count"][0] for part in parts])
        shares = counts / counts.sum()
        mean = sum(share * part["mean"] for share, part in zip(shares, parts, strict=True))
        square = sum(share * (part["std"] ** 2 + part["mean"] ** 2) for share, part in zip(shares, parts, strict=True))
        found[name] = {
            "min": np.min([part["min"] for part in parts], axis=0).tolist(),
            "max": np.max([part["max"] for part in parts], axis=0).tolist(),
            "mean": np.asarray(mean).tolist(),
            "std": np.sqrt(np.maximum(np.asarray(square - mean**2), 0)).tolist(),
            "count": [int(counts.sum())],
        }
    return found
