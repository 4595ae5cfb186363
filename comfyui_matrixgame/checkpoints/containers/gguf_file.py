"""GGUF files: names, shapes and plain values read here, packed values unpacked by the `gguf` package.

The head is read here because the package builds an object for every value in it, however many there are.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...system.files import open_regular
from .tensors import LARGEST_HEADER, Damaged, TensorInfo, WeightsFile, checked_count, checked_shape, printable_name

MAGIC = b"GGUF"
ARCHITECTURE = "general.architecture"
_SHAPE = "comfy.gguf.orig_shape."  # of a tensor with more sides than the format allows
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_WIDTHS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_PLAIN = {0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64", 30: "bfloat16"}
# number in the file -> name, values in a block, bytes of it
_PACKED = {
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}
_UNKNOWN = "GGUF type {}"
PACKED_NAMES = frozenset(name for name, _, _ in _PACKED.values())


class _Head:
    """A reader of the file's head, which never goes beyond it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise Damaged("its head is cut short, or longer than that of any model of this program")
        self.at += count
        return part

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """A value of the metadata; None for long lists and lists of strings."""
        if kind == _STRING:
            return self.text()
        if kind in _WIDTHS:
            return self.number(_WIDTHS[kind])
        if kind != _ARRAY:
            raise Damaged("its metadata has values of an unknown type")
        inner, count = self.number("I"), self.number("Q")
        if inner in _WIDTHS:
            width = struct.calcsize("<" + _WIDTHS[inner])
            raw = self.take(count * width)
            return list(struct.unpack(f"<{count}{_WIDTHS[inner]}", raw)) if count <= 8 else None
        if inner != _STRING:
            raise Damaged("its metadata has lists of an unknown type")
        for _ in range(count):
            self.take(self.number("Q"))
        return None


def open_gguf(path: Path) -> WeightsFile:
    """Open a GGUF file. Raises Damaged or OSError."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = _Head(file.read(LARGEST_HEADER))
        metadata, entries = _read_head(head)
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if type(alignment) is not int or not 0 < alignment <= 1 << 16:
            raise Damaged("its alignment is not valid")
        begin = -(-head.at // alignment) * alignment
        places = {name: _place(name, entry, metadata, begin, size) for name, entry in entries.items()}
        mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)

    def read(name: str) -> Tensor:
        info, kind, offset, count = places[name]
        return _values(np.frombuffer(mapped, np.uint8, count, offset), kind).reshape(info.shape)

    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    infos = {name: info for name, (info, *_) in places.items()}
    unknown = sorted({kind for _, kind, *_ in places.values() if kind not in _PLAIN and kind not in _PACKED})
    packed = ", ".join(map(_UNKNOWN.format, unknown[:3]))
    return WeightsFile(path, infos, read, texts, packed=packed)


def package_is_there() -> bool:
    """Whether packed values can be read."""
    return importlib.util.find_spec("gguf") is not None


def _read_head(head: _Head) -> tuple[dict[str, Any], dict[str, tuple[list[int], int, int]]]:
    if head.take(4) != MAGIC or head.number("I") not in _VERSIONS:
        raise Damaged(f"it is GGUF of a version other than {' and '.join(map(str, _VERSIONS))}")
    tensors, values = head.number("Q"), head.number("Q")
    checked_count(tensors)
    checked_count(values)
    metadata = {}
    for _ in range(values):
        key = head.text()
        metadata[key] = head.value(head.number("I"))
    entries: dict[str, tuple[list[int], int, int]] = {}
    for _ in range(tensors):
        name, sides = head.text(), head.number("I")
        if name in entries or sides > 4:
            raise Damaged(f"{printable_name(name)} is named twice, or has too many sides")
        shape = [head.number("Q") for _ in range(sides)]
        entries[name] = shape[::-1], head.number("I"), head.number("Q")
    return metadata, entries


def _place(
    name: str, entry: tuple[list[int], int, int], metadata: dict[str, Any], begin: int, size: int
) -> tuple[TensorInfo, int, int, int]:
    """What a tensor is, the number of its kind, and where its bytes are and how many."""
    shape, kind, offset = checked_shape(entry[0], name), entry[1], entry[2]
    if kind in _PLAIN:
        dtype = _PLAIN[kind]
        count = math.prod(shape) * getattr(torch, dtype).itemsize
    elif kind in _PACKED:
        dtype, values, width = _PACKED[kind]
        if not shape or shape[-1] % values:
            raise Damaged(f"{printable_name(name)} does not fit blocks of {values}")
        count = math.prod(shape) // values * width
    else:
        dtype, count = _UNKNOWN.format(kind), 0
    original = metadata.get(_SHAPE + name)
    if original is not None:
        original = checked_shape(original, name)
        if math.prod(original) != math.prod(shape):
            raise Damaged(f"{printable_name(name)} has two shapes that do not agree")
        shape = original
    if begin + offset + count > size:
        raise Damaged(f"it ends before {printable_name(name)} does")
    return TensorInfo(shape, dtype), kind, begin + offset, count


def _values(raw: np.ndarray, kind: int) -> Tensor:
    """The values in raw bytes, one after the other; packed ones in float32."""
    if kind in _PLAIN:
        return torch.from_numpy(raw).view(getattr(torch, _PLAIN[kind]))
    if not package_is_there():
        raise Damaged(f"its {_PACKED[kind][0]} weights need the gguf package: pip install gguf")
    library = importlib.import_module("gguf")
    try:
        values = library.dequantize(raw.reshape(-1, _PACKED[kind][2]), library.GGMLQuantizationType(kind))
    except (NotImplementedError, AttributeError, ValueError):
        raise Damaged(f"the gguf package that is installed does not read {_PACKED[kind][0]}; update it") from None
    return torch.from_numpy(np.ascontiguousarray(values))
