"""The weights files that are there: what each is, whether it is whole, and whether it is the published one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...checkpoints.download import RemoteFile

OURS = {"diffusion_models": ("generator", "foundation"), "vae": ("vae",), "vae_approx": ("decoder",)}
OURS["clip_vision"] = ("vision",)  # folder of models -> kinds of files of ours in it
ENDINGS = (".safetensors", ".sft", ".gguf", ".pt", ".pth", ".ckpt", ".bin")
SECONDS = 20.0  # after which no further file is looked at


def models_folders(models: Path) -> dict[str, list[Path]]:
    """The files in a ComfyUI `models` folder, or one that `matrixgame download` filled, by the folder they lie in."""
    found: dict[str, list[Path]] = {}
    for folder in OURS:
        for place, _, names in os.walk(models / folder):
            found.setdefault(folder, []).extend(Path(place) / name for name in sorted(names))
    return {folder: [path for path in paths if path.suffix.lower() in ENDINGS] for folder, paths in found.items()}


def about_files(folders: Mapping[str, Sequence[Path]], checksums: bool) -> Iterator[tuple[str, str]]:
    """folders: files by the folder of `models` that they lie in. checksums: read published files whole, and compare."""
    yield "demo world", _demo_world()
    end = time.monotonic() + SECONDS
    for folder, paths in folders.items():
        told, other, late = [], 0, 0
        for path in paths:
            if time.monotonic() > end and not checksums:
                late += 1
            elif line := _about(path, folder, checksums):
                told.append(line)
            else:
                other += 1
        yield folder, "\n".join([*told, *_counts(other, late)]) or "no files"


def _counts(other: int, late: int) -> Iterable[str]:
    if other:
        yield f"{other} of other models"
    if late:
        yield f"{late} not looked at: it took too long"


def _demo_world() -> str:
    from ...checkpoints.builtin import demo_world
    from ...errors import CheckpointError

    try:
        demo = demo_world()
    except CheckpointError as error:
        return str(error)
    return f"as it was shipped, {demo.width}x{demo.height}"


def _about(path: Path, folder: str, checksums: bool) -> str:
    """A file in a line; empty where it is one of another model."""
    from ...checkpoints import inspect_file
    from ...errors import MatrixGameError
    from ...system.files import readable_path
    from ...system.resources import gigabytes

    name = readable_path(path.name)
    published = _published(path, folder)
    try:
        report = inspect_file(path)
    except MatrixGameError as error:
        return f"{name}: {error}" if published or folder == "diffusion_models" else ""
    if report.kind not in OURS[folder] and published is None:
        return ""
    dtypes = ", ".join(report.dtypes)
    parts = [report.title, dtypes, gigabytes(path.stat().st_size)]
    parts += [f"variant {report.variant.name}"] if report.variant else []
    parts.append("complete" if report.complete else f"not usable: {report.problems() or report.advice}")
    parts += [_compared(path, published, checksums)] if published else []
    return f"{name}: {', '.join(parts)}"


def _published(path: Path, folder: str) -> RemoteFile | None:
    from ...checkpoints.download import files_for, published_variants

    files = (file for variant in published_variants() for file in files_for(variant))
    return next((file for file in files if file.target == f"{folder}/{path.name}"), None)


def _compared(path: Path, published: RemoteFile, checksums: bool) -> str:
    from ...checkpoints.download import sha256_of

    size = path.stat().st_size
    if size != published.size:
        return f"NOT the published file ({size:,} bytes instead of {published.size:,})"
    if not checksums:
        return "as long as the published file (--checksums compares all of it)"
    return "the published file" if sha256_of(path) == published.sha256 else "NOT the published file (checksum)"
