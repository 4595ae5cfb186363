"""The timeline document `matrixgame.timeline`: what the editor keeps, a workflow stores and a file holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ActionError
from ..system.files import write_whole
from ..system.text_files import read_text_file
from ..variants import FPS, Variant, blocks_of_frames, frames_of_blocks, get_variant
from . import curve
from .check_document import FORMAT, VERSION, NewerVersionError, check_document
from .track import ActionTrack, Seeds
from .vocabulary import AXES, camera_axes, held_keys

KNOWN = ("format", "version", "variant", "fps", "length", "tracks", "markers", "loop", "branches", "active", "seeds")
MAX_FILE = 64 << 20  # bytes of a file of inputs
MAIN = "main"  # the name of the timeline itself, among its branches
Lanes = dict[str, list[list[Any]]]
# version -> the pure function that makes a document of the next version out of one of this version
MIGRATIONS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {}


@dataclass(frozen=True)
class Marker:
    """A named place. t: input row. pin: whether the state of the world there should be kept."""

    t: int
    name: str
    pin: bool = False


@dataclass(frozen=True)
class Timeline:
    """A checked, canonical timeline document.

    length: rows, 9 + 12 n. lanes: of every held key, runs `[start, len]`; of yaw and pitch, the entries of
    `curve`. loop: `[start, stop]`. branches: as in the JSON; the lanes of one replace lanes of the same name.
    active: id of the branch that is in use. seeds: changes of the seed, as in ActionTrack; those of a branch that has
    some replace them. extra: top-level JSON this version does not know, or leaves alone.
    """

    variant: Variant
    length: int
    lanes: Lanes
    markers: tuple[Marker, ...] = ()
    loop: tuple[int, int] | None = None
    branches: tuple[Mapping[str, Any], ...] = ()
    active: str | None = None
    seeds: Seeds = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def from_json(data: object) -> Timeline:
        """The timeline of parsed JSON of this or an older version; raises ActionError (NewerVersionError)."""
        document = check_document(migrate(data))
        variant = get_variant(document["variant"])
        return Timeline(
            variant,
            int(document["length"]),
            canonical_lanes(variant, document["tracks"]),
            tuple(
                sorted(
                    (Marker(int(m["t"]), m["name"], bool(m.get("pin", False))) for m in document.get("markers") or ()),
                    key=lambda marker: marker.t,
                )
            ),
            tuple(int(t) for t in document["loop"]) if document.get("loop") else None,  # type: ignore[arg-type]
            tuple(document.get("branches") or ()),
            document.get("active"),
            _seeds(document.get("seeds")),
            {key: value for key, value in document.items() if key not in KNOWN},
        )

    @staticmethod
    def from_text(text: str) -> Timeline:
        """The timeline of JSON text; raises ActionError that says where the JSON breaks."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ActionError(f"This timeline is not readable JSON: {error}.") from None
        return Timeline.from_json(data)

    @staticmethod
    def from_track(track: ActionTrack) -> Timeline:
        """The timeline whose first len(track) rows are exactly `track`; idle rows fill it up to 9 + 12 n."""
        return Timeline(track.variant, legal_length(len(track)), lanes_of_track(track), seeds=track.seeds)

    def to_json(self) -> dict[str, Any]:
        """The document as plain JSON values; keys that were not known when it was read are still there."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "variant": self.variant.name,
            "fps": FPS,
            "length": self.length,
            "tracks": {name: [list(entry) for entry in entries] for name, entries in self.lanes.items()},
            "markers": [
                {"t": m.t, "name": m.name, "pin": True} if m.pin else {"t": m.t, "name": m.name} for m in self.markers
            ],
            "loop": list(self.loop) if self.loop else None,
            "branches": list(self.branches),
            "active": self.active,
            **({"seeds": [list(change) for change in self.seeds]} if self.seeds else {}),
            **self.extra,
        }

    def to_text(self) -> str:
        """The document as compact JSON text."""
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"))

    def active_lanes(self) -> Lanes:
        """The lanes in use: those of the active branch where it has any, the main ones elsewhere."""
        for branch in self.branches:
            if branch["id"] == self.active:
                return canonical_lanes(self.variant, {**self.lanes, **branch["tracks"]})
        return self.lanes

    def active_seeds(self) -> Seeds:
        """The changes of the seed in use: those of the active branch where it has its own, the main ones elsewhere."""
        for branch in self.branches:
            if branch["id"] == self.active and branch.get("seeds") is not None:
                return _seeds(branch["seeds"])
        return self.seeds

    def with_branch(self, name: str) -> Timeline:
        """The same timeline with the branch of that id or name in use; MAIN is the one without. Raises ActionError."""
        found = [b for b in self.branches if b["id"] == name] or [b for b in self.branches if b["name"] == name]
        if not found and name != MAIN:
            names = ", ".join([MAIN, *(str(branch["name"]) for branch in self.branches)])
            raise ActionError(f"There is no branch '{name}' in this timeline; it has {names}.")
        if len(found) > 1:
            ids = ", ".join(str(branch["id"]) for branch in found)
            raise ActionError(f"There are {len(found)} branches '{name}' in this timeline; name one by its id: {ids}.")
        extra = {key: value for key, value in self.extra.items() if key != "source"}  # the script of another branch
        return replace(self, active=found[0]["id"] if found else None, extra=extra)

    def track(self, rows: int | None = None) -> ActionTrack:
        """The first `rows` rows (default: all) of the active lanes, with the seeds in use."""
        rows = self.length if rows is None else rows
        track = track_of_lanes(self.variant, self.active_lanes(), rows)
        return track.with_seeds(change for change in self.active_seeds() if change[0] < rows)


def _seeds(changes: Sequence[Sequence[int]] | None) -> Seeds:
    return tuple((int(row), int(seed)) for row, seed in changes or ())


def legal_length(rows: int) -> int:
    """The shortest video of at least `rows` frames: 9, 21, 33, ..."""
    return frames_of_blocks(blocks_of_frames(max(rows, 1) - 1) + 1)


def canonical_lanes(variant: Variant, lanes: Mapping[str, Sequence[Sequence[Any]]]) -> Lanes:
    """Every lane of the variant, in order, without entries that change nothing."""
    out: Lanes = {key: [[int(a), int(n)] for a, n in lanes.get(key, ())] for key in held_keys(variant)}
    out.update({axis: curve.canonical_entries([list(e) for e in lanes.get(axis, ())]) for axis in camera_axes(variant)})
    return out


def track_of_lanes(variant: Variant, lanes: Mapping[str, Sequence[Sequence[Any]]], rows: int) -> ActionTrack:
    """The track of `rows` rows that the lanes describe."""
    keyboard = np.zeros((rows, len(variant.keys)), np.float32)
    for key in held_keys(variant):
        for start, length in lanes.get(key, ()):
            keyboard[start : start + length, variant.keys.index(key)] = 1
    if variant.exclusive:
        keyboard[:, variant.keys.index("idle")] = ~keyboard.any(axis=1)
    if not variant.mouse:
        return ActionTrack(variant, keyboard, None)
    yaw, pitch = (curve.sample_lane([list(e) for e in lanes.get(axis, ())], rows) for axis in AXES)
    return ActionTrack(variant, keyboard, np.stack([pitch, yaw], axis=1).astype(np.float32))


def lanes_of_track(track: ActionTrack) -> Lanes:
    """The lanes that make exactly `track` and nothing after it; raises ActionError for pitch where none is used."""
    lanes: Lanes = {}
    for key in held_keys(track.variant):
        edges = np.diff(track.keyboard[:, track.variant.keys.index(key)], prepend=0, append=0)
        starts, stops = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        lanes[key] = [[int(a), int(b - a)] for a, b in zip(starts, stops, strict=True)]
    if track.mouse is not None:
        if not track.variant.pitch and track.mouse[:, 0].any():
            raise ActionError(f"{track.variant.name} never uses pitch; remove the camera movement up and down.")
        quiet = len(track) if legal_length(len(track)) > len(track) else None
        for axis in camera_axes(track.variant):
            column = 1 if axis == "yaw" else 0
            lanes[axis] = curve.held_entries(track.mouse[:, column])
            if quiet is not None and lanes[axis] and lanes[axis][-1][1] != 0:
                lanes[axis].append([quiet, 0])
    return lanes


def migrate(data: object, migrations: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] | None = None) -> Any:
    """`data` brought to this version, one step at a time; other values come back as they are, to be checked."""
    steps = MIGRATIONS if migrations is None else migrations
    while isinstance(data, Mapping) and type(data.get("version")) is int and data["version"] in steps:
        before = data["version"]
        data = steps[before](data)
        if data.get("version") != before + 1:
            raise ActionError(f"The step from timeline version {before} made version {data.get('version')}.")
    return data


def save_document(timeline: Timeline, path: str | Path) -> None:
    """Write `timeline` as JSON; raises NewerVersionError rather than overwrite a document of a newer version."""
    path = Path(path)
    if path.exists():
        try:
            Timeline.from_text(read_text_file(path, MAX_FILE).text)
        except NewerVersionError as error:
            raise NewerVersionError(f"{path} was not overwritten. {error}") from None
        except (ActionError, OSError):
            pass  # whatever it is, it is not a document that we would lose something of
    write_whole(path, (json.dumps(timeline.to_json(), ensure_ascii=False) + "\n").encode())
