"""Save World and Load World."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import comfy.model_patcher
import folder_paths

from .. import world as engine
from ..errors import WorldError
from .models.core_values import HostVae, check_generator
from .running.folders import WORLD_FOLDER, why_not_written, world_folder
from .running.live_world import LiveWorld, as_live_world


def world_file_state(file: str) -> str:
    """Changes when a saved world is written again."""
    path = _saved_world(file)
    return f"{path}/{path.stat().st_mtime_ns}" if path.exists() else "missing"


def _saved_world(file: str) -> Path:
    if Path(file).name != file:
        raise WorldError(f"'{file}' is not the name of a file in output/{WORLD_FOLDER}.")
    return world_folder() / file


def save_world(start: LiveWorld, filename_prefix: str) -> str:
    """Write a world below the output folder; returns a sentence that names the file."""
    output = Path(folder_paths.get_output_directory()).resolve()
    if not (output / filename_prefix).resolve().is_relative_to(output):
        raise WorldError(f"'{filename_prefix}' leads out of the output folder; use a name, with or without folders.")
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, str(output))
    except OSError as error:
        raise WorldError(f"The world is not saved: {why_not_written(error, output)}") from None
    path = engine.save_world(start.world, Path(folder) / f"{name}_{counter:05}_.safetensors")
    return f"{subfolder}/{path.name} ({path.stat().st_size / 1e6:.0f} MB, before block {start.world.block})"


def load_world(model: comfy.model_patcher.ModelPatcher, vae: HostVae, file: str) -> LiveWorld:
    """A saved world with the models it goes on with; raises WorldError."""
    check_generator(model)
    return as_live_world(engine.load_world(_saved_world(file)), model, vae)
