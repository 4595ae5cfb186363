"""One file of the block store: named tensors and a note, with a checksum over all of it.

    8 bytes   magic; the last one is the format's version
    4 bytes   length of the header, little endian
    header    JSON: {"key": the file's name, "note": {...}, "tensors": [[name, dtype, shape], ...]}
    payload   the tensors' bytes, one after the other
    32 bytes  BLAKE2b of everything before

The name in the header is what the record was written under, so that no file stands for another; records of before
have none. A file appears under its name only when all of it is on the disk. While it is written it has another name
and is locked, so that what a killed process left behind can be told from what a living one is writing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from torch import Tensor

from ..checkpoints.containers.tensors import Damaged, checked_shape
from ..system.files import NotARegularFile, new_locked, open_regular, take_place, try_lock

try:
    import fcntl
except ImportError:  # Windows refuses to delete a file that is open, which is all that the lock is for
    fcntl = None

MAGIC = b"MGBLOCK"
VERSION = 1
PART = ".part"
_CHUNK = 1 << 24
_LARGEST_HEADER = 8 << 20
_MOST_TENSORS = 10_000
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int64, torch.bool)
}


@dataclass(frozen=True)
class Record:
    """Tensors in main memory, by name, and a note of plain JSON values."""

    tensors: Mapping[str, Tensor]
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory of its tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


Fits = Callable[[Record], bool]
"""Whether a record, whose tensors may have no values, holds what is looked for."""


class RecordStore(Protocol):
    """Where records are kept, by kind and key.

    memory_bytes: what may be kept in memory.
    """

    memory_bytes: float

    def has(self, kind: str, key: str) -> bool:
        """Whether there is such a record; it may still turn out to be damaged."""
        ...

    def on_disk(self, kind: str, key: str) -> bool:
        """Whether such a record outlives this process."""
        ...

    def get(self, kind: str, key: str, fits: Fits | None = None) -> Record | None:
        """A record; its tensors must not be written to. None where there is none, or none that fits."""
        ...

    def put(self, kind: str, key: str, record: Record, spare: bool = False) -> None:
        """Keep a record. spare: only in memory, and the first to go when that is full."""
        ...

    def drop(self, kind: str, key: str) -> None:
        """Forget one record."""
        ...

    def worth_keeping(self, nbytes: int) -> bool:
        """Whether a record that is only there to save time fits well into the memory budget."""
        ...


class DamagedRecord(Exception):
    """The file is not what was written: cut short, or with other bytes."""


class OtherVersion(Exception):
    """The file was written by another version of this format."""


def write_record(path: Path, record: Record) -> int:
    """Write a record so that it is there whole or not at all; returns its size in bytes. Raises OSError."""
    part = path.with_name(f"{uuid.uuid4().hex}{PART}")
    try:
        with _new_locked(part) as file:
            size = _write(file, record, path.name)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:
                os.replace(part, path)  # while it is locked, so that no sweep takes it
        if fcntl is None:
            take_place(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return size


def read_record(path: Path, fits: Fits | None = None) -> Record:
    """Read a record and check it. fits: whether it holds what it should, by names, shapes and note; it is asked with
    tensors without values, before any are read. Raises FileNotFoundError, OSError, DamagedRecord or OtherVersion."""
    with open_regular(path) as file:
        left = os.fstat(file.fileno()).st_size
        digest = hashlib.blake2b(digest_size=32)
        start = _take(file, 12, digest)
        if start[:7] != MAGIC:
            raise DamagedRecord(path.name)
        if start[7] != VERSION:
            raise OtherVersion(f"format {start[7]}")
        (length,) = struct.unpack("<I", start[8:])
        if length > min(left, _LARGEST_HEADER):
            raise DamagedRecord(path.name)
        raw = _take(file, length, digest)
        try:
            header = json.loads(raw)
            entries = [
                (str(name), _DTYPES[kind], checked_shape(shape, name)) for name, kind, shape in header["tensors"]
            ]
            note = header["note"]
            expected = 12 + length + 32 + sum(kind.itemsize * math.prod(shape) for _, kind, shape in entries)
            names = {name for name, _, _ in entries}
            if expected != left or not len(names) == len(entries) <= _MOST_TENSORS or not isinstance(note, dict):
                raise DamagedRecord(path.name)
            if header.get("key", path.name) != path.name:
                raise DamagedRecord(path.name)
            if fits is not None and not fits(
                Record({name: _empty(kind, shape) for name, kind, shape in entries}, note)
            ):
                raise DamagedRecord(path.name)
            tensors = {name: _read_tensor(file, kind, shape, digest) for name, kind, shape in entries}
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, Damaged) as error:
            raise DamagedRecord(path.name) from error
        if file.read(32) != digest.digest():
            raise DamagedRecord(path.name)
    return Record(tensors, note)


def sweep_parts(folder: Path, ours: str = f"*{PART}") -> int:
    """Delete what killed processes left half written, except videos, which the next run continues, and anything that
    is not a file; returns how many were deleted. ours: a pattern of names."""
    swept = 0
    for part in folder.glob(ours):
        if part.name.endswith(f".mp4{PART}"):
            continue
        try:
            with open_regular(part) as file:
                try_lock(file)
                if fcntl is not None:
                    part.unlink()  # while it is locked: from then on it may be another process's
            if fcntl is None:
                part.unlink()
            swept += 1
        except NotARegularFile:
            swept += remove_odd(part)
        except OSError:
            continue  # a living process writes it, or the folder is read-only
    return swept


def remove_odd(path: Path) -> bool:
    """Delete a pipe, a socket or a link that has the name of a file of ours, whether that was possible."""
    try:
        if path.is_dir() and not path.is_symlink():
            return False
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def claim_file(path: Path) -> BinaryIO | None:
    """An empty file that stands for something only one process may do: open while that is done, swept after its
    death. None where another process has it. The name must end with PART. Raises OSError."""
    sweep_parts(path.parent, path.name)
    try:
        return _new_locked(path)
    except FileExistsError:
        return None


def _write(file: BinaryIO, record: Record, key: str) -> int:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in record.tensors.items()}
    entries = [[name, str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()]
    header = json.dumps({"key": key, "note": dict(record.note), "tensors": entries}).encode()
    digest = hashlib.blake2b(digest_size=32)
    start = MAGIC + bytes([VERSION]) + struct.pack("<I", len(header)) + header
    for part in (start, *(_bytes(tensor) for tensor in tensors.values())):
        for begin in range(0, len(part), _CHUNK):
            piece = part[begin : begin + _CHUNK]
            digest.update(piece)
            file.write(piece)
    file.write(digest.digest())
    return file.tell()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.flatten().view(torch.uint8).numpy().data if tensor.numel() else memoryview(b"")


def _read_tensor(file: BinaryIO, dtype: torch.dtype, shape: tuple[int, ...], digest: Any) -> Tensor:
    flat = torch.empty(dtype.itemsize * math.prod(shape), dtype=torch.uint8)
    view = flat.numpy().data
    for begin in range(0, len(view), _CHUNK):
        piece = view[begin : begin + _CHUNK]
        if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]
            raise DamagedRecord(file.name)
        digest.update(piece)
    return flat.view(dtype).reshape(shape)


def _empty(dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _take(file: BinaryIO, count: int, digest: Any) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise DamagedRecord(file.name)
    digest.update(data)
    return data


def _new_locked(path: Path) -> BinaryIO:
    while (file := new_locked(path)) is None:
        continue
    return file


def _sync_folder(folder: Path) -> None:
    """Make the new name last, where the system lets a folder be synced."""
    if fcntl is None:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
