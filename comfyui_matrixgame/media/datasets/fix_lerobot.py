"""Corrections of the inputs of a dataset of LeRobot's: the column `action` of its tables, and its statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetError
from ...system.files import write_whole, written_whole
from .clips import columns_of
from .extras import import_extra
from .fixes import Fix, shift_rows
from .lerobot import statistics_of
from .read_lerobot import EPISODES, action_columns, read_info, tables_of


def fix_lerobot(root: Path, fix: Fix, known: dict[str, Any]) -> dict[str, Any]:
    """Correct a dataset in place; returns the rows that were pushed off, by episode. Raises DatasetError."""
    if fix.still:
        raise DatasetError("menus=still needs lines that say when a menu is open, and a dataset of LeRobot's does not.")
    info = read_info(root)
    names = action_columns(info, root)
    _, columns = columns_of(names)
    pushed_off: dict[str, Any] = {}
    actions: dict[int, NDArray[np.float64]] = {}
    for path in tables_of(root, info):
        _fix_table(path, dict(columns), fix, known, pushed_off, actions)
    _fix_statistics(root, actions)
    return pushed_off


def fixed_action(action: NDArray[np.float64], columns: dict[str, int], fix: Fix) -> NDArray[np.float64]:
    """Rows [N, columns] with camera and keys corrected; columns: key or axis -> column."""
    done = action.copy()
    if fix.turns:
        missing = [axis for axis in ("pitch", "yaw") if axis not in columns]
        if missing:
            raise DatasetError(f"Its actions have no column {missing[0]}; correct keys and lag alone.")
        at = [columns["pitch"], columns["yaw"]]
        done[:, at] = fix.turned(action[:, at])
    for key, name in fix.keys:
        if key not in columns or name not in columns:
            raise DatasetError(f"Its actions have no column {key if key not in columns else name} to change.")
        done[:, columns[name]] = action[:, columns[key]]
    return done


def _fix_table(
    path: Path, columns: dict[str, int], fix: Fix, known: dict, pushed_off: dict, actions: dict[int, NDArray]
) -> None:
    parquet, pa = import_extra("pyarrow.parquet"), import_extra("pyarrow")
    try:
        table = parquet.read_table(path)
    except Exception:  # a broken table stays as it is; the check says so
        return
    field = table.schema.field("action")
    action = np.array(table["action"].to_pylist(), np.float64).reshape(table.num_rows, -1)
    episodes = np.array(table["episode_index"].to_pylist())
    done = fixed_action(action, columns, fix)
    for number in dict.fromkeys(episodes.tolist()):
        at = np.flatnonzero(episodes == number)
        name = str(number)
        rows, off = shift_rows(done[at].tolist(), fix.lag, known.get(name, []))
        done[at] = rows
        actions[number] = done[at]
        if off:
            pushed_off[name] = off
    column = pa.array(done.astype(np.float32).tolist(), type=field.type)
    table = table.set_column(table.schema.get_field_index("action"), field, column)
    metadata = dict(table.schema.metadata or {})
    if b"statistics" in metadata and len(actions) and len(set(episodes.tolist())) == 1:
        inside = json.loads(metadata[b"statistics"])
        inside["action"] = _updated_statistics(inside.get("action", {}), actions[int(episodes[0])])
        table = table.replace_schema_metadata(metadata | {b"statistics": json.dumps(inside).encode()})
    with written_whole(path) as part:
        parquet.write_table(table, part)


def _fix_statistics(root: Path, actions: dict[int, NDArray]) -> None:
    lines = root / "meta" / "episodes_stats.jsonl"
    if lines.exists():
        rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if row["episode_index"] in actions:
                row["stats"]["action"] = _updated_statistics(
                    row["stats"].get("action", {}), actions[row["episode_index"]]
                )
        write_whole(lines, "".join(json.dumps(row) + "\n" for row in rows).encode())
    for path in sorted((root / EPISODES).glob("*/*.parquet")):
        _fix_episodes(path, actions)
    whole = root / "meta" / "stats.json"
    if whole.exists() and actions:
        found = json.loads(whole.read_text(encoding="utf-8"))
        found["action"] = _updated_statistics(
            found.get("action", {}), np.concatenate([actions[n] for n in sorted(actions)])
        )
        write_whole(whole, json.dumps(found, indent=4).encode())


def _fix_episodes(path: Path, actions: dict[int, NDArray]) -> None:
    parquet, pa = import_extra("pyarrow.parquet"), import_extra("pyarrow")
    table = parquet.read_table(path)
    numbers = table["episode_index"].to_pylist()
    for name in [name for name in table.column_names if name.startswith("stats/action/")]:
        kind = name.rpartition("/")[2]
        values = table[name].to_pylist()
        values = [_updated_statistics({kind: v}, actions[n])[kind] if n in actions else v
                  for n, v in zip(numbers, values, strict=True)]  # fmt: skip
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(name), pa.array(values, type=table.schema.field(name).type))
    with written_whole(path) as part:
        parquet.write_table(table, part)


def _updated_statistics(before: dict[str, Any], action: NDArray[np.float64]) -> dict[str, Any]:
    """Statistics with new values for each kind that was there: min, max, mean, std, count and quantiles (q01 ...)."""
    values = statistics_of(action)
    for kind in before:
        if kind.startswith("q") and kind[1:].isdecimal():
            values[kind] = np.quantile(action, int(kind[1:]) / 100, axis=0).tolist()
    return before | {kind: values[kind] for kind in values if kind in before}
