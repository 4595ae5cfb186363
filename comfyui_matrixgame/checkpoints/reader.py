"""Reading weights files without trusting them and without loading more than is asked for."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
}


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of a tensor in a file; the dtype by torch's name."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of values."""
        size = 1
        for side in self.shape:
            size *= side
        return size


class WeightsFile:
    """An open weights file: names with shapes, and tensors one at a time, memory-mapped."""

    def __init__(self, path: Path, tensors: dict[str, TensorInfo], source: Any, metadata: dict[str, str]) -> None:
        self.path = path
        self.tensors = tensors
        self.metadata = metadata
        self._source = source

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`, on the CPU; its data is read when it is used."""
        return self._source[name] if isinstance(self._source, dict) else self._source.get_tensor(name)


@contextmanager
def open_weights(path: str | Path) -> Iterator[WeightsFile]:
    """Open a .safetensors or PyTorch file. Raises CheckpointError that says what is wrong with it."""
    path = Path(path)
    _check_plausible(path)
    if zipfile.is_zipfile(path) or path.suffix in (".pth", ".pt", ".ckpt", ".bin"):
        yield _open_pickle(path)
        return
    try:
        file = safe_open(str(path), framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or incomplete ({error}); download it again and compare its checksum."
        ) from None
    with file as handle:
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118 (not a mapping)
        tensors = {
            name: TensorInfo(tuple(part.get_shape()), _DTYPES.get(str(part.get_dtype()), str(part.get_dtype())))
            for name, part in slices.items()
        }
        yield WeightsFile(path, tensors, handle, handle.metadata() or {})


def _open_pickle(path: Path) -> WeightsFile:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path.name} holds Python objects other than tensors, which can run code, so it was not loaded; "
            "use the .safetensors file of the same model."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or incomplete ({str(error).splitlines()[0]}); download it again."
        ) from None
    while isinstance(state, dict) and len(state) <= 4 and isinstance(inner := _first_mapping(state), dict):
        state = inner
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name} is not a file of named tensors; use a weights file of the model.")
    tensors = {
        str(name): TensorInfo(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in state.items()
    }
    return WeightsFile(path, tensors, {str(name): value for name, value in state.items()}, {})


def _first_mapping(state: dict[str, Any]) -> Any:
    return next((state[name] for name in ("state_dict", "model", "module") if isinstance(state.get(name), dict)), None)


def _check_plausible(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"There is no file {path}; check the path, or get it with `matrixgame download`.")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name the weights file inside it.")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise CheckpointError(f"{path.name} is empty (0 bytes); download it again.")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path.name} is a git-lfs pointer, not the file itself; run `git lfs pull` or download it."
        )
    if head.lstrip()[:1] == b"<":
        raise CheckpointError(f"{path.name} is a web page, not a weights file; the download went wrong, try it again.")
