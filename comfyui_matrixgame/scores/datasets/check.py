"""One clip of a dataset, checked: is its film whole, do inputs and picture belong together, and in which units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import MatrixGameError, VideoError
from ...media.datasets.clips import Clip, ClipInputs
from ...system.words import counted
from ..film import CHUNK
from ..films.reading import MOST_PIXELS, Facts, facts_of, rows_for
from ..measures.asked import asked_of
from ..measures.lag import find_lag
from ..motion.camera import AXES
from ..motion.meter import STEP, MotionMeter
from .pace import Differences, cursor_frames, doubled_frames, gaps_in_time, jumps

LEAST_TURNS = 12  # pairs that turn, from which a unit is told
TURN = math.radians(0.2)  # of a pair: less is no turn
SEEN = np.array([TURN, TURN, 0.3, 0.3])  # of a pair, in radians and pixels of a picture 160 across
APART = (0.46, 2.2)  # of what inputs ask for: what turns by less or more is in another unit
MOST_SHOWN = 50  # numbers of frames


@dataclass
class ClipCheck:
    """What was found.

    error: why the clip cannot be used at all. lag: frames by which the picture comes after its inputs, None where it
    cannot be told (lag_why). signs: axis -> pairs of frames that move the right way, and the wrong one. swapped: axes,
    in words. turn: what the picture turns of what is asked for, None where too little turns. menus: rows with an open
    menu. cursor: rows that turn, and the picture does not. doubled, dropped: frames. faults: sentences.
    """

    name: str
    error: str = ""
    frames: int = 0
    rows: int = 0
    rate: float = 0.0
    size: tuple[int, int] = (0, 0)
    variant: str = ""
    lag: int | None = None
    lag_why: str = ""
    signs: dict[str, dict[str, int]] = field(default_factory=dict)
    swapped: list[str] = field(default_factory=list)
    turn: float | None = None
    menus: int = 0
    cursor: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def about(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Seen:
    """What a clip's film shows, whatever its inputs are. size: height, width. motion: [pairs, 4], see MotionMeter.
    changes: [frames], see Differences."""

    facts: Facts
    frames: int
    size: tuple[int, int]
    motion: NDArray[np.float64]
    changes: NDArray[np.float64]


def check_clip(
    clip: Clip, on_frames: Callable[[int], object] = lambda done: None, looked: Callable[..., Seen] | None = None
) -> ClipCheck:
    """Check a clip. A clip that cannot be read is one with an error, and never an exception of this package. looked:
    instead of `measure_clip`, where what a film shows is known."""
    try:
        inputs = clip.read()
        seen = (looked or measure_clip)(clip, on_frames)
        return judge_clip(clip, inputs, seen)
    except MatrixGameError as error:
        return ClipCheck(clip.name, str(error))
    except OSError as error:
        return ClipCheck(clip.name, f"It cannot be read: {error.strerror or error}.")


def measure_clip(clip: Clip, on_frames: Callable[[int], object] = lambda done: None) -> Seen:
    """Measure a clip's film. Raises VideoError."""
    facts, size, frames = _facts(clip), (0, 0), 0
    meter, differences = MotionMeter(), Differences()
    for chunk in _chunks(clip):
        size = (chunk.shape[1], chunk.shape[2])
        meter.add(chunk)
        differences.add(chunk)
        frames += len(chunk)
        on_frames(frames)
    meter.end()
    if not frames:
        raise VideoError(f"{clip.video.name} has no frames that can be decoded; is the file complete?")
    return Seen(facts, frames, size, meter.series, differences.values)


def judge_clip(clip: Clip, inputs: ClipInputs, seen: Seen) -> ClipCheck:
    """What inputs and film are to each other."""
    found = ClipCheck(clip.name, "", seen.frames, len(inputs.track), round(seen.facts.rate, 3), seen.size)
    found.variant, found.notes = inputs.track.variant.name, list(inputs.notes)
    asked = asked_of(rows_for(inputs.track, seen.facts, found.notes.append))
    times = (*gaps_in_time(seen.facts.times), *gaps_in_time(inputs.times))
    found.dropped = sorted({*times, *jumps(seen.motion[:, 0], asked[:, 0])})[:MOST_SHOWN]
    found.menus = int(inputs.menus.sum())
    found.cursor = np.flatnonzero(cursor_frames(seen.changes, asked[:, 0])).tolist()
    _agree(found, seen.motion, asked)
    found.doubled = doubled_frames(seen.changes, _moves(found, asked))[:MOST_SHOWN]
    found.turn = _turn(seen.motion, inputs.camera * inputs.track.variant.camera.unit, found)
    found.faults = list(_faults(found, clip, seen.facts, inputs))
    return found


