"""The archive that the registry's tool makes of this repository (`comfy node pack`, comfy-cli 1.23): the files that git
knows, minus what `.comfyignore` names."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from .server import PACK

IGNORE = ".comfyignore"


def packed_files(pack: Path = PACK) -> list[str]:
    """The paths of the archive. Lines of `.comfyignore` are stripped, and are patterns as in a .gitignore; each is held
    against a file's whole path from the root."""
    from pathspec import PathSpec

    lines = (line.strip() for line in (pack / IGNORE).read_text(encoding="utf-8").splitlines())
    ignored = PathSpec.from_lines("gitwildmatch", [line for line in lines if line and not line.startswith("#")])
    listed = subprocess.run(["git", "-C", str(pack), "ls-files"], capture_output=True, text=True, check=True).stdout
    return [path for path in listed.splitlines() if not ignored.match_file(path) and (pack / path).exists()]


def write_archive(target: Path, pack: Path = PACK) -> None:
    """Write the archive as a zip file."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packed_files(pack):
            archive.write(pack / path, path)


def install(custom_nodes: Path, name: str = "matrixgame") -> Path:
    """Install the archive as ComfyUI's manager does, unpacked into a folder of its own; returns that folder."""
    archive, folder = custom_nodes.parent / f"{name}.zip", custom_nodes / name
    write_archive(archive)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder
