"""All measures of one film, in one pass over its frames; memory is bounded whatever the film's length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..actions.drawing.chart import lane_names, lane_values
from ..actions.track import ActionTrack
from ..system.words import counted
from ..variants import FPS, blocks_of_frames, first_input_of_block
from .measures.asked import asked_of, axes_of, signs_of_blocks
from .measures.lag import find_lag
from .measures.looks import MOST_POINTS, Looks
from .measures.reference import Reference
from .measures.scenario import MOST_FRAMES, NOT_MIRRORED, Scenario, is_mirrored
from .measures.signs import count_signs
from .motion.camera import AXES
from .motion.meter import STEP, MotionMeter
from .weighted import registry
from .weighted.weights import WeightedFilm

CHUNK = 25  # frames at a time
SMALLEST = 16  # pixels of a side
NO_INPUTS = "no inputs belong to the film"
Values = dict[str, Any]


@dataclass
class FilmScore:
    """What was measured. values: measure -> number, for a table; without: measure -> why it was not computed. signs,
    lag: in detail. curves: for drawing. worst: frames, and why. notes: sentences about film and inputs."""

    frames: int = 0
    rate: float = FPS
    size: tuple[int, int] = (0, 0)
    variant: str | None = None
    values: Values = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    signs: Values = field(default_factory=dict)
    lag: Values = field(default_factory=dict)
    curves: Values = field(default_factory=dict)
    worst: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: object, why: str = "") -> None:
        """A measure, or why there is none."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            self.without[name] = why
        else:
            self.values[name] = value


def score_frames(
    chunks: Iterator[Tensor],
    track: ActionTrack | None,
    *,
    frames: int | None = None,
    rate: float = FPS,
    reference: Iterator[Tensor] | None = None,
    weighted: WeightedFilm | None = None,
    on_frames: Callable[[int], object] = lambda done: None,
) -> FilmScore:
    """Score frames that come in chunks [N, H, W, 3] of 8 bits.

    track: a row for each frame, what is held while it is on screen; None: signs, lag and stillness are not computed.
    frames: how many there will be, where that is known. reference: chunks of a film to compare with. weighted: the
    measures whose weights are at hand. on_frames: called with how many were measured.
    """
    score = FilmScore(rate=rate, variant=track.variant.name if track else None)
    meter, looks = MotionMeter(), Looks()
    mirrored = track is not None and frames is not None and frames <= MOST_FRAMES and is_mirrored(track, frames)
    scenario = Scenario(frames) if mirrored and frames else None
    compared, others = Reference(), _Others(reference)
    for chunk in chunks:
        if min(chunk.shape[1:3]) < SMALLEST:
            score.notes.append(f"Frames of {chunk.shape[2]}x{chunk.shape[1]} are too small to tell motion.")
        score.size = (chunk.shape[1], chunk.shape[2])
        looks.add(chunk)
        if weighted is not None:
            weighted.add(chunk)
        if min(score.size) >= SMALLEST:
            meter.add(chunk)
        if scenario is not None:
            scenario.add(chunk)
        other = others.next(len(chunk))
        if other is not None and other.shape[1:] == chunk.shape[1:]:
            compared.add(chunk[: len(other)], other)
        elif other is not None and not compared.psnr:
            others.fault = f"the reference has {other.shape[2]}x{other.shape[1]} pixels, and the film has not"
        on_frames(looks.frames)
    meter.end()
    score.frames = looks.frames
    if not score.frames:
        return score
    _put_signs(score, meter, track)
    _put_scenario(score, scenario, track)
    idle = None if track is None else _idle(asked_of(track), score.frames)
    for name, value in looks.about(idle).items():
        score.put(name, value, _why_no_look(name, score.frames, track is not None))
    small = min(score.size) < SMALLEST
    why = "its frames are too small" if small else "the film has fewer than 3 frames"
    score.put("motion_smoothness_flow", meter.smoothness.score, why)
    for name, value in compared.about().items():
        score.put(name, value, others.fault or "no reference film was named")
    if compared.psnr and len(compared.psnr) < score.frames:
        score.notes.append(f"The reference has only {counted(len(compared.psnr), 'frame')}; the rest is not compared.")
    found = weighted.about() if weighted else {}
    for measure in registry.ALL:
        given = measure.name in found
        why = "the film has one frame" if given else registry.why_missing(measure)
        score.put(measure.name, found.get(measure.name), why)
    score.curves = looks.curves() | _motion_curves(meter) | _psnr_curve(compared) | _lanes(track, score.frames)
    score.worst = _worst(looks, meter, track, score.frames)
    return score


