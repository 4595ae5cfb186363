"""Timelines and tracks as script text: `parse_script(print_script(x))` gives x again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...variants import FRAMES_PER_BLOCK, Variant
from ..document import Lanes, Marker, Timeline, lanes_of_track, legal_length
from ..track import ActionTrack
from ..vocabulary import camera_axes, held_keys

_WIDTH = 100  # characters of a line of lanes
_WORDS = {"yaw": ("left", "right"), "pitch": ("down", "up")}
Piece = tuple[int, int, str]  # start, stop, what a chord says; "" for nothing


def print_script(what: Timeline | ActionTrack, rows: int | None = None) -> str:
    """The script of a timeline (its active lanes, its markers and the seeds in use) or of exactly the rows of a track.

    rows: the rows that the script of a timeline asks for, where they are fewer than its length.

    One step a line where every ramp fits into a step, else lanes side by side.
    """
    if isinstance(what, ActionTrack):
        lanes, markers, seeds, rows, exact = lanes_of_track(what), (), what.seeds, len(what), True
    else:
        lanes, markers, seeds, exact = what.active_lanes(), what.markers, what.active_seeds(), rows is not None
        rows = what.length if rows is None else rows
    variant = what.variant
    columns = {"keys": list(_key_pieces(variant, lanes))}
    columns.update(
        {axis: list(_camera_pieces(axis, lanes[axis], rows, variant.camera.speed)) for axis in camera_axes(variant)}
    )
    used = max(pieces[-1][1] if pieces else 0 for pieces in columns.values())
    head = [f"@variant {variant.name}"]
    if not used or used > rows or (used if exact else legal_length(used)) != rows:
        head.append(f"@length {rows}")
    steps = _steps(columns)
    body = _lane_lines(columns) if steps is None else steps
    signs = [*(_marker(marker) for marker in markers), *(f"seed {seed} at {t}" for t, seed in seeds if t < rows)]
    return "\n".join([*head, *signs, *body]) + "\n"


def _key_pieces(variant: Variant, lanes: Lanes) -> Iterator[Piece]:
    """Stretches of the same keys, up to the last key that is held."""
    edges: dict[int, list[tuple[str, bool]]] = {}
    for key in held_keys(variant):
        for start, length in lanes[key]:
            edges.setdefault(start, []).append((key, True))
            edges.setdefault(start + length, []).append((key, False))
    held: set[str] = set()
    at = 0
    for t in sorted(edges):
        if t > at:
            yield at, t, "+".join(key for key in held_keys(variant) if key in held)
        at = t
        held.difference_update(key for key, down in edges[t] if not down)
        held.update(key for key, down in edges[t] if down)


def _camera_pieces(axis: str, entries: Sequence[Sequence[Any]], rows: int, usual: float) -> Iterator[Piece]:
    """Holds and ramps of a canonical lane, up to the last that is not 0. usual: the speed that words have."""
    at, value = 0, 0.0
    for entry in entries:
        if entry[0] > at:
            yield at, entry[0], _hold(axis, value, usual)
        at, value = entry[0], entry[-1]
        if len(entry) == 5:
            ease = "" if entry[2] == "linear" else f" {entry[2]}"
            yield at, at + entry[3], f"{axis}({_number(entry[1])} -> {_number(entry[4])}{ease})"
            at += entry[3]
    if value and at < rows:
        yield at, rows, _hold(axis, value, usual)


def _steps(columns: dict[str, list[Piece]]) -> list[str] | None:
    """One line for each stretch in which nothing changes; None where that would cut a ramp."""
    cuts = sorted({t for pieces in columns.values() for start, stop, _ in pieces for t in (start, stop)})
    at = dict.fromkeys(columns, 0)
    lines = []
    for start, stop in pairwise(cuts):
        chord = []
        for name, pieces in columns.items():
            while at[name] < len(pieces) and pieces[at[name]][1] <= start:
                at[name] += 1
            piece = pieces[at[name]] if at[name] < len(pieces) else (stop, stop, "")
            if piece[0] > start or not piece[2]:
                continue
            if "->" in piece[2] and piece[:2] != (start, stop):
                return None
            chord.append(piece[2])
        lines.append(f"{'+'.join(chord) or 'idle'} {_frames(stop - start)}")
    return lines


def _lane_lines(columns: dict[str, list[Piece]]) -> list[str]:
    lines = []
    for name, pieces in columns.items():
        line = f"{name}: "
        for i, (start, stop, chord) in enumerate(pieces):
            step = f"{chord or 'idle'} {_frames(stop - start)}" + (", " if i + 1 < len(pieces) else "")
            if len(line) + len(step) > _WIDTH:
                lines.append(line.rstrip())
                line = "    "
            line += step
        if pieces:
            lines.append(line)
    return lines


def _hold(axis: str, value: float, usual: float) -> str:
    if not value:
        return ""
    if abs(value) == usual:
        return _WORDS[axis][value > 0]
    return f"{axis}({_number(value)})"


def _number(value: float) -> str:
    """All digits that are needed, without an exponent."""
    return np.format_float_positional(value, trim="-")


def _frames(frames: int) -> str:
    return f"{frames // FRAMES_PER_BLOCK}b" if frames % FRAMES_PER_BLOCK == 0 else str(frames)


def _marker(marker: Marker) -> str:
    name = marker.name
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f":{name} at {marker.t}" + " pin" * marker.pin