def _facts(clip: Clip) -> Facts:
    """Of the part of the film that is the clip's."""
    whole = facts_of(clip.video)
    if clip.frames is None and not clip.first:
        return whole
    times = whole.times[clip.first : None if clip.frames is None else clip.first + clip.frames]
    return Facts(len(times), whole.rate, times - times[0] if len(times) else times, whole.even)


def _chunks(clip: Clip) -> Any:
    waiting: list[NDArray[np.uint8]] = []
    for pixels in clip.pixels():
        waiting.append(pixels)
        if len(waiting) >= max(1, min(CHUNK, MOST_PIXELS // (pixels.shape[0] * pixels.shape[1]))):
            yield torch.from_numpy(np.stack(waiting))
            waiting = []
    if waiting:
        yield torch.from_numpy(np.stack(waiting))


def _agree(found: ClipCheck, motion: NDArray[np.float64], asked: NDArray[np.float64]) -> None:
    """Lag, swapped axes, and signs with the lag undone."""
    asked = asked[: max(1, found.frames - 1)]
    lag = find_lag(motion, asked)
    found.lag, found.lag_why = lag.frames, lag.why
    found.swapped = [fault for fault in lag.faults if "moves" in fault]
    pairs = min(len(motion), len(asked) // STEP)
    rows = (np.arange(pairs * STEP) - (lag.frames or 0)).clip(0, len(asked) - 1)
    wanted, seen = asked[rows].reshape(pairs, STEP, len(AXES)), motion[:pairs]
    one_way = np.where((np.sign(wanted) == np.sign(wanted[:, :1])).all(axis=1), np.sign(wanted[:, 0]), 0)
    told = np.where(abs(seen) > SEEN, np.sign(seen), 0)
    for index, axis in enumerate(AXES):
        agree = one_way[:, index] * told[:, index]
        found.signs[axis] = {"right": int((agree > 0).sum()), "wrong": int((agree < 0).sum())}


def _moves(found: ClipCheck, asked: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[frames]: inputs ask for motion into a frame, and no cursor takes it."""
    active = (asked != 0).sum(axis=1) > 0
    active[found.cursor] = False
    rows = np.arange(found.frames) - 1 - (found.lag or 0)
    return active[rows.clip(0, len(active) - 1)]


def _turn(series: NDArray[np.float64], degrees: NDArray[np.float64], found: ClipCheck) -> float | None:
    """What the picture turns of what is asked for, of both axes together. degrees: [rows, 2] pitch, yaw."""
    pairs = min(len(series), (len(degrees) - abs(found.lag or 0)) // STEP)
    ratios: list[float] = []
    for axis, column in ((0, 1), (1, 0)):
        rows = (np.arange(max(0, pairs) * STEP) - (found.lag or 0)).clip(0, len(degrees) - 1)
        wanted = np.radians(degrees[rows, column].reshape(-1, STEP).sum(axis=1))
        seen = abs(series[:pairs, axis])
        good = ~np.isnan(seen) & (seen > TURN) & (abs(wanted) > 1e-6)
        ratios += (seen[good] / abs(wanted[good])).tolist()
    return round(float(np.median(ratios)), 4) if len(ratios) >= LEAST_TURNS else None


def _faults(found: ClipCheck, clip: Clip, facts: Facts, inputs: ClipInputs) -> Any:
    """What is wrong with this clip, whatever the others are like. Lag and signs are judged over all clips."""
    if abs(found.rows - found.frames) > 1 and found.rate and not any("matched by time" in note for note in found.notes):
        yield f"{counted(found.frames, 'frame')} and {counted(found.rows, 'row')} of inputs"
    if clip.frames is not None and found.frames != clip.frames:
        yield f"{counted(found.frames, 'frame')} of the {clip.frames} that the dataset says"
    if clip.rate and abs(clip.rate - facts.rate) > 0.02 * clip.rate:
        yield f"the film has {facts.rate:.4g} frames a second, and the dataset says {clip.rate:.4g}"
    if not facts.even:
        yield "a variable frame rate"
    if found.dropped:
        yield f"{counted(len(found.dropped), 'frame')} missing before frame {_few(found.dropped)}"
    if found.doubled:
        yield f"{counted(len(found.doubled), 'frame')} doubled at frame {_few(found.doubled)}"
    if found.cursor:
        rows = counted(len(found.cursor), "row")
        yield f"{rows} turn the camera while the picture stands still, from {found.cursor[0]} on"
    beyond = int((abs(inputs.camera) > inputs.track.variant.camera.limit).any(axis=1).sum())
    if beyond:
        yield f"{counted(beyond, 'row')} of the camera beyond {inputs.track.variant.camera.limit:g}"


def _few(frames: list[int]) -> str:
    return ", ".join(map(str, frames[:4])) + (" ..." if len(frames) > 4 else "")
