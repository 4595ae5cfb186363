"""PyTorch files: read by torch with `weights_only`, after a check of how much they would make it build."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ...system.files import open_regular
from ..names import CONTAINERS
from .tensors import LARGEST_HEADER, Damaged, TensorInfo, WeightsFile, checked_count, first_line, printable_name

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
_MOST_STEPS = 250_000  # of building: a file with optimiser takes 150,000, and torch 10 microseconds for each
_MOST_SHARED = 5_000_000  # objects, if nothing were shared: hashing a tuple visits all of them
_PICKLES = 5  # in a file of the old format, before its data
_DIRECTORY = 4 << 20  # bytes of a zip file's list of files
_DEEPEST = 8  # dicts in dicts


class HoldsCode(Exception):
    """A file with Python objects other than tensors."""


class NoTensors(Exception):
    """A file that does not hold named tensors."""


def open_pickled(path: Path) -> WeightsFile:
    """Open a file of named tensors. Raises Damaged, HoldsCode, NoTensors or OSError."""
    state, origin = _named_tensors(load_pickled(path))
    tensors = {str(name): value for name, value in state.items()}
    checked_count(len(tensors))
    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise Damaged(f"{printable_name(name)} is not a plain tensor")
        if value.numel() * value.itemsize > value.untyped_storage().nbytes():
            raise Damaged(f"{printable_name(name)} claims more values than it has")
    infos = {name: TensorInfo(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in tensors.items()}
    return WeightsFile(path, infos, lambda name: tensors[name].detach(), {}, origin)


def load_pickled(path: Path) -> Any:
    """The tensors and plain values that a file holds. Raises Damaged, HoldsCode or OSError."""
    with open_regular(path) as file:
        zipped = file.read(4) == ZIP
        _check_zip(file) if zipped else _check_old(file)
    return _load(path, zipped)


def _load(path: Path, zipped: bool) -> Any:
    source: Any = path
    if path.suffix == ".safetensors" or not _is_utf8(path):
        source, zipped = open_regular(path), False  # torch goes by the ending, and opens only names in UTF-8
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower() or "reduce" in str(error) or "weights_only" in str(error):
            raise HoldsCode from None
        raise Damaged(first_line(error)) from None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes torch raise
        raise Damaged(first_line(error)) from None
    finally:
        if source is not path:
            source.close()


def _is_utf8(path: Path) -> bool:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_zip(file: BinaryIO) -> None:
    """Raises Damaged for an archive that would take much to read, or that torch did not write."""
    size = os.fstat(file.fileno()).st_size
    if _directory_bytes(file, size) > _DIRECTORY:
        raise Damaged("it holds too many files")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise Damaged("it is a compressed archive, not a PyTorch file")
            records = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
            if not records:
                raise Damaged("it is an archive, not a PyTorch file")
            if sum(entry.file_size for entry in entries) > size:
                raise Damaged("its parts are longer than it is")
            for entry in records:
                if entry.file_size > LARGEST_HEADER:
                    raise Damaged(f"its names and shapes take {entry.file_size >> 20} MB")
                _check_steps(io.BytesIO(archive.read(entry)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
        raise Damaged(first_line(error)) from None


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """Bytes of a zip file's list of files; 0 where none is found."""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return 0
    (length,) = struct.unpack_from("<I", tail, end + 12)
    large = tail.rfind(b"PK\x06\x06", 0, end)
    if length == 0xFFFFFFFF and large >= 0 and len(tail) >= large + 48:
        (length,) = struct.unpack_from("<Q", tail, large + 40)
    return length


def _check_old(file: BinaryIO) -> None:
    """Raises Damaged for a file of the old format, several pickles and then data, that would take much to build."""
    file.seek(0)
    start = io.BytesIO(file.read(LARGEST_HEADER))
    for _ in range(_PICKLES):
        if start.tell() == len(start.getvalue()):
            return
        _check_steps(start)


def _check_steps(stream: io.BytesIO) -> None:
    """Raises Damaged where a pickle takes too many steps to build, or hides a huge object behind shared parts.

    Each item on the stack is counted as if nothing in it were shared.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    shared = 0
    try:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if steps > _MOST_STEPS:
                raise Damaged("it takes too many steps to build")
            if opcode.name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
                memo[len(memo) if argument is None else argument] = stack[-1]
                continue
            if opcode.name in ("BINGET", "LONG_BINGET", "GET"):
                stack.append(memo[argument])
                shared += stack[-1]
            elif opcode.name == "MARK":
                marks.append(len(stack))
            else:
                _apply(opcode, stack, marks)
            if shared > _MOST_SHARED:
                raise Damaged("it takes too many steps to build")
    except (ValueError, IndexError, KeyError, UnicodeError, OverflowError) as error:
        raise Damaged(first_line(error)) from None


def _apply(opcode: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> None:
    before = opcode.stack_before
    keep = len(stack)
    if pickletools.markobject in before:
        keep = marks.pop() - before.index(pickletools.markobject)
    elif before:
        keep -= len(before)
    if keep < 0:
        raise ValueError("a pickle takes more than it has")
    weight = 1 + sum(stack[keep:])
    del stack[keep:]
    stack.extend([weight] * len(opcode.stack_after))


def _named_tensors(state: Any) -> tuple[Mapping[Any, Tensor], str]:
    """The tensors of what a file holds, by name, and which part of it they are. Raises NoTensors."""
    with_tensors = _dicts_with_tensors(state)
    path: list[str] = []
    beside: list[str] = []
    while isinstance(state, dict) and len(path) < _DEEPEST:
        parts = [name for name, value in state.items() if id(value) in with_tensors]
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        usual = [name for name in CONTAINERS if name in parts]
        if tensors and not usual:
            return tensors, f"{'.'.join(path)}, beside {', '.join(beside)}" if beside else ""
        if not usual and len(parts) != 1:
            break
        chosen = usual[0] if usual else parts[0]
        beside += [printable_name(str(name)) for name in parts if name != chosen]
        path.append(printable_name(str(chosen)))
        state = state[chosen]
    raise NoTensors


def _dicts_with_tensors(root: Any) -> set[int]:
    """The ids of all dicts in dicts that have a tensor in them, at any depth."""
    parents: dict[int, list[int]] = {id(root): []}
    found, left = [], [root] if isinstance(root, dict) else []
    while left:
        state = left.pop()
        if any(isinstance(value, Tensor) for value in state.values()):
            found.append(id(state))
        for value in state.values():
            if isinstance(value, dict):
                if id(value) not in parents:
                    parents[id(value)] = []
                    left.append(value)
                parents[id(value)].append(id(state))
    with_tensors: set[int] = set()
    while found:
        name = found.pop()
        if name not in with_tensors:
            with_tensors.add(name)
            found += parents[name]
    return with_tensors
