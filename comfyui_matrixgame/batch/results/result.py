"""What is written down about a result: `result.json`, the last of its files, and the same text in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...actions.drawing.chart import lane_names, lane_values
from ...actions.track import ActionTrack, rows_of_blocks
from ...system.files import take_place
from ...variants import get_variant

VERSION = 1
RESULTS = "results"  # the folder of a store that they lie in
RESULT_FILE = "result.json"
SEED = "seed"  # the lane of changes of the seed
Lanes = dict[str, list[list[float]]]
"""Lanes as [first row, value] wherever the value changes."""


class Item(NamedTuple):
    """One of the things that are kept: a file, or a folder of pictures, below the result's folder, and its size."""

    file: str
    bytes: int


@dataclass(frozen=True)
class Result:
    """A finished result. The fields are those of the file, in its order.

    key: its name. block: of its last block; "" where that is not known. labels: what the fields of its job's name
    stand for. first_block: blocks of a clip before it. size: height, width. lanes: its inputs. items: what is kept.
    thumbnail: a file. seconds: of the models ("model") and of all ("all"). worker: who made it. program: version of
    this package. finished: when, in seconds since the epoch.
    """

    key: str
    block: str
    variant: str
    labels: dict[str, str]
    seed: int
    blocks: int
    first_block: int
    frames: int
    size: tuple[int, int]
    lanes: Lanes
    version: int
    items: dict[str, Item]
    thumbnail: str | None
    seconds: dict[str, float]
    worker: str
    program: str
    engine_version: int
    finished: float

    @property
    def place(self) -> str:
        """Where it lies in its store."""
        return result_path(self.key)

    @property
    def bytes(self) -> int:
        """Of all that is kept."""
        return sum(item.bytes for item in self.items.values())

    @property
    def video(self) -> str | None:
        """The video to play, below the result's folder: with the overlay where there is one."""
        return min((item.file for item in self.items.values() if item.file.endswith(".mp4")), default=None)

    @property
    def rows(self) -> int:
        """Input rows of the job: a frame fewer than it has where it began with a picture."""
        return self.frames - (self.first_block == 0)

    def has(self, items: tuple[str, ...]) -> bool:
        """Whether all of these are kept."""
        return set(items) <= self.items.keys()

    def track(self) -> ActionTrack:
        """The inputs, to the last bit: the rows that its blocks were the first to read."""
        variant = get_variant(self.variant)
        return track_of_short_lanes(variant.name, self.lanes, rows_of_blocks(self.blocks, self.first_block))

    def with_items(self, items: dict[str, Item]) -> Result:
        """The same with other items."""
        return replace(self, items=items)

    def text(self) -> str:
        """As JSON."""
        raw = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps(raw | {"items": {name: item._asdict() for name, item in self.items.items()}})

    def write(self, folder: Path) -> None:
        """Write it into its folder, whole or not at all."""
        part = folder / f"{RESULT_FILE}.part"
        part.write_text(self.text(), encoding="utf-8")
        take_place(part, folder / RESULT_FILE)


def result_of_text(text: str | bytes) -> Result:
    """The reader of `Result.text`; raises ValueError where it is none."""
    raw = json.loads(text)
    try:
        values: dict[str, Any] = {field.name: raw[field.name] for field in fields(Result)}
        values["items"] = {name: Item(item["file"], item["bytes"]) for name, item in values["items"].items()}
        height, width = values["size"]
        values["size"] = (height, width)
        return Result(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no result: {error}") from None


def read_result(read: Callable[[], bytes]) -> Result | None:
    """What a result says; None where that is cut short or something else, so that the result is not whole."""
    try:
        return result_of_text(read())
    except ValueError:
        return None


def result_path(key: str) -> str:
    """Where a result lies in its store."""
    return f"{RESULTS}/{key[:2]}/{key}"


def short_lanes(track: ActionTrack) -> Lanes:
    """The lanes of a track, and one of the changes of its seed where there are some."""
    lanes = {}
    pitch = track.mouse is not None and bool(track.mouse[:, 0].any())  # also where the variant has no lane for it
    for name in dict.fromkeys((*lane_names(track), *(("pitch",) if pitch else ()))):
        values = lane_values(track, name)
        at = np.flatnonzero(np.diff(values, prepend=np.nan))
        lanes[name] = [[int(row), float(np.format_float_positional(values[row]))] for row in at]
    if track.seeds:
        lanes[SEED] = [[row, seed] for row, seed in track.seeds]
    return lanes


def track_of_short_lanes(variant_name: str, lanes: Lanes, rows: int) -> ActionTrack:
    """The reader of `short_lanes`: a track of so many rows, to the last bit."""
    variant = get_variant(variant_name)
    columns = {name: np.zeros(rows, np.float32) for name in (*variant.keys, "pitch", "yaw")}
    for name, steps in lanes.items():
        for row, value in steps if name != SEED else ():
            columns[name][int(row) :] = value
    keyboard = np.stack([columns[key] for key in variant.keys], axis=1)
    if variant.exclusive:
        keyboard[:, variant.keys.index("idle")] = ~keyboard.any(axis=1)
    mouse = np.stack([columns["pitch"], columns["yaw"]], axis=1) if variant.mouse else None
    seeds = tuple((int(row), int(seed)) for row, seed in lanes.get(SEED, ()))
    return ActionTrack(variant, keyboard, mouse, seeds=seeds)
