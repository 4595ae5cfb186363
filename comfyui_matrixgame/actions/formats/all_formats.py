"""Every format of inputs, one record each: what it is called, how it is recognised, read and written.

`recognise`, the choices of `--from` and `--to`, the endings of files and what counts as a path follow from FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import ActionError
from ...variants import Variant, default_variant
from ..document import Lanes, Timeline, track_of_lanes
from ..script.printer import print_script
from ..script.read_script import parse_script
from ..track import ActionTrack
from . import camera_files, importers, poses, recordings, tables, writers
from .imported import Imported, parse_json
from .steps import json_lines

MAX_VALUES = 2_000_000  # numbers, names and brackets of a JSON text: reading costs time with each
_LOOK = 50  # lines that are looked at
_FIRST = 1 << 20  # characters of a line that is looked at


class Sample:
    """A normalised text with what recognising and reading it share, so that JSON is parsed once."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not empty, stripped."""
        lines = (line.strip() for line in self.text.lstrip().split("\n", _LOOK)[:_LOOK])
        return [line for line in lines if line]

    @cached_property
    def pose_kind(self) -> str:
        """See `camera_files.pose_kind`."""
        return camera_files.pose_kind(self.lines)

    @cached_property
    def is_json(self) -> bool:
        return bool(self.lines) and self.lines[0][0] in "{["

    @cached_property
    def is_lines(self) -> bool:
        """Whether the first of several lines is a JSON value of its own."""
        return self.is_json and len(self.lines) > 1 and self._first_line is not None

    @cached_property
    def _first_line(self) -> Any:
        line = self.lines[0]
        try:
            return parse_json(line) if len(line) <= _FIRST and line[-1] in "}]" else None
        except (ValueError, RecursionError):
            return None

    @property
    def data(self) -> Any:
        """The JSON value of the whole text; raises ActionError that says where it breaks."""
        value, fault = self._parsed
        if fault:
            raise ActionError(fault)
        return value

    @cached_property
    def _parsed(self) -> tuple[Any, str]:
        """The JSON value of the whole text, or why there is none."""
        text = self.text
        if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
            return None, f"This JSON has more than {MAX_VALUES:,} values, which no input needs; split it."
        try:
            return parse_json(text), ""
        except (ValueError, RecursionError) as error:
            return None, f"This timeline is not readable JSON: {error}."

    @cached_property
    def object(self) -> dict[str, Any]:
        """The one JSON object of the text, or an empty one where it is something else."""
        value = self._parsed[0] if self.is_json and not self.is_lines else None
        return value if isinstance(value, dict) else {}

    @cached_property
    def step(self) -> dict[str, Any]:
        """The first step of a recording: of JSON lines, of a list, or of `steps` or `actions` in an object."""
        if self.is_lines:
            return self._first_line if isinstance(self._first_line, dict) else {}
        if not self.is_json:
            return {}
        steps = self._list()
        if steps is None:
            return self.object
        return steps[0] if steps and isinstance(steps[0], dict) else {}

    @property
    def steps(self) -> Any:
        """(line or number, step) of a recording."""
        if self.is_lines or not self.is_json or self._parsed[1]:
            return json_lines(self.text)
        steps = self._list()
        return enumerate([self.object] if steps is None else steps, 1)

    def _list(self) -> list[Any] | None:
        data = self._parsed[0] if self.is_json else None
        if isinstance(data, dict):
            data = next((data[name] for name in ("steps", "actions") if isinstance(data.get(name), list)), None)
        return data if isinstance(data, list) else None

    @cached_property
    def frame(self) -> dict[str, Any]:
        """The frame "0" of an object whose names are the numbers of frames."""
        first = self.object.get("0", next(iter(self.object.values()), None))
        return first if isinstance(first, dict) and all(name.isdecimal() for name in list(self.object)[:9]) else {}


Reader = Callable[[Sample, Variant | None], Imported]


@dataclass(frozen=True)
class Format:
    """One format.

    name: as `--from` takes it. what: as a sentence calls it. endings: of files; where `certain`, a file with that
    ending is of this format whatever it looks like, except where a `headed` one, told by a heading of its own, looks
    so. plain: its text does not begin as JSON does. looks_like, read: of text. write: the text of a track.
    """

    name: str
    what: str
    looks_like: Callable[[Sample], bool]
    read: Reader | None
    endings: tuple[str, ...] = ()
    certain: bool = False
    plain: bool = False
    headed: bool = False
    write: Callable[[ActionTrack], str] | None = None


