"""Weights in several files: a folder, an index, or one part of several, such as NAME-00002-of-00005."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ...errors import CheckpointError
from ...system.files import read_bytes, readable_name
from ...system.words import counted
from .tensors import LARGEST_HEADER, MOST_NAMES, printable_name

INDEX = ".index.json"
WEIGHTS = (".safetensors", ".sft", ".gguf", ".pt", ".pth", ".ckpt", ".bin")  # in order of preference
DISTRIBUTED = ".distcp"  # the ending of one process's part of a distributed checkpoint
MAKE_ONE = "make one file of it with `python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE`"
_SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})(\.[a-z]+)", re.DOTALL)
_MOST_FILES = 1000
_MOST_ENTRIES = 20_000  # of a folder that are read


def find_weights(path: Path, part: str) -> Path:
    """The weights file, index or shard that a path stands for; part: the folder of a Diffusers model that is wanted.

    Raises CheckpointError where a folder holds none, or several.
    """
    if not path.is_dir():
        if path.suffix == DISTRIBUTED:
            raise CheckpointError(f"{readable_name(path)} is a part of a distributed checkpoint; {MAKE_ONE}.")
        return path
    if (path / part).is_dir():
        path = path / part
    entries = []
    with os.scandir(path) as found:
        for entry in found:
            entries.append(Path(entry.path))
            if len(entries) > _MOST_ENTRIES:
                break
    files = sorted(entry for entry in entries if entry.suffix in WEIGHTS)
    indices = sorted(entry for entry in entries if entry.name.endswith(INDEX))
    name = readable_name(path)
    if len(indices) == 1:
        return indices[0]
    best = next((suffix for suffix in WEIGHTS if any(file.suffix == suffix for file in files)), None)
    files = [file for file in files if file.suffix == best]
    sets = {shard.group(1, 3) if (shard := _SHARD.fullmatch(file.name)) else file.name for file in files}
    if len(sets) == 1:
        return files[0]
    if files:
        some = ", ".join(readable_name(file) for file in files[:3])
        raise CheckpointError(f"{name} is a folder with several weights files ({some}, ...); name one of them.")
    raise CheckpointError(f"{name} is a folder without weights; {_instead({entry.name for entry in entries})}.")


def _instead(names: set[str]) -> str:
    """What to do with a folder that has entries of these names and no weights."""
    if any(name.endswith(DISTRIBUTED) for name in names):
        return f"it is a distributed checkpoint: {MAKE_ONE}"
    if "zero_to_fp32.py" in names or any(name.startswith("global_step") for name in names):
        return "it is a checkpoint of DeepSpeed: make one file of it with its zero_to_fp32.py"
    if {"blobs", "snapshots"} <= names:
        return "it is a model in the hub's cache: name a folder in its snapshots"
    return "name the weights file, or the folder that it is in"


def shards_of(path: Path) -> tuple[Path, dict[str, str] | None, list[Path]] | None:
    """The path that stands for several files, the file of each tensor where an index has it, and the files. None where
    a path names one whole file. Raises CheckpointError where files are missing, or an index cannot be read."""
    if path.name.endswith(INDEX):
        return _indexed(path)
    shard = _SHARD.fullmatch(path.name)
    if shard is None:
        return None
    stem, _, count, suffix = shard.groups()
    index = path.with_name(stem + suffix + INDEX)
    if index.is_file():
        return _indexed(index)
    total = int(count)
    if not 1 <= total <= _MOST_FILES:
        return None
    files = [path.with_name(f"{stem}-{number:05}-of-{count}{suffix}") for number in range(1, total + 1)]
    _check_there(path, files)
    return path, None, files


def _indexed(index: Path) -> tuple[Path, dict[str, str], list[Path]]:
    name = readable_name(index)
    try:
        about = json.loads(read_bytes(index, LARGEST_HEADER))
        names = about["weight_map"]
        if not isinstance(names, dict) or not 0 < len(names) <= MOST_NAMES:
            raise ValueError("no names")
        if not all(isinstance(file, str) and file for file in names.values()):
            raise ValueError("no files")
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(
            f"{name} is not an index of weights files (it has no weight_map of names and files); name the weights file "
            "itself, or download the index again."
        ) from None
    files = sorted(set(names.values()))
    foreign = next((file for file in files if Path(file).name != file or "\\" in file or file in (".", "..")), None)
    if foreign is not None or len(files) > _MOST_FILES:
        raise CheckpointError(
            f"{name} names {printable_name(foreign or '')!r}, which is not a file beside it; the parts of a model "
            "must lie in one folder."
        )
    paths = [index.with_name(file) for file in files]
    _check_there(index, paths)
    return index, names, paths


def _check_there(path: Path, files: list[Path]) -> None:
    missing = [file.name for file in files if not file.exists()]
    if missing:
        some = ", ".join(printable_name(name) for name in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise CheckpointError(
            f"{readable_name(path)} belongs to {counted(len(files), 'file')}, of which {len(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing ({some}); put all of a model's files into one folder."
        )
