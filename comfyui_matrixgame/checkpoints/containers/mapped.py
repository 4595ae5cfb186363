"""Safetensors files: a header that is checked before anything is built from it, and tensors mapped from the disk.

Read here and not by the library, which refuses bytes after the last tensor and paths that are not UTF-8, and which
accepts a header of any size.
"""

from __future__ import annotations

import itertools
import json
import math
import mmap
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ...system.files import open_regular
from .tensors import LARGEST_HEADER, Damaged, TensorInfo, WeightsFile, checked_count, checked_shape, printable_name

# dtype in a header -> torch's name, bits of a value
_DTYPES = {
    "F64": ("float64", 64),
    "F32": ("float32", 32),
    "F16": ("float16", 16),
    "BF16": ("bfloat16", 16),
    "F8_E4M3": ("float8_e4m3fn", 8),
    "F8_E5M2": ("float8_e5m2", 8),
    "F8_E8M0": ("float8_e8m0fnu", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F6_E2M3": ("F6_E2M3", 6),
    "F6_E3M2": ("F6_E3M2", 6),
    "F4": ("F4", 4),
    "C64": ("complex64", 64),
    "I64": ("int64", 64),
    "U64": ("uint64", 64),
    "I32": ("int32", 32),
    "U32": ("uint32", 32),
    "I16": ("int16", 16),
    "U16": ("uint16", 16),
    "I8": ("int8", 8),
    "U8": ("uint8", 8),
    "BOOL": ("bool", 8),
}
_METADATA = "__metadata__"
_OFFSETS = b'"data_offsets"'
_MOST_BRACKETS = 300_000  # three for each name, and those of a workflow in the metadata


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins with `head` (9 bytes or more) is one of these."""
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8


def open_mapped(path: Path) -> WeightsFile:
    """Open a safetensors file. Raises Damaged or OSError."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        header, begin = _read_header(file, size)
        places = _check(header, size - begin)
        mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)  # tensors may be written to; the file is not

    def read(name: str) -> Tensor:
        info, offset = places[name]
        return _tensor(mapped, info, begin + offset)

    metadata = header.get(_METADATA)
    texts = metadata.items() if isinstance(metadata, dict) else ()
    return WeightsFile(
        path, {name: info for name, (info, _) in places.items()}, read, {k: v for k, v in texts if isinstance(v, str)}
    )


def _read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header, and where the data begins."""
    start = file.read(8)
    if len(start) < 8:
        raise Damaged(f"it has only {len(start)} bytes")
    (length,) = struct.unpack("<Q", start)
    if length > size - 8:
        raise Damaged("its header is cut short, or it is of another format")
    if length > LARGEST_HEADER:
        raise Damaged(f"its names and shapes take {length >> 20} MB, more than those of any model of this program")
    raw = file.read(length)
    checked_count(raw.count(_OFFSETS))
    if raw.count(b"[") + raw.count(b"{") > _MOST_BRACKETS:
        raise Damaged("its header holds more than names and shapes")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise Damaged("its header is not JSON") from None
    if not isinstance(header, dict):
        raise Damaged("its header holds no names")
    checked_count(len(header))
    if raw.count(_OFFSETS) > len(header) - (_METADATA in header):
        raise Damaged("its header names a tensor twice")
    return header, 8 + length


def _check(header: dict[str, Any], size: int) -> dict[str, tuple[TensorInfo, int]]:
    """Name -> what it is and where its data begins, in a file with `size` bytes of data."""
    places: dict[str, tuple[TensorInfo, int]] = {}
    spans = []
    for name, entry in header.items():
        if name == _METADATA:
            continue
        info, begin, end = _entry(name, entry)
        if end > size:
            raise Damaged(
                f"it ends before {printable_name(name)} does: {end:,} bytes of data are declared, {size:,} are there"
            )
        places[name] = info, begin
        spans.append((begin, end, name))
    spans.sort()
    for (_, end, name), (begin, _, other) in itertools.pairwise(spans):
        if begin < end:
            raise Damaged(f"{printable_name(name)} and {printable_name(other)} overlap")
    return places


def _entry(name: str, entry: Any) -> tuple[TensorInfo, int, int]:
    if not isinstance(entry, dict):
        raise Damaged(f"{printable_name(name)} has no shape")
    kind, offsets = entry.get("dtype"), entry.get("data_offsets")
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise Damaged(
            f"{printable_name(name)} is stored as {printable_name(str(kind), 20)}, which this program does not read"
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        raise Damaged(f"{printable_name(name)} has no valid offsets")
    shape, (begin, end), (dtype, bits) = checked_shape(entry.get("shape"), name), offsets, _DTYPES[kind]
    if not 0 <= begin <= end or (end - begin) * 8 != bits * math.prod(shape):
        raise Damaged(f"the offsets of {printable_name(name)} do not fit its shape")
    return TensorInfo(shape, dtype), begin, end


def _tensor(mapped: mmap.mmap, info: TensorInfo, offset: int) -> Tensor:
    dtype = getattr(torch, info.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise Damaged(f"it is stored as {info.dtype}, which this torch does not have")
    if not info.size:
        return torch.empty(info.shape, dtype=dtype)
    flat = torch.frombuffer(mapped, dtype=torch.uint8, count=info.size * dtype.itemsize, offset=offset)
    if offset % dtype.itemsize:
        flat = flat.clone()  # not every processor reads unaligned values
    return flat.view(dtype).reshape(info.shape)
