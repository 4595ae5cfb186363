"""Named tensors in a file, whatever its format: names, shapes and dtypes first, values on demand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ...errors import CheckpointError
from ...system.files import readable_name

MOST_NAMES = 20_000  # of tensors in one file: a training checkpoint with its optimiser has about 6,000
LARGEST_HEADER = 8 << 20  # bytes of names and shapes: ours take 0.2 MB, a workflow in the metadata a few
MOST_SIDES = 8
LARGEST_SIDE = 1 << 40


class Damaged(Exception):
    """A file that is not what its format says. Its text is what is wrong: "its header is cut short"."""


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of a tensor in a file; the dtype by torch's name, or by its format's where torch has none."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass
class WeightsFile:
    """An open weights file: names with shapes, and tensors one at a time.

    path: of the file, or of the index of several. read: gives a tensor by its name. origin: which part of the file the
    tensors are from, in words, where it has several. packed: how its weights are packed, where they cannot be read.
    """

    path: Path
    tensors: dict[str, TensorInfo]
    read: Callable[[str], Tensor] = field(repr=False)
    metadata: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    packed: str = ""

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return readable_name(self.path)

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`, on the CPU; its data is read when it is used. Raises CheckpointError."""
        try:
            return self.read(name)
        except (Damaged, OSError, RuntimeError, ValueError, MemoryError) as error:
            raise CheckpointError(
                f"The tensor {printable_name(name)} of {self.name} cannot be read ({first_line(error)}); download the "
                "file again and compare its checksum."
            ) from None


def checked_shape(shape: object, of: str) -> tuple[int, ...]:
    """A shape from a file; raises Damaged where no tensor can have it."""
    if not isinstance(shape, (list, tuple)) or len(shape) > MOST_SIDES:
        raise Damaged(f"{printable_name(of)} has no shape")
    if not all(type(side) is int and 0 <= side <= LARGEST_SIDE for side in shape):
        raise Damaged(f"{printable_name(of)} has an impossible shape")
    return tuple(shape)


def checked_count(count: int) -> None:
    """Raises Damaged where a file names more tensors than any model has."""
    if count > MOST_NAMES:
        raise Damaged(f"it names {count:,} tensors, and no model of this program has more than {MOST_NAMES:,}")


def printable_name(name: str, longest: int = 100) -> str:
    """A tensor's name for a message: of one line, and not too long."""
    name = name[: longest + 1]
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= longest else name[:longest] + "..."


def first_line(error: BaseException) -> str:
    """The first line of an error's message, shortened."""
    lines = str(error).strip().splitlines()
    return printable_name(lines[0] if lines else type(error).__name__, 200)


def torch_dtype(name: str) -> torch.dtype | None:
    """The dtype of this name; None where torch has none."""
    dtype = getattr(torch, name, None)
    return dtype if isinstance(dtype, torch.dtype) else None


def is_weights(info: TensorInfo) -> bool:
    """Whether values of this dtype can be a network's weights."""
    dtype = torch_dtype(info.dtype)
    return dtype is None or dtype.is_floating_point


def merge_files(files: Mapping[str, WeightsFile]) -> tuple[dict[str, TensorInfo], Callable[[str], Tensor]]:
    """All tensors of several files, and what reads them. Raises Damaged where a name is in two of them."""
    tensors: dict[str, TensorInfo] = {}
    sources: dict[str, WeightsFile] = {}
    for file in files.values():
        for name, info in file.tensors.items():
            if name in tensors:
                raise Damaged(f"{printable_name(name)} is in {sources[name].name} and in {file.name}")
            tensors[name], sources[name] = info, file
    return tensors, lambda name: sources[name].tensor(name)
