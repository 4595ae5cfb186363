"""The weights of a job file: found, estimated, loaded once, and recognised without being loaded."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from ...checkpoints import inspect_file, load_vision
from ...checkpoints.load import compute_dtype, storage_dtype
from ...checkpoints.reader import open_weights
from ...checkpoints.tables.vision_names import vision_name
from ...errors import BatchError, MatrixGameError
from ...memory import MemoryEstimate
from ...variants import Tried, Variant
from ...weights import Files, estimate_for, find_files, load_models
from ...world import Models
from ...world.models import network_id
from .patterns import home_path
from .settings import JobFile
from .task import ModelIds


def files_for(jobs: JobFile, wanted: str | Variant, device: torch.device) -> Files:
    """The weights for a variant, looked at; raises BatchError that names the job file's line.

    wanted: its name; or the variant that another machine found, which may have a description that is not here.
    """
    chosen = wanted.own if isinstance(wanted, Variant) else None
    variant = wanted if isinstance(wanted, str) else wanted.name
    paths, where = jobs.models, f"{jobs.path.name}, line {jobs.models.line}"
    generator = paths.generators.get(variant) or paths.generators.get("")
    if paths.is_demo:
        generator = None
    elif generator is None or paths.vae is None:
        raise BatchError(
            f"{where}: models needs a generator for {variant}, a vae and a clip, which `matrixgame download {variant}` "
            "fetches, or nothing at all for the demo world."
        )
    folder = jobs.path.parent
    try:
        files = find_files(
            _locate(generator, folder),
            _locate(paths.vae, folder),
            _locate(paths.clip, folder),
            _locate(paths.decoder, folder),
            paths.dtype,
            device,
            chosen=chosen,
        )
        files = files.with_loras([str(_locate(lora, folder)) for lora in paths.loras]).trying(_tried(wanted))
        found = files.variant.name
        if files.vision is not None and not _tower_weights(files.vision):
            raise MatrixGameError(f"clip: {files.vision.name} is not a CLIP image tower (clip_vision_h).")
        if files.decoder is not None and not inspect_file(files.decoder).complete:
            raise MatrixGameError(f"{files.decoder.name} is not a whole tiny decoder.")
    except (MatrixGameError, OSError) as error:
        raise BatchError(f"{where}: {error}") from None
    if found != variant:
        raise BatchError(
            f"{where}: {files.generator.path.name} is a generator of {found}, and the jobs are for {variant}; write "
            f"`variants: {found}`, or name another file."
        )
    return files


def _tried(wanted: str | Variant) -> Tried:
    """What is in place of the variant's own where another machine found it: steps of a LoRA."""
    if isinstance(wanted, str) or wanted.described_as is None:
        return Tried()
    return Tried(wanted.steps, wanted.window, wanted.sink, wanted.keeps)


def variant_in_file(path: str, folder: Path) -> str | None:
    """The variant of a generator's file, where it can be read."""
    try:
        variant = inspect_file(_locate(path, folder) or path).variant
    except (MatrixGameError, OSError):  # of a name that no disk takes
        return None
    return None if variant is None else variant.name


def load_all(files: Files, attention: str) -> Models:
    """Every network of a variant, image tower included: it stays, so that any job may start."""
    models = load_models(files, attention)
    if files.vision is not None:
        models.vision = load_vision(files.vision, files.dtype, files.device)
    return models


def files_signature(files: Files) -> str:
    """Stands for the files and the dtypes that they are computed in, without reading weights."""
    parts: list[object] = [files.dtype, files.device.type]
    loras = [lora.file.path for lora in files.loras]
    for path in (files.generator.path, files.vae.path, files.vision, files.decoder, *loras):
        if path is not None:
            state = Path(path).stat()
            parts.append((Path(path).name, state.st_size, state.st_mtime_ns))
    parts.append(compute_dtype(storage_dtype(files.dtype, files.generator.dtype), files.device))
    parts += [lora.strength for lora in files.loras]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def timing_signature(files: Files, jobs: JobFile) -> str:
    """Stands for what decides how long a block takes and how large its files are."""
    steps = "" if files.variant.described_as is None else f"/{files.variant.settings}"
    return f"{files_signature(files)}/{jobs.size}/{jobs.worlds}/{jobs.models.attention}{steps}"


def ids_of(models: Models) -> ModelIds:
    """The names of a variant's networks."""
    tower = "" if models.vision is None else network_id(models.vision)
    return ModelIds(models.id(), network_id(models.decoder), tower)


def estimate_worlds(files: Files, size: tuple[int, int], worlds: int) -> MemoryEstimate:
    """Memory on each device with that many worlds at once."""
    found = estimate_for(files, *size, batch=worlds)
    tower = 2 * _tower_weights(files.vision) if files.vision is not None else 0
    return replace(found, weights=found.weights + tower)


def _tower_weights(path: Path) -> int:
    """Parameters of an image tower, from the head of its file alone: building one takes seconds; 0 for another file."""
    with open_weights(path) as file:
        return sum(info.size for name, info in file.tensors.items() if vision_name(name) is not None)


def _locate(path: str | None, folder: Path) -> Path | None:
    """A path that counts from the job file's folder."""
    return None if path is None else folder / home_path(path)
