"""Checking a timeline document without any library, with messages that name the place (see timeline.schema.json)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..errors import ActionError
from ..variants import FPS, FRAMES_PER_BLOCK, VARIANTS, Variant, frames_of_blocks, refresh
from . import MAX_SEED
from .vocabulary import AXES, EASINGS, held_keys

FORMAT = "matrixgame.timeline"
VERSION = 1
MAX_FRAMES = 90_009  # one hour at 25 frames a second, and a whole number of blocks
MAX_MARKERS = 1000
MAX_BRANCHES = 100
MAX_SEEDS = 1000  # changes of the seed
MAX_NAME = 200  # characters of a marker or branch name
_NAME = f"a name of 1 to {MAX_NAME} characters, without line breaks and tabs"


class NewerVersionError(ActionError):
    """A document of a newer version than this one can read: it is left as it is."""


def check_document(data: Any) -> Mapping[str, Any]:
    """`data` if it is a timeline document of this version; raises ActionError that names the first fault."""
    _need(isinstance(data, Mapping), "", "a JSON object")
    _need(data.get("format") == FORMAT, "format", f'"{FORMAT}"')
    version = data.get("version")
    _need(_whole(version) and version >= 1, "version", "a whole number from 1")
    if version > VERSION:
        raise NewerVersionError(
            f"This timeline is version {int(version)} and this node pack reads version {VERSION}: update the node "
            "pack. The timeline was not changed."
        )
    name = data.get("variant")
    variant = _variant(name)
    _need(_number(data.get("fps", FPS)) and data.get("fps", FPS) == FPS, "fps", str(FPS))
    length = data.get("length")
    _need(_whole(length) and frames_of_blocks(1) <= length <= MAX_FRAMES, "length", f"9 to {MAX_FRAMES}")
    if (length - 9) % FRAMES_PER_BLOCK:
        below = int(length - (length - 9) % FRAMES_PER_BLOCK)
        _need(False, "length", f"9, 21, 33, ... (9 + 12 n); the nearest to {length:g} are {below} and {below + 12}")
    _check_tracks(data.get("tracks"), "tracks", variant, length)
    _check_markers(data.get("markers"), length)
    loop = data.get("loop")
    if loop is not None:
        good = _list(loop) and len(loop) == 2 and all(_whole(t) for t in loop) and 0 <= loop[0] < loop[1] <= length
        _need(good, "loop", f"null or [start, stop] with 0 <= start < stop <= {length:g}")
    _check_seeds(data.get("seeds"), "seeds", length)
    _check_branches(data, variant, length)
    return data


def _variant(name: Any) -> Variant:
    known = ", ".join(VARIANTS)
    _need(isinstance(name, str), "variant", f"one of {known}")
    if name not in VARIANTS:
        refresh()
    other = f", and there is no description of '{name[:40]}' here" if re.fullmatch("[a-z][a-z0-9_]*", name) else ""
    _need(name in VARIANTS, "variant", f"one of {known}{other}")
    return VARIANTS[name]


def _check_tracks(tracks: Any, path: str, variant: Variant, length: int) -> None:
    _need(isinstance(tracks, Mapping), path, "an object of lanes")
    lanes = (*held_keys(variant), *(AXES if variant.mouse else ()))
    for name, entries in tracks.items():
        place = f"{path}.{name}"
        _need(name in lanes, place, f"absent: {variant.name} has the lanes {', '.join(lanes)}")
        _need(_list(entries), place, "a list")
        if name in AXES:
            _check_curve(entries, place, length, variant.camera.limit)
            if name == "pitch" and not variant.pitch:
                still = all(entry[1] == 0 and (len(entry) == 2 or entry[4] == 0) for entry in entries)
                _need(still, place, f"empty: {variant.name} never uses pitch")
        else:
            _check_runs(entries, place, length)
    if variant.exclusive:
        _check_exclusive(tracks, path, variant)


def _check_runs(runs: Sequence[Any], path: str, length: int) -> None:
    free = 0
    for i, run in enumerate(runs):
        place = f"{path}[{i}]"
        _need(_list(run) and len(run) == 2 and all(_whole(n) for n in run), place, "[start, length], whole numbers")
        start, count = run
        _need(start >= 0 and count >= 1, place, "a start of 0 or more and a length of 1 or more")
        _need(start + count <= length, place, f"over by row {length:g}, the length of the timeline")
        _need(start >= free, place, "after the run before it, with a gap between them (join runs that touch)")
        free = start + count + 1


def _check_curve(entries: Sequence[Any], path: str, length: int, limit: float) -> None:
    free = 0
    for i, entry in enumerate(entries):
        place = f"{path}[{i}]"
        _need(_list(entry) and len(entry) in (2, 5), place, "[row, value] or [row, from, easing, length, to]")
        _need(_whole(entry[0]) and 0 <= entry[0] < length, f"{place}[0]", f"a row from 0 to {length - 1:g}")
        for j in range(1, len(entry), 3):
            good = _number(entry[j]) and abs(entry[j]) <= limit
            _need(good, f"{place}[{j}]", f"a number from -{limit:g} to {limit:g}")
        _need(entry[0] >= free, place, "later than the entry before it has ended")
        free = entry[0] + 1
        if len(entry) == 5:
            is_easing = isinstance(entry[2], str) and entry[2] in EASINGS
            _need(is_easing, f"{place}[2]", f"an easing: {', '.join(EASINGS)}")
            good = _whole(entry[3]) and 1 <= entry[3] <= MAX_FRAMES
            _need(good, f"{place}[3]", f"a length from 1 to {MAX_FRAMES}")
            free = entry[0] + entry[3]


def _check_exclusive(tracks: Mapping[str, Any], path: str, variant: Variant) -> None:
    runs = sorted((start, count, name) for name in held_keys(variant) for start, count in tracks.get(name, ()))
    for (start, count, name), (after, _, other) in pairwise(runs):
        if after < start + count:
            raise ActionError(
                f"Timeline, {path}: {variant.name} takes one action at a time, and row {after:g} has both {name} and "
                f"{other}."
            )


def _check_markers(markers: Any, length: int) -> None:
    if markers is None:
        return
    _need(_list(markers) and len(markers) <= MAX_MARKERS, "markers", f"a list of at most {MAX_MARKERS}")
    for i, marker in enumerate(markers):
        place = f"markers[{i}]"
        _need(isinstance(marker, Mapping), place, "an object")
        t = marker.get("t")
        _need(_whole(t) and 0 <= t <= length, f"{place}.t", f"a row from 0 to {length:g}")
        _need(_name(marker.get("name")), f"{place}.name", _NAME)
        _need(isinstance(marker.get("pin", False), bool), f"{place}.pin", "true or false")


def _check_seeds(seeds: Any, path: str, length: int) -> None:
    if seeds is None:
        return
    _need(_list(seeds) and len(seeds) <= MAX_SEEDS, path, f"a list of at most {MAX_SEEDS}")
    free = 0
    for i, change in enumerate(seeds):
        place = f"{path}[{i}]"
        _need(_list(change) and len(change) == 2 and all(map(_whole, change)), place, "[row, seed], whole numbers")
        _need(0 <= change[0] < length, f"{place}[0]", f"a row from 0 to {length - 1:g}")
        _need(change[0] >= free, f"{place}[0]", "later than the row of the change before it")
        _need(0 <= change[1] <= MAX_SEED, f"{place}[1]", f"a seed from 0 to {MAX_SEED}")
        free = change[0] + 1


def _check_branches(data: Mapping[str, Any], variant: Variant, length: int) -> None:
    branches = data.get("branches")
    branches = [] if branches is None else branches
    _need(_list(branches) and len(branches) <= MAX_BRANCHES, "branches", f"a list of at most {MAX_BRANCHES}")
    ids: list[str] = []
    for i, branch in enumerate(branches):
        place = f"branches[{i}]"
        _need(isinstance(branch, Mapping), place, "an object")
        _need(_name(branch.get("id")) and branch["id"] not in ids, f"{place}.id", "an id that no other branch has")
        ids.append(branch["id"])
        _need(_name(branch.get("name")), f"{place}.name", _NAME)
        fork = branch.get("fork")
        _need(_whole(fork) and 0 <= fork <= length, f"{place}.fork", f"a row from 0 to {length:g}")
        _check_tracks(branch.get("tracks"), f"{place}.tracks", variant, length)
        _check_seeds(branch.get("seeds"), f"{place}.seeds", length)
        if variant.exclusive:
            _check_exclusive({**data["tracks"], **branch["tracks"]}, f"{place}.tracks", variant)
    active = data.get("active")
    _need(active is None or (isinstance(active, str) and active in ids), "active", "null or the id of a branch")


def _need(good: bool, path: str, expected: str) -> None:
    if not good:
        raise ActionError(f"Timeline, {path}: must be {expected}." if path else f"A timeline must be {expected}.")


def _list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _number(value: Any) -> bool:
    """Whether JSON Schema counts a value as a number: true, false, NaN and infinity are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all that a browser can hold
        return False


def _whole(value: Any) -> bool:
    return _number(value) and value == int(value)


def _name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME and min(value) >= " "
