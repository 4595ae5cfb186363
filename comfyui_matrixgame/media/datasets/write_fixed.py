"""A corrected copy of a dataset: films and all that is not an input stay as they are, and nothing is lost.

What a shift pushes off at the ends is kept in `fixes.json` of the copy, so that the opposite shift brings it back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ActionError, DatasetError, TargetError
from ...system.files import take_place, write_whole
from .action_arrays import load_actions
from .clips import Dataset
from .find import find_dataset
from .fix_lerobot import fix_lerobot
from .fixes import Fix, shift_rows
from .lines import VPT, steps_of
from .oasis import ENDINGS as OASIS
from .pairs import LINES, read_frame_rows
from .read_lerobot import is_lerobot

RECORD = "fixes.json"
VPT_INPUTS = ("keyboard", "mouse", "isGuiOpen", "isGuiInventory", "hotbar")
GF_INPUTS = ("ws", "ad", "scs", "pitch", "yaw", "pitch_delta", "yaw_delta")


def write_fixed(root: Path, target: Path, fix: Fix) -> Dataset:
    """Write a corrected copy; a stopped one leaves nothing under `target`. Clips whose inputs cannot be read are copied
    as they are. Raises DatasetError for formats of inputs that are not written, TargetError for a target in use."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise TargetError(f"-o {target} exists and is not an empty folder; name another.")
    if target.resolve().is_relative_to(root.resolve()):
        raise TargetError(f"-o {target} lies in the dataset itself; name a folder outside of it.")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(root, part)
        history = _history(part)
        before = history[-1] if history and history[-1].get("lag") == -fix.lag else {}
        known = before.get("pushed_off", {})
        rewrite = fix_lerobot if is_lerobot(part) else _fix_files
        pushed_off = rewrite(part, fix, known)
        record = {"fix": fix.text, "lag": fix.lag, "pushed_off": pushed_off}
        write_whole(part / RECORD, (json.dumps([*history, record], indent=1) + "\n").encode())
        if target.exists():
            target.rmdir()
        take_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return find_dataset(target)


def _history(folder: Path) -> list[dict[str, Any]]:
    path = folder / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    except ValueError:
        raise DatasetError(f"{path.name} of the dataset is no list of corrections; move it away.") from None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _fix_files(root: Path, fix: Fix, known: dict[str, Any]) -> dict[str, Any]:
    """Correct the file of inputs of each clip, once where several clips have the same."""
    files = sorted({clip.inputs for clip in find_dataset(root).clips if clip.inputs is not None})
    pushed_off = {}
    for path in files:
        name = path.relative_to(root).as_posix()
        pushed_off[name] = _writer(path, fix)(path, fix, known.get(name, []))
    return {name: rows for name, rows in pushed_off.items() if rows}


def _writer(path: Path, fix: Fix) -> Callable[[Path, Fix, list], list]:
    if path.suffix.lower() in LINES:
        return _fix_lines
    if fix.still:
        raise DatasetError(f"menus=still needs lines that say when a menu is open, and {path.name} does not.")
    if path.suffix.lower() == ".npy" and path.is_file():
        return _fix_arrays
    if path.name.endswith(OASIS):
        raise DatasetError(
            f"Corrections of {path.name} are not written; `matrixgame dataset export` makes a LeRobot set, whose are."
        )
    found = read_frame_rows(path) if path.suffix.lower() == ".json" else None
    if found is not None and found[0] == "gf_minecraft":
        return _fix_gf
    raise DatasetError(
        f"Corrections of {path.name} are not written: JSON lines, GF-Minecraft's JSON and FastVideo's .npy are. "
        "`matrixgame actions convert` makes JSON lines of it."
    )


# ---- JSON lines


def _fix_lines(path: Path, fix: Fix, known: list) -> list:
    try:
        steps = [dict(step) for step in steps_of(path)]
    except ActionError:
        return []  # a broken file stays as it is; the check says so
    names = [name for name in VPT_INPUTS if any(name in step for step in steps)]
    if not any(step.keys() & VPT for step in steps):
        names = sorted({name for step in steps for name in step if name.lower() in "wsad" or name in ("pitch", "yaw")})
    inputs = [{name: step[name] for name in names if name in step} for step in steps]
    rows, pushed_off = shift_rows(inputs, fix.lag, known)
    lines = []
    for step, row in zip(steps, rows, strict=True):
        rest = {name: value for name, value in step.items() if name not in names}
        lines.append(json.dumps(rest | _fixed_step(row, fix), ensure_ascii=False))
    write_whole(path, ("\n".join(lines) + "\n").encode())
    return [_fixed_step(row, fix) for row in pushed_off]


