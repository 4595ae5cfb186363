"""FastVideo's Parquet tables for Matrix-Game 2.0 (`--preprocess_task matrixgame2`): a row a sample, all in it.

Latents of the film are stored as its VAE gives them, those of the first frame normalised, as its preprocessing does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import DatasetError, MatrixGameError
from ....networks.vae.base import denormalise
from ....system.files import written_whole
from ..clips import Dataset
from ..extras import import_extra
from .encode import Encoders, array_of, encode_window
from .windows import Exported, Window, windows_of

TENSORS = ("vae_latent", "clip_feature", "first_frame_latent", "mouse_cond", "keyboard_cond", "pil_image")
TEXTS, NUMBERS = ("file_name", "caption", "media_type"), ("width", "height", "num_frames")
SECONDS = ("duration_sec", "fps")
FRAMES = 77  # of a sample, as its example scripts have
PER_FILE = 16
CAPTION = "A first-person game."


def export_fastvideo(
    dataset: Dataset, target: Path, encoders: Encoders, frames: int = FRAMES, per_file: int = PER_FILE,
    on_sample: Callable[[Exported], object] = lambda out: None, fps: float | None = None,
) -> Exported:  # fmt: skip
    """Write what is missing of a dataset as tables of `per_file` samples; a table counts once it is whole. Raises
    MatrixGameError."""
    parquet, pa = import_extra("pyarrow.parquet"), import_extra("pyarrow")
    target.mkdir(parents=True, exist_ok=True)
    out = Exported()
    known, number = _known(target, parquet)
    rows: list[dict[str, Any]] = []

    def flush() -> None:
        nonlocal number
        if rows:
            with written_whole(target / f"data_{number:06d}.parquet") as part:
                parquet.write_table(pa.Table.from_pylist(rows, schema=_schema(pa)), part)
            number += 1
            rows.clear()

    for window in windows_of(dataset, frames, out, fps):
        if window.id in known:
            out.there += 1
        else:
            try:
                rows.append(_row(window, encoders))
                out.made += 1
            except MatrixGameError as error:
                out.lost[window.id] = str(error)
        if len(rows) >= per_file:
            flush()
        on_sample(out)
    flush()
    return out


def _row(window: Window, encoders: Encoders) -> dict[str, Any]:
    encoded = encode_window(window, encoders)
    assert encoded.condition is not None
    assert encoded.features is not None
    track = window.track
    mouse = np.zeros((len(track), 0), np.float32) if track.mouse is None else track.mouse
    arrays = {
        "vae_latent": array_of(denormalise(encoded.latents[None])[0]),
        "clip_feature": array_of(encoded.features),
        "first_frame_latent": array_of(encoded.condition),
        "mouse_cond": mouse.astype(np.float32),
        "keyboard_cond": track.keyboard.astype(np.float32),
    }
    row: dict[str, Any] = {
        "id": window.id, "file_name": window.clip.name, "caption": window.clip.task or CAPTION, "media_type": "video",
        "width": encoders.size[1], "height": encoders.size[0], "num_frames": encoded.latents.shape[1],
        "duration_sec": len(track) / window.rate, "fps": float(window.rate),
    }  # fmt: skip
    for name in TENSORS:
        array = arrays.get(name, np.zeros(0, np.float32))
        is_there = array.size > 0
        row[f"{name}_bytes"] = array.tobytes()
        row[f"{name}_shape"] = list(array.shape) if is_there else []
        row[f"{name}_dtype"] = str(array.dtype) if is_there else ""
    return row


def _schema(pa: Any) -> Any:
    fields = [("id", pa.string())]
    for name in TENSORS:
        kinds = {"bytes": pa.binary(), "shape": pa.list_(pa.int64()), "dtype": pa.string()}
        fields += [(f"{name}_{part}", kind) for part, kind in kinds.items()]
    fields += [(name, pa.string()) for name in TEXTS] + [(name, pa.int64()) for name in NUMBERS]
    return pa.schema(fields + [(name, pa.float64()) for name in SECONDS])


def _known(target: Path, parquet: Any) -> tuple[set[str], int]:
    """The samples of earlier runs, and the number of the next table. Raises DatasetError where others lie there."""
    known: set[str] = set()
    paths = sorted(target.glob("*.parquet"))
    for path in paths:
        try:
            known |= set(parquet.read_table(path, columns=["id"])["id"].to_pylist())
        except Exception as error:  # of Arrow
            raise DatasetError(f"{path} is no table that this program wrote ({str(error).splitlines()[0]}).") from None
    numbers = [int(path.stem[5:]) for path in paths if path.stem.startswith("data_") and path.stem[5:].isdecimal()]
    return known, max(numbers, default=-1) + 1
