"""Many scripts at once, each under a name: what a batch of rollouts is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import ActionError
from ..system.files import TooLarge
from ..system.text_files import cannot_be_read, read_text_file
from ..variants import FPS, Variant
from .formats import PATH_ENDINGS
from .formats.all_formats import Sample, certain_kind
from .read import Loaded, Part, read_part, split_texts
from .script.lexer import MAX_TEXT, ScriptError
from .track import ActionTrack

MAX_PATHS = 256  # scripts of a batch
MAX_ROWS = 500_000  # of all of them together
_NAME = re.compile(r"\w[\w .\-]{0,99}")


class NamedPath(NamedTuple):
    """Inputs, and the name that what is made of them gets."""

    name: str
    track: ActionTrack


class Source(NamedTuple):
    """A text with scripts. name: of those without one. shown: of the file it is from, in messages. kind: of
    `text.KINDS`, or None to recognise it. note: on what was assumed to read it."""

    text: str
    name: str
    shown: str = ""
    kind: str | None = None
    note: str = ""


def file_source(path: Path) -> Source:
    """The text of a file with scripts; raises ActionError that names it."""
    if path.suffix.lower() not in PATH_ENDINGS:
        raise ActionError(f"{path.name} holds no scripts; use a file that ends with {', '.join(PATH_ENDINGS)}.")
    try:
        text, note = read_text_file(path, 4 * MAX_TEXT)
    except TooLarge:
        raise _too_long(path.name) from None
    except OSError as error:
        raise ActionError(cannot_be_read(path.name, error)) from None
    note = f"{path.name} is {note}." if note else ""
    return Source(text, plain_name(path.stem), path.name, certain_kind(path.suffix, Sample(text)), note)


def read_paths(sources: Iterable[Source], variant: Variant | str, notes: list[str] | None = None) -> list[NamedPath]:
    """The inputs of every script of the sources, in order.

    A line `--- NAME` begins a script and names it; one without a name is called after its source and counted.
    notes: takes sentences on what has no effect or was assumed.
    Raises ActionError that names the script, and its line and column where it is one of the script language.
    """
    paths: list[NamedPath] = []
    names: dict[str, str] = {}
    for source in sources:
        if len(source.text) > MAX_TEXT:
            raise _too_long(source.shown or "The text")
        if notes is not None and source.note:
            notes.append(source.note)
        for name, part in _named_parts(source):
            place = _place(source, part)
            if name.lower() in names:
                raise ActionError(
                    f"Two scripts are called '{name}': {names[name.lower()]} and {place}; rename one, or their videos "
                    "could not be told apart."
                )
            names[name.lower()] = place
            if len(paths) == MAX_PATHS:
                raise ActionError(f"There are more than {MAX_PATHS} scripts; spread them over several nodes.")
            loaded = _read(source, name, part, variant)
            paths.append(NamedPath(name, loaded.track))
            if notes is not None and loaded.kind not in ("script", "timeline"):
                notes.extend(f"{name}: {note}" for note in loaded.notes)
    if not paths:
        raise ActionError("There are no scripts; write one, for example 'w 2s', or choose a file.")
    if (rows := sum(len(path.track) for path in paths)) > MAX_ROWS:
        raise ActionError(
            f"The scripts have {rows} frames together ({rows / FPS / 60:.0f} minutes), and a batch has at most "
            f"{MAX_ROWS}; spread them over several nodes."
        )
    return paths


def plain_name(text: str) -> str:
    """`text` as the name of a script: without what a file's name cannot have."""
    return re.sub(r"[^\w .\-]+", "-", text).strip(" .-")[:100] or "path"


def _named_parts(source: Source) -> Iterator[tuple[str, Part]]:
    """The scripts of a text that has any, under the names that they have or get."""
    if not source.text.strip():
        return
    parts = split_texts(source.text)
    for number, part in enumerate(parts, 1):
        if part.name and (not _NAME.fullmatch(part.name) or part.name.endswith(".")):
            raise ActionError(
                f"The name in {_place(source, part)}, '{part.name[:100]}', cannot be that of a video; use letters, "
                "digits, spaces, - _ and ., at most 100 of them."
            )
        only = len(parts) == 1 and source.shown
        yield part.name or (source.name if only else f"{source.name} {number}"), part


def _read(source: Source, name: str, part: Part, variant: Variant | str) -> Loaded:
    where = f"{source.shown}, script '{name}'" if source.shown else f"script '{name}'"
    try:
        return read_part(part, variant, source.kind)
    except ScriptError as error:
        raise ActionError(error.format(where)) from None
    except ActionError as error:
        raise ActionError(f"In {where}, from line {part.line}: {error}") from None


def _place(source: Source, part: Part) -> str:
    line = f"line {max(1, part.line - bool(part.name))}"
    return f"{line} of {source.shown}" if source.shown else line


def _too_long(what: str) -> ActionError:
    return ActionError(f"{what} has more than {MAX_TEXT} characters; spread the scripts over several nodes.")
