"""Reading weights files without trusting them and without loading more than is asked for.

This is the one way into a weights file: its format is recognised by its first bytes, and whatever is wrong with it
becomes a CheckpointError that names it and the fix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..errors import CheckpointError
from ..system.files import NotARegularFile, open_regular, readable_name
from ..system.kinds import kind_of
from .containers.gguf_file import MAGIC as GGUF
from .containers.gguf_file import open_gguf
from .containers.mapped import looks_like_safetensors, open_mapped
from .containers.pickles import PICKLE, ZIP, HoldsCode, NoTensors, open_pickled
from .containers.shards import find_weights, shards_of
from .containers.tensors import Damaged, TensorInfo, WeightsFile, checked_count, first_line, merge_files, printable_name
from .scaled import unscaled

__all__ = ["TensorInfo", "WeightsFile", "open_weights"]

T = TypeVar("T")
PYTORCH = (".pth", ".pt", ".ckpt", ".bin")
GENERATOR, VAE, VISION = "transformer", "vae", "image_encoder"  # folders of a Diffusers model
_HEAD = 512  # bytes that tell what a file is
_OLD_PICKLE = re.compile(rb"c[\w.]+\n[\w.]+\n|[(\]}]")  # made of letters, so it looks like text
_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)


@contextmanager
def open_weights(path: str | Path, part: str = GENERATOR) -> Iterator[WeightsFile]:
    """Open a file of weights: .safetensors, PyTorch's or GGUF, alone or in several parts, or the folder it is in.

    part: which folder of a Diffusers model. Raises CheckpointError that says what is wrong with it.
    """
    yield _open_all(Path(path), part)


def _open_all(path: Path, part: str) -> WeightsFile:
    try:
        path = find_weights(path, part)
        shards = shards_of(path)
        if shards is None:
            file = _open(path)
        else:
            name, places, paths = shards
            file = _open_shards(name, places, paths)
        return _in_words(file.path, lambda: unscaled(file))
    except OSError as error:
        raise CheckpointError(f"{readable_name(path)} cannot be read: {error.strerror or first_line(error)}.") from None


def _open_shards(path: Path, places: dict[str, str] | None, paths: list[Path]) -> WeightsFile:
    files: dict[str, WeightsFile] = {}
    for each in paths:
        files[each.name] = _open(each)
        _in_words(path, lambda: checked_count(sum(len(file.tensors) for file in files.values())))
    for name, place in (places or {}).items():
        if name not in files[place].tensors:
            raise CheckpointError(
                f"{readable_name(path)} says that {printable_name(name)} is in {printable_name(place)}, and it is not; "
                "the files are not parts of one model, so download them again."
            )
    tensors, read = _in_words(path, lambda: merge_files(files))
    first = next(iter(files.values()))
    return replace(first, path=path, tensors=tensors, read=read)


def _open(path: Path) -> WeightsFile:
    name = readable_name(path)
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
            size = file.seek(0, 2)
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no file {path}; check the path, or get it with `matrixgame download`."
        ) from None
    except NotARegularFile as error:
        raise CheckpointError(f"{name} is not a weights file: {error.strerror}.") from None
    _check_head(name, head, size)
    if head.startswith(GGUF):
        return _in_words(path, lambda: open_gguf(path))
    mapped = looks_like_safetensors(head, size)  # its length, which comes first, may look like a pickle's first bytes
    is_weights = mapped or head.startswith((ZIP, PICKLE)) or _OLD_PICKLE.match(head)
    if not is_weights and (kind := kind_of(head)):
        raise CheckpointError(f"{name} is {kind}, not a weights file; get the published file, or download it again.")
    if not mapped and (head.startswith((ZIP, PICKLE)) or path.suffix in PYTORCH):
        return _in_words(path, lambda: open_pickled(path))
    return _in_words(path, lambda: open_mapped(path))


def _in_words(path: Path, action: Callable[[], T]) -> T:
    """The result of `action`; what it finds wrong with a file becomes a CheckpointError."""
    name = readable_name(path)
    try:
        return action()
    except HoldsCode:
        raise CheckpointError(
            f"{name} holds Python objects other than tensors, which can run code, so it was not loaded; use the "
            ".safetensors file of the same model."
        ) from None
    except NoTensors:
        raise CheckpointError(f"{name} is not a file of named tensors; use a weights file of the model.") from None
    except Damaged as error:
        raise CheckpointError(
            f"{name} is damaged or incomplete ({error}); download it again and compare its checksum."
        ) from None
    except MemoryError:
        raise CheckpointError(
            f"There is not enough memory to open {name}; close other programs and try again."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise CheckpointError(f"{name} cannot be read: {reason}.") from None


def _check_head(name: str, head: bytes, size: int) -> None:
    if not head:
        raise CheckpointError(f"{name} is empty (0 bytes); download it again.")
    if looks_like_safetensors(head, size):
        return
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{name} is a git-lfs pointer, not the file itself; run `git lfs pull` or download it.")
    if _PAGE.match(head):
        raise CheckpointError(f"{name} is a web page, not a weights file; the download went wrong, so try it again.")
