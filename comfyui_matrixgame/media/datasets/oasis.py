"""Actions of Open-Oasis beside a film: a tensor [T, 25] as its `one_hot_actions` makes it of VPT's recordings.

Columns are keys, held or not, and the camera's pitch and yaw, down and right, from -1 to 1. Up to 20 degrees a frame
are stored in 40 steps to each side, finer around 0: |v| = ln(1 + MU |x|) / ln(1 + MU) of x in units of 20 degrees
(github.com/etched-ai/open-oasis, issues 9 and 35).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...actions.check_document import MAX_FRAMES
from ...actions.formats.imported import Notes, keyboard_of
from ...checkpoints.containers.pickles import HoldsCode, load_pickled
from ...checkpoints.containers.tensors import Damaged
from ...errors import DatasetError
from ...system.text_files import cannot_be_read
from ...variants import Variant
from .clips import ClipInputs, inputs_of_arrays

ENDINGS = (".one_hot_actions.pt", ".actions.pt")  # the first is read, of the second is said how to make it
KEYS = {11: "w", 12: "s", 13: "a", 14: "d", 17: "jump", 18: "sneak", 19: "sprint", 21: "attack", 22: "use"}
PITCH, YAW, COLUMNS = 15, 16, 25
MU, MOST_DEGREES = 2.7, 20


def read_oasis(path: Path, variant: Variant) -> ClipInputs:
    """The inputs of a file, a row for each frame. Raises DatasetError."""
    rows = _rows_of(path)
    notes = Notes()
    held = [[name for column, name in KEYS.items() if row[column] > 0.5] for row in rows]
    degrees = np.stack([-_degrees(rows[:, PITCH]), _degrees(rows[:, YAW])], axis=1)
    keyboard = keyboard_of(held, variant, notes)
    return inputs_of_arrays(keyboard, degrees / variant.camera.unit, variant, notes.all())


def _rows_of(path: Path) -> np.ndarray:
    """[T, 25]"""
    try:
        found: Any = load_pickled(path)
    except OSError as error:
        raise DatasetError(cannot_be_read(path.name, error)) from None
    except Damaged as error:
        raise DatasetError(f"{path.name} is no readable PyTorch file: {error}.") from None
    except HoldsCode:
        found = None
    if not isinstance(found, torch.Tensor):
        better = path.name.removesuffix(ENDINGS[1]).removesuffix(ENDINGS[0]) + ENDINGS[0]
        raise DatasetError(
            f"{path.name} holds Python objects, which are never loaded; save the tensor that Open-Oasis's own "
            f"one_hot_actions makes of it as {better}."
        )
    if found.ndim != 2 or found.shape[1] != COLUMNS or not 0 < len(found) <= MAX_FRAMES or found.is_complex():
        raise DatasetError(f"{path.name} is of shape {list(found.shape)}, and Open-Oasis's actions are [T, {COLUMNS}].")
    rows = found.double().numpy()
    if not np.isfinite(rows).all() or abs(rows[:, [PITCH, YAW]]).max() > 1.001:
        raise DatasetError(f"{path.name} has a camera beyond -1 to 1; save what one_hot_actions makes.")
    return rows


def _degrees(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * MOST_DEGREES * ((1 + MU) ** abs(values) - 1) / MU
