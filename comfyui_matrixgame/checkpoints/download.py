"""Getting the published files: resumable, pinned to a revision, checked against their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError, MatrixGameError
from ..system.files import take_place
from ..variants import VARIANTS, Variant, get_variant

_SHARED = "Comfy-Org/Wan_2.1_ComfyUI_repackaged"
STAGING = ".matrixgame-download"  # folder of unfinished downloads


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


def generator_file(variant: Variant) -> RemoteFile | None:
    """The published generator of a variant; None where there is none."""
    file = variant.published
    if file is None:
        return None
    return RemoteFile(file.repo, file.path, f"diffusion_models/{file.name}", file.sha256, file.size, file.revision)


def published_variants() -> tuple[str, ...]:
    """The variants whose generator is published."""
    return tuple(name for name, variant in VARIANTS.items() if variant.published)


def files_for(name: str) -> tuple[RemoteFile, ...]:
    """Everything that a variant needs. Raises MatrixGameError for an unknown one, and for one without a published
    generator."""
    generator = generator_file(get_variant(name))
    if generator is None:
        raise MatrixGameError(
            f"The generator of {name} is not published; use one of {', '.join(published_variants())}, or your own file."
        )
    return (generator, *SHARED)


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
    staging = folder / STAGING / file.name  # one for each file: another's may hold an unfinished download
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fetched = Path(
            hf_hub_download(file.repo, file.path, revision=file.revision, local_dir=staging, endpoint=endpoint)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, ConnectionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{file.name} could not be fetched from {file.repo} ({reason}); check the network and run the same "
            "command again; it goes on where it was."
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"{target} cannot be written ({error.strerror or error}); check free space and permissions."
        ) from None
    found = sha256_of(fetched)
    if found != file.sha256:
        wrong = target.with_name(target.name + ".wrong")
        take_place(fetched, wrong)
        raise CheckpointError(
            f"{file.name} has the checksum {found[:12]}... instead of {file.sha256[:12]}...; it is kept as "
            f"{wrong.name}. Run the same command again; if that gives the same, the published file has changed."
        )
    take_place(fetched, target)
    shutil.rmtree(staging, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty where another download is running, or broke off
        staging.parent.rmdir()
    return target


def sha256_of(path: Path) -> str:
    """The checksum of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()
