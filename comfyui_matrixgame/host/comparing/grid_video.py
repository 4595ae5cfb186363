"""Grid Video."""

# pyright: reportMissingImports=false

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import comfy.utils
from comfy_api.latest import InputImpl

from ...media.grid import write_grid
from ...variants import FPS
from ..running.folders import temporary_folder


def grid_video(films: Sequence[Any], names: str, node_id: str) -> Any:
    """VIDEOs in step as one VIDEO. names: a line each; films without one are numbered. Raises VideoError."""
    lines = [line.strip() for line in names.splitlines() if line.strip()]
    named = [lines[index] if index < len(lines) else f"{index + 1}" for index in range(len(films))]
    longest = max((film.get_duration() for film in films), default=0.0)
    bar = comfy.utils.ProgressBar(max(1, round(longest * FPS)), node_id)

    def show(frames: int) -> None:
        memory.throw_exception_if_processing_interrupted()
        bar.update_absolute(frames)

    path = temporary_folder() / f"grid_{uuid.uuid4().hex[:12]}.mp4"
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.mp4" for index in range(len(films))]
        for film, file in zip(films, files, strict=True):
            film.save_to(str(file))
        write_grid(files, named, path, show)
    return InputImpl.VideoFromFile(str(path))
