"""What worlds begin with: pictures, or clips with the inputs that belong to them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import MatrixGameError
from ...media.images import ENDINGS, check_picture
from ...system.words import counted
from ...variants import FPS, frames_of_blocks
from .located_values import Value
from .scripts import Script, files_named, plain_name

MOST_NAMED = 8  # files in one sentence


@dataclass(frozen=True)
class Start:
    """A picture, or a clip of `blocks` blocks with its inputs. label: what `{image}` stands for."""

    label: str
    path: str
    blocks: int = 0
    actions: Script | None = None


def read_images(value: Value, folder: Path, size: tuple[int, int], notes: dict[str, None] | None = None) -> list[Start]:
    """The pictures that `images` names: paths, patterns with *, folders, or `{name: ..., file: ...}`.

    Raises BatchError with the line where there is none, or where one that is named by itself cannot be used at this
    size. Of several that a folder or pattern names, those are left out, and `notes` takes a sentence for each.
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
        named = files_named(source, text, folder)
        said = {} if notes is None else notes
        paths = list(_pictures(source, named, said))
        if not paths:
            source.fail(_no_image(text, named))
        alone = len(named) == 1 and paths == named
        usable = paths if alone else _usable(paths, size, said)
        if not usable:
            source.fail(
                f"none of the {counted(len(paths), 'picture')} of {text} can be used; the first: {next(reversed(said))}"
            )
        for path in usable:
            if alone:
                _check_picture(source, path, size)
            found.append(Start(label if label and len(paths) == 1 else plain_name(path.stem), str(path)))
    if not found:
        value.fail("there are no images; name at least one.")
    return found


def _no_image(text: str, named: list[Path]) -> str:
    if len(named) == 1 and named[0].is_dir():
        return f"there is no picture in the folder {text}."
    return f"there is no image {text}; paths count from the job file's folder."


def read_clips(
    value: Value, folder: Path, variants: tuple[str, ...], notes: dict[str, None] | None = None
) -> list[Start]:
    """The clips that `clips` names: `{file: ..., actions: ..., name: ...}`. Raises BatchError with the line."""
    found = []
    for entry in value.list():
        fields = known_fields(entry, "a clip", ("name", "file", "actions"))
        if "file" not in fields or "actions" not in fields:
            entry.fail("a clip needs its file, and the actions that belong to it.")
        text = fields["file"].text("a clip")
        paths = files_named(fields["file"], text, folder)
        if len(paths) != 1:
            fields["file"].fail(f"{text} should name one video; paths count from the job file's folder.")
        source = fields["actions"].text("the actions of a clip")
        files = files_named(fields["actions"], source, folder)
        actions = Script("", "file", str(files[0])) if files else Script("", "text", source)
        blocks = _clip_blocks(fields["file"], paths[0], {} if notes is None else notes)
        for variant in variants:
            try:
                rows, said = len(actions.track(variant)), actions.notes(variant)
            except (MatrixGameError, OSError) as error:
                fields["actions"].fail(f"the actions of {paths[0].name} cannot be used for {variant}: {error}")
            if notes is not None and files:
                notes.update(dict.fromkeys(f"{files[0].name}: {note}" for note in said))
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


def _pictures(entry: Value, paths: list[Path], notes: dict[str, None]) -> Iterator[Path]:
    """The pictures that are named or lie in named folders; `notes` takes what else lies there."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            files = sorted(file for file in path.iterdir() if not _is_litter(file))
        except OSError as error:
            entry.fail(f"the folder {path.name} cannot be read: {error.strerror}.")
        yield from (file for file in files if file.suffix.lower() in ENDINGS)
        if others := [file.name + "/" * file.is_dir() for file in files if file.suffix.lower() not in ENDINGS]:
            more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
            notes[f"{path.name}: no pictures and left out: {', '.join(others[:MOST_NAMED])}{more}."] = None


def _is_litter(file: Path) -> bool:
    """Files that a system leaves in every folder."""
    return file.name.startswith(".") or file.name.lower() in ("thumbs.db", "desktop.ini", "__macosx")


def _usable(paths: list[Path], size: tuple[int, int], notes: dict[str, None]) -> list[Path]:
    """The pictures that can be used; `notes` takes a sentence for each of the others."""
    usable = []
    for path in paths:
        try:
            check_picture(path, *size)
        except MatrixGameError as error:
            notes[f"Left out: {error}" if path.name in str(error) else f"Left out: {path.name}: {error}"] = None
        else:
            usable.append(path)
    return usable


@functools.lru_cache(maxsize=4096)
def _check_once(path: Path, _: tuple[int, int, int], size: tuple[int, int]) -> None:
    """See `check_picture`; remembered for a file and its time, as thousands of jobs may name one picture."""
    check_picture(path, *size)


def _check_picture(entry: Value, path: Path, size: tuple[int, int]) -> None:
    try:
        with contextlib.suppress(OSError):  # which `check_picture` says
            about = path.stat()
            return _check_once(path, (about.st_mtime_ns, about.st_size, about.st_ino), size)
        check_picture(path, *size)
    except MatrixGameError as error:
        entry.fail(str(error) if path.name in str(error) else f"{path.name}: {error}")


def _clip_blocks(entry: Value, path: Path, notes: dict[str, None]) -> int:
    from ...media.clips import blocks_of_clip, clip_frames

    try:
        frames, rate, exact = clip_frames(path, lambda text: notes.setdefault(f"{text}."))
        if not exact:
            entry.fail(
                f"{path.name} plays {rate:.4g} frames a second; a clip in a job file needs {FPS}: "
                f"`ffmpeg -i {path.name} -r {FPS} new.mp4` writes one."
            )
        return blocks_of_clip(path.name, frames)
    except MatrixGameError as error:
        entry.fail(str(error))
