"""FastVideo's files of actions: one pickled dict in a .npy, `keyboard` [T, keys] and `mouse` [T, 2], or plain keys.

A pickle can run any code; this one is read by an unpickler that knows arrays, dicts and nothing else.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ...errors import DatasetError
from ...system.files import open_regular
from ...variants import Variant
from .clips import ClipInputs, inputs_of_arrays

ARRAYS = {
    ("numpy", "dtype"), ("numpy", "ndarray"),
    *((module, name) for module in ("numpy.core.multiarray", "numpy._core.multiarray")
      for name in ("_reconstruct", "scalar")),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"), ("_codecs", "encode"),
}  # fmt: skip


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which no actions are made of")
        return super().find_class(module, name)


def read_action_arrays(path: Path, variant: Variant) -> ClipInputs:
    """The inputs of a file, a row for each frame; keys stand in the variant's order. Raises DatasetError."""
    found = load_actions(path)
    keyboard, mouse = found.get("keyboard"), found.get("mouse")
    rows = len(keyboard if keyboard is not None else mouse if mouse is not None else ())
    keyboard = np.zeros((rows, len(variant.keys))) if keyboard is None else keyboard
    if keyboard.ndim != 2 or keyboard.shape[1] < len(variant.keys) or (mouse is not None and mouse.shape[1:] != (2,)):
        raise DatasetError(
            f"{path.name} needs keyboard [T, {len(variant.keys)}] and mouse [T, 2], and has {_shapes(found)}."
        )
    notes = []
    if keyboard[:, len(variant.keys) :].any():
        notes.append(f"Keys beyond the first {len(variant.keys)} mean nothing to {variant.name}.")
    return inputs_of_arrays(keyboard[:, : len(variant.keys)], mouse, variant, notes)


def load_actions(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by their names. Raises DatasetError."""
    try:
        with open_regular(path) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            _, _, dtype = read(file)
            if not dtype.hasobject:
                file.seek(0)
                return {"keyboard": np.load(file, allow_pickle=False)}
            value = _Arrays(file).load()
        value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
        if not isinstance(value, dict):
            raise ValueError("it is no dict of arrays")
        arrays = {str(name): np.asarray(array) for name, array in value.items()}
        if any(array.dtype.kind not in "biuf" for array in arrays.values()):
            raise ValueError("it holds more than arrays of numbers")
    except Exception as error:  # pickles raise anything
        raise DatasetError(f"{path.name} cannot be read as actions: {str(error).rstrip('.')}.") from None
    return arrays


def _shapes(arrays: dict[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()) or "nothing"