def _fixed_step(row: dict[str, Any], fix: Fix) -> dict[str, Any]:
    row = dict(row)
    if row.keys() & VPT:
        mouse = dict(row.get("mouse") or {})
        dx, dy = mouse.get("dx", 0), mouse.get("dy", 0)
        if fix.still and (row.get("isGuiOpen") is True or row.get("isGuiInventory") is True):
            row["keyboard"] = dict(row.get("keyboard") or {}) | {"keys": []}
            mouse |= {"dx": 0, "dy": 0}
        elif fix.turns:
            pitch, yaw = fix.turned(np.array([-dy, dx], np.float64)).tolist()
            mouse |= {"dx": _plain(yaw), "dy": _plain(-pitch)}
        if "mouse" in row:
            row["mouse"] = mouse
        for name in ("keys", "newKeys"):
            if fix.keys and isinstance(row.get("keyboard"), dict) and name in row["keyboard"]:
                row["keyboard"] = row["keyboard"] | {name: [_renamed(key, fix) for key in row["keyboard"][name]]}
        return row
    if fix.turns:
        pitch, yaw = fix.turned(np.array([row.get("pitch", 0), row.get("yaw", 0)], np.float64)).tolist()
        row |= {name: value for name, value in (("pitch", pitch), ("yaw", yaw)) if name in row or value}
    return {fix.key(name): value for name, value in row.items()}


def _renamed(key: str, fix: Fix) -> str:
    start, dot, name = str(key).rpartition(".")
    return f"{start}{dot}{fix.key(name)}"


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value


# ---- GF-Minecraft


def _fix_gf(path: Path, fix: Fix, known: list) -> list:
    data = json.loads(path.read_text(encoding="utf-8"))
    frames = data["actions"]
    order = sorted(frames, key=int)
    inputs = [{name: frames[at][name] for name in GF_INPUTS if name in frames[at]} for at in order]
    rows, pushed_off = shift_rows(inputs, fix.lag, known)
    for at, row in zip(order, rows, strict=True):
        rest = {name: value for name, value in frames[at].items() if name not in GF_INPUTS}
        frames[at] = rest | _fixed_frame(row, fix)
    write_whole(path, json.dumps(data).encode())
    return [_fixed_frame(row, fix) for row in pushed_off]


def _fixed_frame(row: dict[str, Any], fix: Fix) -> dict[str, Any]:
    row = dict(row)
    for pitch, yaw in (("pitch", "yaw"), ("pitch_delta", "yaw_delta")):
        if fix.turns and pitch in row and yaw in row:  # headings too: their differences turn
            up, right = fix.turned(np.array([-row[pitch], row[yaw]], np.float64)).tolist()
            row |= {pitch: _plain(-up), yaw: _plain(right)}
    if fix.keys:
        held = {"ws": {1: "w", 2: "s"}, "ad": {1: "a", 2: "d"}}
        keys = {fix.key(names[row[name]]) for name, names in held.items() if row.get(name) in names}
        for name, names in held.items():
            if name in row:
                row[name] = next((value for value, key in names.items() if key in keys), 0)
    return row


# ---- FastVideo's arrays


def _fix_arrays(path: Path, fix: Fix, known: list) -> list:
    try:
        arrays = load_actions(path)
    except DatasetError:
        return []
    pushed_off: dict[str, Any] = {}
    for name, array in arrays.items():
        if name not in ("keyboard", "mouse"):
            continue
        values = array.astype(np.float64)
        if name == "mouse":
            values = fix.turned(values)
        elif fix.keys:
            columns = [dict(fix.keys).get(key, key) for key in "wsad"]
            values[:, :4] = values[:, [columns.index(key) for key in "wsad"]]
        back = known[0].get(name, []) if known else []
        rows, off = shift_rows(values.tolist(), fix.lag, back)
        arrays[name], pushed_off[name] = np.array(rows, array.dtype), off
    plain = list(arrays) == ["keyboard"] and not _is_dict(path)
    with open(path, "wb") as file:  # of the copy
        if plain:
            np.save(file, arrays["keyboard"])
        else:
            np.save(file, np.array(arrays, dtype=object), allow_pickle=True)
    return [pushed_off] if any(pushed_off.values()) else []


def _is_dict(path: Path) -> bool:
    with path.open("rb") as file:
        return b"'|O'" in file.read(256)