class _Others:
    """Frames of the reference, as many as are asked for."""

    def __init__(self, chunks: Iterator[Tensor] | None) -> None:
        self._chunks, self._rest, self.fault = chunks, None, ""

    def next(self, count: int) -> Tensor | None:
        while self._chunks is not None and (self._rest is None or len(self._rest) < count):
            more = next(self._chunks, None)
            if more is None:
                self._chunks = None
            else:
                self._rest = more if self._rest is None else torch.cat([self._rest, more])
        if self._rest is None or not len(self._rest):
            return None
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def _put_signs(score: FilmScore, meter: MotionMeter, track: ActionTrack | None) -> None:
    if track is None:
        for name in (*AXES, "lag"):
            score.put(name, None, NO_INPUTS)
        return
    asked = asked_of(track)[: max(1, score.frames - 1)]
    blocks = meter.blocks[: max(1, blocks_of_frames(score.frames))]
    found, possible = count_signs(signs_of_blocks(asked, len(blocks)), blocks), axes_of(track.variant)
    for axis, signs in found.items():
        about = signs.about(axis)
        if axis not in possible:
            about["why"] = f"{track.variant.name} has no input for it"
        score.signs[axis] = about
        score.put(axis, about["percent"], about.get("why", ""))
    lag = find_lag(meter.series, asked)
    score.lag = {"frames": lag.frames, "why": lag.why, "faults": list(lag.faults), "correlation": lag.correlation}
    score.put("lag", lag.frames, lag.why)
    score.notes += [f"{fault[0].upper()}{fault[1:]}." for fault in lag.faults]
    if lag.frames:
        order = "after" if lag.frames > 0 else "before"
        score.notes.append(f"The picture comes {counted(abs(lag.frames), 'frame')} {order} its inputs.")


def _put_scenario(score: FilmScore, scenario: Scenario | None, track: ActionTrack | None) -> None:
    why = NO_INPUTS if track is None else NOT_MIRRORED
    if track is not None and score.frames > MOST_FRAMES:
        why = f"the film has more than {MOST_FRAMES} frames"
    score.put("scenario_consistency", None if scenario is None else scenario.score, why)


def _why_no_look(name: str, frames: int, has_inputs: bool) -> str:
    if frames == 1:
        return "the film has one frame"
    if name == "standing_still":
        return "nothing is always asked for" if not has_inputs else "there is no frame in which nothing is asked for"
    if name == "flicker":
        return "the film has fewer than 3 frames"
    return "the film has less than two seconds" if frames < 2 * FPS else "the first second is black"


def _idle(asked: NDArray[np.float64], frames: int) -> NDArray[np.bool_]:
    """Frames that come up while nothing is asked for: those after an idle row."""
    idle = np.zeros(frames, bool)
    rows = asked[: frames - 1]
    idle[1 : len(rows) + 1] = ~rows.any(axis=1)
    return idle


def _motion_curves(meter: MotionMeter) -> Values:
    """What was seen of each block, and its motion in degrees or pixels a frame."""
    step = max(1, -(-len(meter.blocks) // MOST_POINTS))
    blocks = meter.blocks[::step]
    sizes = {
        axis: [
            None if block.why else round(math.degrees(block.sizes[i]) if i < 2 else block.sizes[i], 3)
            for block in blocks
        ]
        for i, axis in enumerate(AXES)
    }
    return {"motion": sizes | {"from": [first_input_of_block(block.block) for block in blocks]}}


def _psnr_curve(compared: Reference) -> Values:
    values = compared.capped() if compared.psnr else np.zeros(0)
    step = max(1, -(-len(values) // MOST_POINTS))
    means = [round(float(values[cut : cut + step].mean()), 2) for cut in range(0, len(values), step)]
    return {"psnr": means} if means else {}


def _lanes(track: ActionTrack | None, frames: int) -> Values:
    """Where each lane changes: [frame, value]."""
    lanes: dict[str, list[list[float]]] = {}
    if track is not None:
        for name in lane_names(track):
            row = lane_values(track, name)[:frames]
            at = np.flatnonzero(np.diff(row, prepend=np.nan))
            lanes[name] = [[int(i), round(float(row[i]), 4)] for i in at[: 4 * MOST_POINTS]]
    return {"lanes": lanes}


def _worst(looks: Looks, meter: MotionMeter, track: ActionTrack | None, frames: int) -> list[tuple[int, str]]:
    """Moments worth a look: of the looks, and the first block of each axis that went the other way."""
    found = dict(looks.worst(4))
    if track is not None:
        asked = signs_of_blocks(asked_of(track), len(meter.blocks))
        for index, axis in enumerate(AXES):
            wrong = [block.block for block in meter.blocks if block.signs[index] * asked[block.block, index] < 0]
            if wrong:
                found[min(first_input_of_block(wrong[0]) + 3 * STEP, frames - 1)] = f"{axis} the other way"
    return sorted(found.items())
