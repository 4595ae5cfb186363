"""What a dataset is, by what lies in its folder."""

from __future__ import annotations

from pathlib import Path

from ...errors import DatasetError
from ...variants import Variant
from .clips import Dataset
from .pairs import find_fastvideo, find_gf_minecraft, find_pairs, is_gf_minecraft, list_of_fastvideo
from .read_lerobot import find_episodes, is_lerobot


def find_dataset(root: Path, variant: Variant | None = None) -> Dataset:
    """The clips of a folder. variant: of inputs that do not say it. Raises DatasetError where there is none."""
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}; name the folder of a dataset.")
    if is_lerobot(root):
        return find_episodes(root, variant)
    if list_of_fastvideo(root) is not None:
        found = find_fastvideo(root, variant)
    elif is_gf_minecraft(root):
        found = find_gf_minecraft(root, variant)
    else:
        found = find_pairs(root, variant)
    if not found.clips and not found.lost:
        raise DatasetError(
            f"There is no dataset in {root}: neither meta/info.json (LeRobot) nor films with inputs beside them."
        )
    return found
