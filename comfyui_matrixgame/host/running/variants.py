"""Variants in ComfyUI: those of the package, and those that a folder of the models directory describes."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...variants import add_folder, lasting_variants, refresh

FOLDER = "matrixgame_variants"  # in models, or where extra_model_paths.yaml says

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
for _folder in folder_paths.get_folder_paths(FOLDER):
    add_folder(_folder)


def variant_choices() -> list[str]:
    """The names of the variants that inputs can be written for; a description that came meanwhile is read."""
    refresh()
    return list(lasting_variants())
