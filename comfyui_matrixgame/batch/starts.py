"""What worlds begin with: pictures, or clips with the inputs that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import MatrixGameError
from ..images import ENDINGS, check_picture
from ..variants import FRAMES_PER_BLOCK, frames_of_blocks
from .scripts import Script, find_files, plain_name
from .tree import Value


@dataclass(frozen=True)
class Start:
    """A picture, or a clip of `blocks` blocks with its inputs. label: what `{image}` stands for."""

    label: str
    path: str
    blocks: int = 0
    actions: Script | None = None


def read_images(value: Value, folder: Path, size: tuple[int, int]) -> list[Start]:
    """The pictures that `images` names: paths, patterns with *, folders, or `{name: ..., file: ...}`.

    Raises BatchError with the line where there is none, or one that cannot be used at this size.
    """
    found = []
    for entry in value.list():
        label, source = None, entry
        if isinstance(entry.data, dict):
            fields = known_fields(entry, "an image", ("name", "file"))
            if "file" not in fields:
                entry.fail("an image needs its file.")
            source = fields["file"]
            label = plain_name(fields["name"].text("the name of an image")) if "name" in fields else None
        text = source.text("an image")
        paths = list(_pictures(find_files(text, folder)))
        if not paths:
            source.fail(f"there is no image {text}; paths count from the job file's folder.")
        for path in paths:
            _check_picture(source, path, size)
            found.append(Start(label if label and len(paths) == 1 else plain_name(path.stem), str(path)))
    if not found:
        value.fail("there are no images; name at least one.")
    return found


def read_clips(value: Value, folder: Path, variants: tuple[str, ...]) -> list[Start]:
    """The clips that `clips` names: `{file: ..., actions: ..., name: ...}`. Raises BatchError with the line."""
    found = []
    for entry in value.list():
        fields = known_fields(entry, "a clip", ("name", "file", "actions"))
        if "file" not in fields or "actions" not in fields:
            entry.fail("a clip needs its file, and the actions that belong to it.")
        text = fields["file"].text("a clip")
        paths = find_files(text, folder)
        if len(paths) != 1:
            fields["file"].fail(f"{text} should name one video; paths count from the job file's folder.")
        source = fields["actions"].text("the actions of a clip")
        files = find_files(source, folder)
        actions = Script("", "file", str(files[0])) if files else Script("", "text", source)
        blocks = _clip_blocks(fields["file"], paths[0])
        for variant in variants:
            try:
                rows = len(actions.track(variant))
            except (MatrixGameError, OSError) as error:
                fields["actions"].fail(f"the actions of {paths[0].name} cannot be used for {variant}: {error}")
            if rows < frames_of_blocks(blocks) - 1:
                needed = frames_of_blocks(blocks) - 1
                fields["actions"].fail(f"{paths[0].name} needs {needed} rows of inputs, and there are {rows}.")
        label = plain_name(fields["name"].text("the name of a clip")) if "name" in fields else plain_name(paths[0].stem)
        found.append(Start(label, str(paths[0]), blocks, actions))
    if not found:
        value.fail("there are no clips; name at least one.")
    return found


def known_fields(entry: Value, what: str, names: tuple[str, ...]) -> dict[str, Value]:
    """The entries of a dict that may have only these keys."""
    fields = entry.items(what.capitalize())
    for name, value in fields.items():
        if name not in names:
            value.fail(f"{what} has no '{name}'; use {', '.join(names)}.")
    return fields


def _pictures(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
        else:
            yield path


def _check_picture(entry: Value, path: Path, size: tuple[int, int]) -> None:
    try:
        check_picture(path, *size)
    except MatrixGameError as error:
        entry.fail(str(error) if path.name in str(error) else f"{path.name}: {error}")


def _clip_blocks(entry: Value, path: Path) -> int:
    from ..dataset import rate_and_length

    try:
        frames = rate_and_length(path)[1]
    except MatrixGameError as error:
        entry.fail(str(error))
    blocks = (frames + 3) // FRAMES_PER_BLOCK
    if blocks < 1 or frames != frames_of_blocks(blocks):
        fitting = frames_of_blocks(max(1, blocks))
        entry.fail(f"{path.name} has {frames} frames; a clip needs 9 + 12k to be continued, such as {fitting}.")
    return blocks
