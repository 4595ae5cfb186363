"""Datasets of LeRobot, versions 2.0 and 2.1 (a table and a film an episode) and 3.0 (many episodes in each file)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DatasetError
from ...system.files import check_regular
from ...system.text_files import read_text_file
from ...variants import Variant
from .clips import Clip, ClipInputs, Dataset, columns_of, inputs_of_arrays
from .extras import import_extra

INFO = Path("meta", "info.json")
EPISODES = Path("meta", "episodes")
LARGEST = 1 << 28  # bytes of a text in meta/: a line for each of some millions of episodes
Info = Mapping[str, Any]


def is_lerobot(root: Path) -> bool:
    """Whether a folder is a dataset of LeRobot's."""
    return (root / INFO).is_file()


def find_episodes(root: Path, variant: Variant | None = None) -> Dataset:
    """The episodes of a dataset; variant: instead of the one that its columns are for. Raises DatasetError."""
    info = read_info(root)
    camera = camera_of(info, root)
    version = str(info.get("codebase_version", ""))
    try:
        rate = float(info["fps"])
        if version.startswith("v3"):
            episodes = _of_version_3(root, info, camera, rate)
        else:
            episodes = _of_version_2(root, info, camera)
        read = partial(_read_rows, root, action_columns(info, root), variant)
        clips = [
            Clip(f"episode_{number:06d}", video, partial(read, table, number), rate, task, first, frames)
            for number, table, video, task, first, frames in episodes
        ]
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"What {root.name}/meta says is not what a dataset of LeRobot {version} says ({error!r})."
        ) from None
    return Dataset(root, f"LeRobot {version}", clips)


def read_info(root: Path) -> dict[str, Any]:
    """meta/info.json. Raises DatasetError."""
    try:
        info = json.loads(read_text_file(root / INFO, LARGEST).text)
        if not isinstance(info, dict) or not isinstance(info["features"], dict):
            raise ValueError("it has no features")
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise DatasetError(f"{root.name}/meta/info.json cannot be read: {error}.") from None
    return info


def camera_of(info: Info, root: Path) -> str:
    """The name of the feature that is the film; the first where there are several."""
    found = [name for name, about in info["features"].items() if about.get("dtype") == "video"]
    if not found:
        raise DatasetError(f"{root.name} has no feature that is a video; datasets of single pictures are not read.")
    return found[0]


def action_columns(info: Info, root: Path) -> list[str]:
    """The names of the columns of `action`. Raises DatasetError."""
    names: Any = info["features"].get("action", {}).get("names")
    while isinstance(names, dict):  # {"motors": [...]}
        names = next(iter(names.values()), None)
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{root.name}/meta/info.json names no columns of action, so nobody can say what they are.")
    return [str(name) for name in names]


def tables_of(root: Path, info: Info) -> list[Path]:
    """All tables of rows."""
    return sorted((root / "data").glob("*/*.parquet"))


def _of_version_2(root: Path, info: Info, camera: str) -> list[tuple[int, Path, Path, str, int, int | None]]:
    chunk = int(info.get("chunks_size", 1000))
    tasks = {}
    path = root / "meta" / "episodes.jsonl"
    for line in read_text_file(path, LARGEST).text.splitlines() if path.exists() else ():
        about = json.loads(line)
        tasks[int(about["episode_index"])] = ", ".join(map(str, about.get("tasks", ())))
    found = []
    for number in range(int(info["total_episodes"])):
        values = {"episode_chunk": number // chunk, "episode_index": number, "video_key": camera}
        table, video = (_inside(root, str(info[name]).format(**values)) for name in ("data_path", "video_path"))
        found.append((number, table, video, tasks.get(number, ""), 0, None))
    return found


def _of_version_3(
    root: Path, info: Info, camera: str, rate: float
) -> list[tuple[int, Path, Path, str, int, int | None]]:
    tables = [_table(path) for path in sorted((root / EPISODES).glob("*/*.parquet"))]
    found = []
    for about in (row for table in tables for row in table.to_pylist()):
        number = int(about["episode_index"])
        paths = []
        for name, prefix in (("data_path", "data"), ("video_path", f"videos/{camera}")):
            values = {key: int(about[f"{prefix}/{key}"]) for key in ("chunk_index", "file_index")}
            paths.append(_inside(root, str(info[name]).format(video_key=camera, **values)))
        first = round(float(about[f"videos/{camera}/from_timestamp"]) * rate)
        task = ", ".join(map(str, about.get("tasks") or ()))
        found.append((number, paths[0], paths[1], task, first, int(about["length"])))
    return sorted(found)


def _inside(root: Path, name: str) -> Path:
    path = root / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise DatasetError(f"{root.name}/meta/info.json names the file {name}, which lies outside of it.")
    return path


def _read_rows(root: Path, names: Sequence[str], variant: Variant | None, table: Path, number: int) -> ClipInputs:
    rows = _rows_of(table, number)
    found, columns = columns_of(names, variant)
    action = np.array(rows["action"].to_pylist(), np.float64).reshape(rows.num_rows, -1)
    if action.shape[1] != len(names):
        raise DatasetError(f"{table.name} has {action.shape[1]} columns of action, and info.json names {len(names)}.")
    keyboard, camera = np.zeros((len(action), len(found.keys))), np.zeros((len(action), 2))
    for name, column in columns:
        if name in found.keys:
            keyboard[:, found.keys.index(name)] = action[:, column]
        else:
            camera[:, ("pitch", "yaw").index(name)] = action[:, column]
    times = None
    if "timestamp" in rows.column_names:
        times = np.array(rows["timestamp"].to_pylist(), np.float64).reshape(-1)
    return inputs_of_arrays(keyboard, camera, found, times=times)


def _rows_of(path: Path, number: int) -> Any:
    """The rows of one episode, in their order."""
    compute = import_extra("pyarrow.compute")
    table = _table(path)
    if "action" not in table.column_names:
        raise DatasetError(f"{path.name} has no column action.")
    if "episode_index" in table.column_names:
        table = table.filter(compute.equal(table["episode_index"], number))
    if not table.num_rows:
        raise DatasetError(f"{path.name} has no rows of episode {number}.")
    return table


@lru_cache(maxsize=2)
def _stamped(path: Path, stamp: int) -> Any:
    parquet = import_extra("pyarrow.parquet")
    try:
        return parquet.read_table(path)
    except Exception as error:  # of Arrow, whatever is wrong with it
        raise DatasetError(f"{path.name} cannot be read as a Parquet table ({str(error).splitlines()[0]}).") from None


def _table(path: Path) -> Any:
    """A Parquet table, kept while the next clips are read from it."""
    try:
        return _stamped(check_regular(path), path.stat().st_mtime_ns)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from None
