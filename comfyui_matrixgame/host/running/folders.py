"""Where files are: models, saved worlds, what World Cache keeps, and what lives until ComfyUI is started again."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import folder_paths

WORLD_FOLDER = "matrixgame"  # below the output and the temporary folder
SCORES = "scores"  # in models, or where extra_model_paths.yaml says; `matrixgame download scores` fills it too

folder_paths.add_model_folder_path(SCORES, str(Path(folder_paths.models_dir) / SCORES))


def model_path(folder: str, name: str) -> Path:
    """A file that a loader lists."""
    return Path(folder_paths.get_full_path_or_raise(folder, name))


def states_of(path: Path) -> str:
    """When a file of weights, and what describes it beside it, were changed last."""
    from ...checkpoints.described import path_beside  # which brings torch's layers along, and ComfyUI starts without

    states = (one.stat().st_mtime_ns for one in (path, path_beside(path)) if one.is_file())
    return "/".join(map(str, states))


def world_folder() -> Path:
    """Where worlds are saved: output/matrixgame."""
    return Path(folder_paths.get_output_directory()) / WORLD_FOLDER


def why_not_written(error: OSError, folder: Path) -> str:
    """A sentence on a folder of ComfyUI's output that took no file, and what to do."""
    return (
        f"{folder} cannot be written ({error.strerror or error}); check its rights and the free space, or start "
        "ComfyUI with another --output-directory."
    )


def cache_folder() -> Path:
    """Where World Cache keeps everything: output/matrixgame/cache."""
    return world_folder() / "cache"


def temporary_path() -> Path:
    """Where files live until ComfyUI is started again; the folder may not be there yet."""
    return Path(folder_paths.get_temp_directory()) / WORLD_FOLDER


def temporary_folder() -> Path:
    """That folder, made where it is missing."""
    folder = temporary_path()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
