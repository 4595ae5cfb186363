"""Getting the published files: resumable, pinned to a revision, checked against their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError, MatrixGameError
from ..variants import VARIANTS

_GENERATORS = "Skywork/Matrix-Game-2.0"
_REVISION = "f1729d99a80e0f07993a77d7dad4a3190e23c2c8"
_SHARED = "Comfy-Org/Wan_2.1_ComfyUI_repackaged"
STAGING = ".matrixgame-download"  # folder of what is on its way


@dataclass(frozen=True)
class RemoteFile:
    """A published file: where it is, where it goes inside a ComfyUI `models` folder, and its sha256."""

    repo: str
    path: str
    target: str
    sha256: str
    size: int
    revision: str = "main"

    @property
    def name(self) -> str:
        """The file's name."""
        return self.target.rpartition("/")[2]


def _generator(path: str, name: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(_GENERATORS, path, f"diffusion_models/{name}", sha256, size, _REVISION)


GENERATORS = {
    "universal": _generator(
        "base_distilled_model/base_distill.safetensors",
        "matrixgame2_universal.safetensors",
        "55133515cf15a1ddc3d49e1f1102d79d536a1fca5459fdb2498b82a9d1b7a7e7",
        6_480_000_000,
    ),
    "gta_drive": _generator(
        "gta_distilled_model/gta_keyboard2dim.safetensors",
        "matrixgame2_gta_drive.safetensors",
        "5472e1035b20bd58afc287791e2c715bf962dfc2fb48ab3b71dfd012fe2cb65f",
        6_480_000_000,
    ),
    "templerun": _generator(
        "templerun_distilled_model/templerun_7dim_onlykey.safetensors",
        "matrixgame2_templerun.safetensors",
        "a1dbe951e143fb86babf119da1ac29791f597b903e649537a3f8d348f631a245",
        6_030_000_000,
    ),
}
SHARED = (
    RemoteFile(
        _SHARED,
        "split_files/vae/wan_2.1_vae.safetensors",
        "vae/wan_2.1_vae.safetensors",
        "2fc39d31359a4b0a64f55876d8ff7fa8d780956ae2cb13463b0223e15148976b",
        253_815_318,
    ),
    RemoteFile(
        _SHARED,
        "split_files/clip_vision/clip_vision_h.safetensors",
        "clip_vision/clip_vision_h.safetensors",
        "64a7ef761bfccbadbaa3da77366aac4185a6c58fa5de5f589b42a65bcc21f161",
        1_264_219_396,
    ),
)


def files_for(variant: str) -> tuple[RemoteFile, ...]:
    """Everything that a variant needs. Raises MatrixGameError for an unknown one."""
    if variant not in VARIANTS:
        raise MatrixGameError(f"There is no variant '{variant}'; use one of {', '.join(VARIANTS)}.")
    return (GENERATORS[variant], *SHARED)


def download(file: RemoteFile, folder: Path, endpoint: str | None = None) -> Path:
    """Fetch a file into a `models` folder; one that is there and right is left alone.

    A download that broke off goes on where it was. Raises CheckpointError where the file cannot be fetched or
    its checksum is wrong; a wrong file is set aside as `.wrong`.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    target = folder / file.target
    if target.is_file() and sha256_of(target) == file.sha256:
        return target
    staging = folder / STAGING / file.name  # of its own: another file's may hold what goes on later
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fetched = Path(
            hf_hub_download(file.repo, file.path, revision=file.revision, local_dir=staging, endpoint=endpoint)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, ConnectionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{file.name} could not be fetched from {file.repo} ({reason}); check the network and run the same "
            "command again, it goes on where it was."
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"{target} cannot be written ({error.strerror or error}); check space and rights."
        ) from None
    found = sha256_of(fetched)
    if found != file.sha256:
        wrong = target.with_name(target.name + ".wrong")
        os.replace(fetched, wrong)
        raise CheckpointError(
            f"{file.name} has the checksum {found[:12]}... instead of {file.sha256[:12]}...; it is kept as "
            f"{wrong.name}. Run the same command again, and if it stays so, the published file has changed."
        )
    os.replace(fetched, target)
    shutil.rmtree(staging, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty where another download is on, or broke off
        staging.parent.rmdir()
    return target


def sha256_of(path: Path) -> str:
    """The checksum of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()
