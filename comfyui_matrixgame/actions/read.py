"""One door for inputs, whatever they are written in: a file, a folder, or text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import ActionError
from ..system.files import TooLarge
from ..system.text_files import cannot_be_read, half_character, read_text_file
from ..variants import Variant, default_variant, get_variant
from .document import MAX_FILE, Timeline
from .formats import importers, poses
from .formats.all_formats import BY_NAME, ENDINGS, FORMATS, KINDS, Sample, kind_of_file, recognise, recognise_sample
from .formats.arrays import ENDINGS as ARRAY_ENDINGS
from .script.lexer import normalise
from .script.read_script import rows_of_script
from .track import ActionTrack

__all__ = ["ENDINGS", "KINDS", "Loaded", "Part", "load_actions", "read_actions", "read_file", "read_part", "read_text",
           "read_texts", "recognise", "rows_of_text", "split_texts"]  # fmt: skip

_SEPARATOR = re.compile(r"\s*---(?:[ \t]+(.*))?\s*")


@dataclass(frozen=True)
class Loaded:
    """Inputs that were read.

    kind: one of KINDS. timeline: markers, branches and exact ramps, where the source has them. notes: sentences
    on what was left out or may disappoint.
    """

    track: ActionTrack
    kind: str
    timeline: Timeline | None = None
    notes: tuple[str, ...] = ()

    def on_branch(self, name: str) -> Loaded:
        """The inputs of another branch of the timeline; raises ActionError where there is none of that name."""
        if self.timeline is None or self.kind != "timeline":
            raise ActionError(f"Only a timeline file has branches, and this is {self.kind}; leave '{name}' out.")
        timeline = self.timeline.with_branch(name)
        return replace(self, track=timeline.track(), timeline=timeline)


def read_actions(source: str | Path, variant: Variant | str | None = None) -> ActionTrack:
    """The track of a file, a folder of .npy files, or text, recognised by what it holds; raises ActionError.

    variant: what the inputs are for; None: what they say, or the default. Text is taken for a path when it is one
    line that names something that exists; where text comes from strangers, use `read_text`.
    """
    return load_actions(source, variant).track


def load_actions(source: str | Path, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """See `read_actions`; also returns what is known about the source. kind: one of KINDS, instead of guessing."""
    path = source if isinstance(source, Path) else _path_of(source)
    return read_text(str(source), variant, kind) if path is None else read_file(path, variant, kind)


def read_file(path: str | Path, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """The inputs of a file or folder; raises ActionError that names it."""
    path = Path(path)
    chosen = get_variant(variant) if isinstance(variant, str) else variant
    if kind == "npy" or (kind is None and (path.suffix.lower() in ARRAY_ENDINGS or path.is_dir())):
        return _read_arrays(path, chosen or default_variant())
    try:
        text, note = read_text_file(path, MAX_FILE)
    except TooLarge:
        raise ActionError(f"{path.name} has more than {MAX_FILE >> 20} MiB, which no input needs.") from None
    except OSError as error:
        raise ActionError(cannot_be_read(path, error)) from None
    sample = Sample(text)
    loaded = _read(sample, chosen, kind or kind_of_file(path.suffix, sample))
    return replace(loaded, notes=(f"{path.name} is {note}.", *loaded.notes)) if note else loaded


def read_text(text: str, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """The inputs that `text` says; no file is touched. Raises ActionError."""
    chosen = get_variant(variant) if isinstance(variant, str) else variant
    sample = Sample(normalise(text))
    return _read(sample, chosen, kind or recognise_sample(sample))


def rows_of_text(text: str, variant: Variant) -> int:
    """How many rows `read_text` makes of a text; those of a script are only counted. Raises ActionError as it does."""
    sample = Sample(normalise(text))
    kind = recognise_sample(sample)
    if kind == "script" and half_character(sample.text) is None:
        return rows_of_script(sample.text, variant)
    return len(_read(sample, variant, kind).track)


def _read(sample: Sample, chosen: Variant | None, kind: str) -> Loaded:
    line = half_character(sample.text)
    if line is not None:
        raise ActionError(f"Line {line} of the text holds half a character (a lone surrogate); write it whole.")
    found = BY_NAME.get(kind)
    if found is None or found.read is None:
        kinds = [each.name for each in FORMATS if each.read is not None]
        raise ActionError(f"There is no text format '{kind}'; use one of {', '.join(kinds)}.")
    imported = found.read(sample, chosen)
    return Loaded(imported.track, kind, imported.timeline, imported.notes)


class Part(NamedTuple):
    """One of several texts. name: as its separator gives it, or empty. line: its first one, in the whole, from 1."""

    name: str
    line: int
    text: str


def split_texts(text: str) -> list[Part]:
    """The texts between lines `---`, or `--- NAME`, which names the text that follows.

    A separator at the very end is allowed, and so are comments before a first one that has a name.
    """
    lines = normalise(text).split("\n")
    cuts = [(i, match[1] or "") for i, line in enumerate(lines) if (match := _SEPARATOR.fullmatch(line))]
    starts, stops = [(-1, ""), *cuts], [*(i for i, _ in cuts), len(lines)]
    parts = [
        Part(name.strip(), start + 2, "\n".join(lines[start + 1 : stop]))
        for (start, name), stop in zip(starts, stops, strict=True)
    ]
    if len(parts) > 1 and parts[1].name and not re.sub(r"#.*", "", parts[0].text).strip():
        del parts[0]
    if len(parts) > 1 and not parts[-1].name and not parts[-1].text.strip():
        del parts[-1]
    return parts


def read_texts(text: str, variant: Variant | str | None = None, kind: str | None = None) -> list[Loaded]:
    """The inputs of several texts, as `split_texts` divides them; errors count lines from the top of the whole.

    Raises ActionError, also where nothing stands between two separators.
    """
    return [read_part(part, variant, kind) for part in split_texts(text)]


def read_part(part: Part, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """The inputs of one of several texts; the lines of its errors are those of the whole."""
    return read_text("\n" * (part.line - 1) + part.text, variant, kind)


def _read_arrays(path: Path, variant: Variant) -> Loaded:
    """Key and camera arrays, or the camera poses that a .npy file may hold instead, `poses.npy` in a folder."""
    poses_file = path / "poses.npy" if path.is_dir() else path
    try:
        imported = importers.read_npy(path, variant)
    except ActionError as first:
        if poses_file.suffix.lower() != ".npy" or not poses_file.is_file():
            raise
        try:
            track, report = poses.read_poses(poses_file, variant)
        except ActionError as second:
            raise (second if "pose" in poses_file.stem else first) from None
        return Loaded(track, "npy", None, (str(report),))
    return Loaded(imported.track, "npy", None, imported.notes)


def _path_of(text: str) -> Path | None:
    """The existing file or folder that `text` names, or None."""
    name = text.strip()
    if not name or "\n" in name or len(name) > 4096 or "\0" in name:
        return None
    try:
        path = Path(name)
        if path.exists():
            return path
    except OSError:
        return None
    if path.suffix.lower() in ENDINGS and " " not in name:
        raise ActionError(f"There is no file {name}.")
    return None
