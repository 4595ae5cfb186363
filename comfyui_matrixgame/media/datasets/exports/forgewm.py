"""ForgeWM's shards: folders with an LMDB each, of latents [T, 16, h, w] in float16, inputs in float32, and prompts.

The mouse is Matrix-Game's: pitch up is positive.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import DatasetError, MatrixGameError
from ..clips import Dataset
from ..extras import import_extra
from .encode import Encoders, encode_window
from .windows import Exported, Window, windows_of

FRAMES = 81  # of a sample: 21 latent frames
PER_SHARD = 500
IDS = b"matrixgame_ids"  # what is in a shard, so that an export can go on
MAP = 1 << 40  # bytes of addresses, not of disk
PROMPT = "A Minecraft gameplay video in first person perspective."
Shapes = dict[str, tuple[int, ...]]


def export_forgewm(
    dataset: Dataset, target: Path, encoders: Encoders, frames: int = FRAMES, per_shard: int = PER_SHARD,
    on_sample: Callable[[Exported], object] = lambda out: None, fps: float | None = None,
) -> Exported:  # fmt: skip
    """Write what is missing of a dataset as shards of `per_shard` samples; each sample is there whole or not at all.
    Raises MatrixGameError."""
    lmdb = import_extra("lmdb")
    target.mkdir(parents=True, exist_ok=True)
    out, known, number = Exported(), _known(target, lmdb), 0
    seen = {name for ids in known.values() for name in ids}
    for window in windows_of(dataset, frames, out, fps):
        if window.id in seen:
            out.there += 1
        else:
            while len(known.get(number, ())) >= per_shard:
                number += 1
            try:
                rows = _rows(window, encoders)
            except MatrixGameError as error:
                out.lost[window.id] = str(error)
                continue
            _append(lmdb, _shard(target, number), rows, [*known.get(number, ()), window.id])
            known.setdefault(number, []).append(window.id)
            out.made += 1
        on_sample(out)
    return out


def _rows(window: Window, encoders: Encoders) -> dict[str, Any]:
    latents = encode_window(window, encoders).latents.permute(1, 0, 2, 3)
    mouse = window.track.mouse
    if mouse is None:
        raise DatasetError("ForgeWM takes inputs with a camera; choose another --variant.")
    return {
        "latents": np.ascontiguousarray(latents.half().numpy()),
        "mouse_conditions": mouse.astype(np.float32),
        "keyboard_conditions": window.track.keyboard.astype(np.float32),
        "prompts": window.clip.task or PROMPT,
    }


def _append(lmdb: Any, path: Path, rows: dict[str, Any], ids: list[str]) -> None:
    """One sample, the counts, and what is in the shard, in one transaction."""
    index = len(ids) - 1
    env = lmdb.open(str(path), map_size=MAP)
    try:
        with env.begin(write=True) as txn:
            for name, row in rows.items():
                data = row.encode() if isinstance(row, str) else row.tobytes()
                shape = () if isinstance(row, str) else row.shape
                before = txn.get(f"{name}_shape".encode())
                if before is not None and tuple(map(int, before.split()[1:])) != shape:
                    raise DatasetError(
                        f"{path} has {name} of {before.decode()}, and these are of {list(shape)}; name another folder."
                    )
                txn.put(f"{name}_{index}_data".encode(), data)
                txn.put(f"{name}_shape".encode(), " ".join(map(str, (index + 1, *shape))).encode())
            txn.put(IDS, json.dumps(ids).encode())
    finally:
        env.close()


def _known(target: Path, lmdb: Any) -> dict[int, list[str]]:
    """What is in each shard. Raises DatasetError where another program's lies there."""
    known = {}
    for path in sorted(target.glob("shard*")):
        number = path.name.removeprefix("shard")
        if not number.isdecimal() or not (path / "data.mdb").exists():
            continue
        env = lmdb.open(str(path), readonly=True, lock=False)
        with env.begin() as txn:
            ids = txn.get(IDS)
        env.close()
        if ids is None:
            raise DatasetError(f"{path} is a shard that this program did not write; name another folder.")
        known[int(number)] = list(json.loads(ids))
    return known


def _shard(target: Path, number: int) -> Path:
    return target / f"shard{number:03d}"