def _timeline(sample: Sample, chosen: Variant | None) -> Imported:
    data = sample.data
    if not isinstance(data, dict) or not data.keys() & {"format", "tracks", "version"}:
        raise ActionError(
            f"This JSON is none of the inputs that are known here; it holds {_names(data)}. Known are "
            f"{', '.join(f.what for f in FORMATS if f.read is not None)}."
        )
    timeline = Timeline.from_json(data)
    if chosen is not None and not chosen.takes(timeline.variant):
        raise ActionError(f"The timeline is for {timeline.variant.name}, but here the variant is {chosen.name}.")
    _check_source(timeline)
    take = timeline.extra.get("take")
    said = [take if isinstance(take, dict) else {}, *timeline.branches]
    return Imported(timeline.track(), (_CHANGED,) if any(each.get("changes") for each in said) else (), timeline)


def _script(sample: Sample, chosen: Variant | None) -> Imported:
    script = parse_script(sample.text, chosen)
    return Imported(script.track, tuple(w.format() for w in script.warnings), script.document)


def _realestate(sample: Sample, chosen: Variant | None) -> Imported:
    track, report = poses.read_realestate(sample.text, chosen or default_variant())
    return Imported(track, (str(report),))


def _conditions(sample: Sample, chosen: Variant | None) -> Imported:
    variant = chosen or default_variant()
    keyboard, mouse = recordings.read_conditions(_object(sample), importers.NPY_NAMES, variant)
    if keyboard is None:
        raise ActionError("The recording holds rows of the camera and none of keys (keyboard_cond).")
    return importers.read_arrays(keyboard, mouse, variant)


def _of_text(read: Callable[[str, Variant], Imported]) -> Reader:
    return lambda sample, chosen: read(sample.text, chosen or default_variant())


def _of_object(read: Callable[[dict[str, Any], Variant], Imported], *needed: str) -> Reader:
    return lambda sample, chosen: read(_object(sample, *needed), chosen or default_variant())


def _of_steps(read: Callable[[Any, Variant], Imported]) -> Reader:
    return lambda sample, chosen: read(sample.steps, chosen or default_variant())


def _object(sample: Sample, *needed: str) -> dict[str, Any]:
    """The JSON object of a text that was said to be one."""
    data = sample.data
    if not isinstance(data, dict) or not data:
        raise ActionError("The recording must be a JSON object.")
    for name in needed:
        if not isinstance(data.get(name), (dict, list)):
            raise ActionError(f"The recording has no {name}.")
    return data


def _has(names: set[str], *places: str) -> Callable[[Sample], bool]:
    """Whether one of `names` is in the object, step or frame of a text that is no timeline."""

    def look(sample: Sample) -> bool:
        found = sample.is_json and any(names & getattr(sample, place).keys() for place in places)
        return found and "format" not in sample.object

    return look


def _is_gf(sample: Sample) -> bool:
    actions = sample.object.get("actions")
    first = next(iter(actions.values()), None) if isinstance(actions, dict) else None
    return isinstance(first, dict) and bool(first.keys() & {"ws", "ad"})


def _is_transforms(sample: Sample) -> bool:
    frames = sample.object.get("frames")
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "transform_matrix" in frames[0]


def _is_conditions(sample: Sample) -> bool:
    if not sample.is_json:
        return False
    rows = [sample.object.get(name) for names in importers.NPY_NAMES for name in names]
    return any(isinstance(each, list) and each and isinstance(each[0], list) for each in rows)


