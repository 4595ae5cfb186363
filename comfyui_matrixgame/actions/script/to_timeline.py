"""Statements to a timeline: times added up, repeats unrolled, runs joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...variants import FRAMES_PER_BLOCK
from .. import curve
from ..check_document import MAX_MARKERS, MAX_SEEDS
from ..document import Lanes as DocumentLanes
from ..document import Marker, Timeline, canonical_lanes, legal_length
from ..track import Seeds
from ..vocabulary import AXES, camera_axes, held_keys
from .parser import Parser
from .statements import Lanes, Mark, Ramp, Repeat, Seed, Statement, Step, Wait


class _Writer:
    """Lanes while they are written, from left to right."""

    def __init__(self) -> None:
        self.now = 0
        self.runs: dict[str, list[list[int]]] = {}
        self.camera: dict[str, list[list[Any]]] = {axis: [] for axis in AXES}
        self.values: dict[str, float] = dict.fromkeys(AXES, 0.0)
        self.marks: list[tuple[int, Mark]] = []
        self.seeds: dict[int, Seed] = {}

    def play(self, body: Sequence[Statement]) -> None:
        for statement in body:
            if isinstance(statement, Repeat):
                for _ in range(statement.times):
                    self.play(statement.body)
            elif isinstance(statement, Mark):
                self.marks.append((self.now if statement.at is None else statement.at, statement))
            elif isinstance(statement, Seed):
                self.seeds[self.now if statement.at is None else statement.at] = statement
            else:
                if isinstance(statement, Lanes):
                    self._side_by_side(statement)
                else:
                    self._alone(statement)
                self.now += statement.frames

    def _alone(self, statement: Step | Wait) -> None:
        camera: dict[str, Ramp] = {}
        if isinstance(statement, Step):
            camera = statement.camera
            for key in statement.keys:
                self._hold(key, self.now, statement.frames)
        for axis in AXES:
            self._turn(axis, self.now, statement.frames, camera.get(axis))

    def _side_by_side(self, statement: Lanes) -> None:
        axes = set(AXES)
        for name, steps in statement.lanes:
            mine = {"keys": (), "cam": AXES}.get(name, (name,))
            axes -= set(mine)
            t = self.now
            for step in steps:
                for key in step.keys:
                    self._hold(key, t, step.frames)
                for axis in mine:
                    self._turn(axis, t, step.frames, step.camera.get(axis))
                t += step.frames
            if t < self.now + statement.frames:
                axes |= set(mine)
                for axis in mine:
                    self._turn(axis, t, 0, None)
                axes -= set(mine)
        for axis in axes:
            self._turn(axis, self.now, statement.frames, None)

    def _hold(self, key: str, t: int, frames: int) -> None:
        runs = self.runs.setdefault(key, [])
        if runs and runs[-1][0] + runs[-1][1] == t:
            runs[-1][1] += frames
        else:
            runs.append([t, frames])

    def _turn(self, axis: str, t: int, frames: int, ramp: Ramp | None) -> None:
        if ramp is None:
            if self.values[axis]:
                self.camera[axis].append([t, 0.0])
                self.values[axis] = 0.0
            return
        if ramp.ease is not None:
            self.camera[axis].append([t, ramp.start, ramp.ease, frames, ramp.stop])
        elif ramp.start != self.values[axis]:
            self.camera[axis].append([t, ramp.start])
        self.values[axis] = ramp.stop


def write_timeline(parser: Parser, body: Sequence[Statement], text: str) -> tuple[Timeline, int]:
    """The timeline of the statements that `parser` has read, which remembers their text, and how many rows the script
    asks for."""
    frames = asked = sum(statement.frames for statement in body)
    if parser.length is not None:
        frames, place = parser.length
        if asked > frames:
            parser.warn("cut", f"the script has {asked} frames and is cut to {frames}", place)
    elif not frames:
        raise parser.error("empty", "the script has no steps", parser.end, "write for example: w 2b")
    length = legal_length(frames)
    _check_markers(parser, body, length)
    writer = _Writer()
    writer.play([*body, Wait(max(0, frames - asked))])
    if frames % FRAMES_PER_BLOCK not in (0, 8, 9):
        message = f"a length of {frames} is no whole number of blocks; the timeline is filled with idle up to {length}"
        parser.warn("filled", message, parser.end)
    variant = parser.variant
    lanes: DocumentLanes = {key: _cut(writer.runs.get(key, []), frames) for key in held_keys(variant)}
    for axis in camera_axes(variant):
        entries = [entry for entry in writer.camera[axis] if entry[0] < frames]
        lanes[axis] = _quiet_from(frames, entries) if frames < length else entries
    markers, seeds = _markers(writer, frames), _seeds(parser, writer, frames)
    extra = {"source": {"kind": "script", "text": text}}
    return Timeline(variant, length, canonical_lanes(variant, lanes), markers, seeds=seeds, extra=extra), frames


def _quiet_from(frames: int, entries: list[list[Any]]) -> list[list[Any]]:
    """The lane with 0 from row `frames` on; a ramp that would run past it becomes holds."""
    last = entries[-1] if entries else [0, 0]
    if len(last) == 5 and last[0] + last[3] > frames:
        values = curve.sample_lane([[0, *last[1:]]], frames - last[0])
        entries = entries[:-1] + [[last[0] + i, float(value)] for i, value in enumerate(values)]
    return [*entries, [frames, 0]]


def _cut(runs: list[list[int]], frames: int) -> list[list[int]]:
    return [[start, min(count, frames - start)] for start, count in runs if start < frames]


def _check_markers(parser: Parser, body: Sequence[Statement], length: int) -> None:
    """Before any row is written: a script that is refused costs no more than reading it."""
    for mark in body:
        if isinstance(mark, Mark) and mark.at is not None and mark.at > length:
            message = f"the marker is at {mark.at}, past the end of the script at {length}"
            raise parser.error("marker-past", message, mark.place)
    if sum(statement.markers for statement in body) > MAX_MARKERS:
        raise parser.error("markers", f"the script has more than {MAX_MARKERS} markers", parser.end)


def _seeds(parser: Parser, writer: _Writer, frames: int) -> Seeds:
    """Changes of the seed by row; of several at one row, the last. What no row follows has no effect."""
    kept = {row: change for row, change in writer.seeds.items() if row < frames}
    if len(kept) > MAX_SEEDS:
        raise parser.error("seeds", f"the script changes the seed more than {MAX_SEEDS} times", parser.end)
    for row, change in writer.seeds.items():
        if row >= frames:
            parser.warn("seed-unused", f"no step follows 'seed {change.seed}', so it changes nothing", change.place)
    return tuple((row, kept[row].seed) for row in sorted(kept))


def _markers(writer: _Writer, frames: int) -> tuple[Marker, ...]:
    """Markers by row; those that the steps which `@length` cuts off have set are cut off with them."""
    kept = [Marker(t, mark.name, mark.pin) for t, mark in writer.marks if t <= frames or mark.at is not None]
    return tuple(sorted(kept, key=lambda marker: marker.t))
