"""One door for inputs, whatever they are written in: a file, a folder, or text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ActionError
from ..variants import UNIVERSAL, Variant, get_variant
from . import importers, poses
from .document import Lanes, Timeline, track_of_lanes
from .lexer import normalise
from .script import parse_script
from .track import ActionTrack

MAX_BYTES = 64 << 20  # of a file that is read
ENDINGS = {".json": "timeline", ".mgs": "script", ".csv": "csv", ".tsv": "csv", ".jsonl": "vpt"}
KINDS = ("timeline", "script", "csv", "vpt", "hy", "gamecraft", "realestate", "npy")
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

    variant: what the inputs are for; None: what they say, or universal. Text is taken for a path when it is one
    line that names something that exists; where text comes from strangers, use `read_text`.
    """
    return load_actions(source, variant).track


def load_actions(source: str | Path, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """As `read_actions`, with all that is known about the source. kind: one of KINDS, instead of guessing."""
    path = source if isinstance(source, Path) else _path_of(source)
    return read_text(str(source), variant, kind) if path is None else read_file(path, variant, kind)


def read_file(path: str | Path, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """The inputs of a file or folder; raises ActionError that names it."""
    path = Path(path)
    chosen = get_variant(variant) if isinstance(variant, str) else variant
    try:
        if path.is_dir() or path.suffix.lower() in (".npy", ".npz"):
            return _read_arrays(path, chosen or UNIVERSAL)
        if path.stat().st_size > MAX_BYTES:
            raise ActionError(f"{path.name} has more than {MAX_BYTES >> 20} MiB, which no input needs.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ActionError(f"{path.name} is not text, and not .npy or .npz.") from None
    except OSError as error:
        raise ActionError(f"{path} cannot be read: {error.strerror or error}.") from None
    return read_text(text, chosen, kind or ENDINGS.get(path.suffix.lower()))


def read_text(text: str, variant: Variant | str | None = None, kind: str | None = None) -> Loaded:
    """The inputs that `text` says; no file is touched. Raises ActionError."""
    chosen = get_variant(variant) if isinstance(variant, str) else variant
    text = normalise(text)
    kind = kind or recognise(text)
    if kind == "timeline":
        timeline = Timeline.from_text(text)
        if chosen is not None and timeline.variant != chosen:
            raise ActionError(f"The timeline is for {timeline.variant.name}, but here the variant is {chosen.name}.")
        _check_source(timeline)
        return Loaded(timeline.track(), kind, timeline)
    if kind == "script":
        script = parse_script(text, chosen)
        return Loaded(script.track, kind, script.document, tuple(w.format() for w in script.warnings))
    if kind not in KINDS or kind == "npy":
        raise ActionError(f"There is no text format '{kind}'; use one of {', '.join(KINDS[:-1])}.")
    chosen = chosen or UNIVERSAL
    if kind == "realestate":
        track, report = poses.read_realestate(text, chosen)
        return Loaded(track, kind, None, (str(report),))
    readers = {"csv": importers.read_csv, "vpt": importers.read_vpt, "hy": importers.read_hy}
    imported = readers.get(kind, importers.read_gamecraft_text)(text, chosen)
    return Loaded(imported.track, kind, None, imported.notes)


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


def _check_source(timeline: Timeline) -> None:
    """Raises ActionError where the script that a timeline was made from cannot be read, or says something else.

    An editor keeps the lanes of the last script that could be read while its text is broken; playing those would
    show what nobody wrote.
    """
    source = timeline.extra.get("source")
    if not isinstance(source, dict) or source.get("kind") != "script" or not isinstance(source.get("text"), str):
        return
    made = parse_script(source["text"], timeline.variant).document
    lanes = (timeline.lanes, timeline.active_lanes())
    if made.length != timeline.length or not any(_same_rows(made.lanes, each, timeline) for each in lanes):
        raise ActionError(
            "The timeline's lanes are not those of the script it says it was made from; open it in the editor and "
            "change either, or take its 'source' out."
        )


def _same_rows(one: Lanes, other: Lanes, timeline: Timeline) -> bool:
    a, b = (track_of_lanes(timeline.variant, lanes, timeline.length) for lanes in (one, other))
    same = a.mouse is None or b.mouse is None or np.allclose(a.mouse, b.mouse, rtol=0, atol=1e-6)
    return same and np.array_equal(a.keyboard, b.keyboard)


def recognise(text: str) -> str:
    """The format of normalised text: one of KINDS; what is nothing else is a script."""
    lines = [line for line in (line.strip() for line in text.split("\n", 50)[:50]) if line]
    if not lines:
        return "script"
    if lines[0].startswith("{"):
        return "vpt" if _is_step(lines[0]) else "timeline"
    if "--action-list" in text[:100_000]:
        return "gamecraft"
    if any(len(line.split()) == 19 and _numbers(line.split()) for line in lines[:2]):
        return "realestate"
    second = lines[1] if len(lines) > 1 else lines[0]
    for separator in ",;\t":
        if separator in second and second.count(separator) == lines[0].count(separator):
            cells = [cell.strip() for cell in second.split(separator)]
            if any(cells) and _numbers([cell for cell in cells if cell]):
                return "csv"
    return "script"


def _read_arrays(path: Path, variant: Variant) -> Loaded:
    """Key and camera arrays, or the camera poses that .npz files and `poses.npy` may hold instead."""
    poses_file = path / "poses.npy" if path.is_dir() else path
    try:
        imported = importers.read_npy(path, variant)
    except ActionError as first:
        if poses_file.suffix.lower() != ".npz" and not ("pose" in poses_file.stem and poses_file.is_file()):
            raise
        try:
            track, report = poses.read_poses(poses_file, variant)
        except ActionError as second:
            raise (first if poses_file.suffix.lower() == ".npz" else second) from None
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
    if path.suffix.lower() in (*ENDINGS, ".npy", ".npz") and " " not in name:
        raise ActionError(f"There is no file {name}.")
    return None


def _is_step(line: str) -> bool:
    """Whether a line is one step of a recording."""
    try:
        step = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(step, dict) and "format" not in step and bool(step.keys() & {"keyboard", "mouse", "tick"})


def _numbers(words: list[str]) -> bool:
    try:
        return bool([float(word) for word in words])
    except ValueError:
        return False