_POSES = {"extrinsic", "w2c", "c2w"}
FORMATS = (
    Format("timeline", "timelines", lambda s: s.is_json, _timeline, (".json",)),
    Format("script", "scripts", lambda s: True, _script, (".mgs",), certain=True, plain=True, write=print_script),
    Format("csv", "tables", lambda s: tables.is_table(s.lines), _of_text(importers.read_csv), (".csv", ".tsv"),
           certain=True, plain=True, write=writers.write_csv),
    Format("conditions", "rows of keyboard_cond and mouse_cond", _is_conditions, _conditions),
    Format("vpt", "VPT", _has({"keyboard", "mouse", "tick"}, "step"), _of_steps(recordings.vpt_of),
           (".jsonl", ".ndjson"), write=writers.write_vpt),
    Format("hy", "HY-WorldPlay strings", lambda s: False, _of_text(importers.read_hy), write=writers.write_hy),
    Format("gamecraft", "Hunyuan-GameCraft", lambda s: "--action-list" in s.text[:100_000],
           _of_text(importers.read_gamecraft_text), plain=True, write=writers.write_gamecraft),
    Format("realestate", "RealEstate10K", lambda s: s.pose_kind == "realestate", _realestate,
           plain=True, write=poses.write_realestate),
    Format("kitti", "KITTI poses", lambda s: s.pose_kind == "kitti",
           _of_text(camera_files.read_kitti), plain=True),
    Format("tum", "TUM trajectories", lambda s: s.pose_kind == "tum",
           _of_text(camera_files.read_tum), plain=True),
    Format("euroc", "EuRoC's ground truth", lambda s: s.pose_kind == "euroc", _of_text(camera_files.read_euroc),
           plain=True, headed=True),
    Format("colmap", "COLMAP's images.txt", lambda s: s.pose_kind == "colmap", _of_text(camera_files.read_colmap),
           plain=True),
    Format("transforms", "transforms.json of NeRF", _is_transforms, _of_object(camera_files.read_transforms, "frames")),
    Format("hy_poses", "HY-WorldPlay poses", _has(_POSES, "frame"), _of_object(camera_files.read_pose_frames)),
    Format("frame_actions", "FastVideo's mg_actions.json", _has({"move_action", "view_action"}, "frame"),
           _of_object(recordings.read_frame_actions)),
    Format("gf_minecraft", "GF-Minecraft", _is_gf, _of_object(recordings.read_gf_minecraft, "actions")),
    Format("minerl", "MineRL actions", _has({"camera"}, "step"), _of_steps(recordings.minerl_of)),
    Format("biome", "Biome's logs", lambda s: s.step.get("type") in ("session_start", "frame_input"),
           _of_steps(recordings.biome_of), write=writers.write_biome),
    Format("flashdreams", "FlashDreams controls", _has({"buttons", "mouse_dx", "schema_version"}, "step", "object"),
           _of_object(recordings.read_controls, "actions"), write=writers.write_flashdreams),
    Format("npy", "arrays", lambda s: False, None, (".npy", ".npz")),
)  # fmt: skip
BY_NAME = {each.name: each for each in FORMATS}
KINDS = tuple(BY_NAME)
ENDINGS = {ending: each.name for each in FORMATS for ending in each.endings}
_CHANGED = (
    "The picture was changed in this take; `matrixgame render` changes it again, and whatever else reads it has the "
    "inputs alone."
)
_LAST = ("timeline", "csv", "script")  # these take almost any text, so the others are asked first
_ORDER = [each for each in FORMATS if each.name not in _LAST] + [BY_NAME[name] for name in _LAST]
_ORDER_OF_PLAIN = [each for each in _ORDER if each.plain]


def recognise(text: str) -> str:
    """The format of normalised text: one of KINDS; what is nothing else is a script."""
    return recognise_sample(Sample(text))


def recognise_sample(sample: Sample) -> str:
    """See `recognise`."""
    order = _ORDER if sample.is_json else _ORDER_OF_PLAIN
    return next(each.name for each in order if each.looks_like(sample)) if sample.lines else "script"


def certain_kind(ending: str, sample: Sample) -> str | None:
    """The format that a file with this ending is of, whatever else it looks like; None where its text decides."""
    named = ENDINGS.get(ending.lower())
    headed = any(each.headed and each.looks_like(sample) for each in FORMATS)
    return named if named and BY_NAME[named].certain and not headed else None


def kind_of_file(ending: str, sample: Sample) -> str:
    """The format of a file: what its ending is certain of, what its text looks like, or what the ending hints at."""
    if certain := certain_kind(ending, sample):
        return certain
    named, found = ENDINGS.get(ending.lower()), recognise_sample(sample)
    return named if named and (found == "script" or (found == "timeline" and not sample.object)) else found


def _names(data: Any) -> str:
    if isinstance(data, list):
        return f"a list of {len(data)}" if data else "nothing"
    if not isinstance(data, dict):
        return "one value"
    names = [str(name)[:40] for name in data]
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "nothing"


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
    same_seeds = made.seeds in (timeline.seeds, timeline.active_seeds())
    same_rows = any(_same_rows(made.lanes, each, timeline) for each in lanes)
    if made.length != timeline.length or not same_rows or not same_seeds:
        raise ActionError(
            "The timeline's lanes or seeds are not those of the script it says it was made from; open it in the editor "
            "and change either, or take its 'source' out."
        )


def _same_rows(one: Lanes, other: Lanes, timeline: Timeline) -> bool:
    a, b = (track_of_lanes(timeline.variant, lanes, timeline.length) for lanes in (one, other))
    same = a.mouse is None or b.mouse is None or np.allclose(a.mouse, b.mouse, rtol=0, atol=1e-6)
    return same and np.array_equal(a.keyboard, b.keyboard)
