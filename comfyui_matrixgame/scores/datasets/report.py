"""All clips of a dataset together: what most of them have in common is the dataset's, what one has alone is its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ...media.datasets.clips import Dataset
from ...system.words import counted
from ..motion.camera import AXES
from .check import APART, ClipCheck

LEAST_PAIRS = 20  # of frames, judged, from which an axis may be called mirrored
MIRRORED = 0.25  # of the judged pairs move the right way: fewer are mirrored
MOST = 0.5  # of the clips whose lag is known have one, for it to be the dataset's
UNITS = (("degrees", 1 / 15), ("pixels of 0.15 degrees", 0.01), ("radians", 3.82))
PAIRS = ((("yaw", "pitch"), "swap=camera"), (("forward", "right"), "swap=keys"))
NEAR = 1.35  # times or parts of a known unit
FORMAT = "matrixgame-dataset-check"
VERSION = 1


@dataclass
class Report:
    """layout: of the dataset. lag: frames, None where no clip tells. mirrored: axes. turn: what pictures turn of what
    is asked for. faults: sentences on the dataset. fixes: what `--fix` takes to correct them. clips: the worst first.
    """

    layout: str
    clips: list[ClipCheck]
    lag: int | None = None
    mirrored: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    turn: float | None = None
    faults: list[str] = field(default_factory=list)
    fixes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with any clip."""
        return not self.faults and not any(clip.error or clip.faults for clip in self.clips)

    def about(self) -> dict[str, Any]:
        """As JSON."""
        whole = [clip for clip in self.clips if not clip.error]
        return {
            "format": FORMAT, "version": VERSION, "layout": self.layout, "good": self.good,
            "clips_read": len(whole), "frames": sum(clip.frames for clip in whole), "lag": self.lag,
            "mirrored": self.mirrored, "swapped": self.swapped, "turn": self.turn, "faults": self.faults,
            "fixes": self.fixes, "clips": [clip.about() for clip in self.clips],
        }  # fmt: skip


def report_of(dataset: Dataset, checks: Sequence[ClipCheck]) -> Report:
    """What the checks of all clips say together; adds to the clips what sets them apart from the others."""
    clips = [*checks, *(ClipCheck(name, why) for name, why in dataset.lost.items())]
    found = Report(dataset.layout, clips)
    whole = [clip for clip in clips if not clip.error]
    if whole:
        _judge_lag(found, whole)
        _judge_signs(found, whole)
        _judge_turn(found, whole)
        _judge_kinds(found, whole)
    found.clips.sort(key=lambda clip: (not clip.error, -len(clip.faults), clip.name))
    return found


def _judge_lag(found: Report, clips: list[ClipCheck]) -> None:
    known = Counter(clip.lag for clip in clips if clip.lag is not None)
    if not known:
        return
    lag, count = known.most_common(1)[0]
    assert lag is not None
    if count <= MOST * sum(known.values()):
        found.faults.append(f"the lag is not the same in all clips: {', '.join(map(str, sorted(known)))} frames")
        return
    found.lag = lag
    if lag:
        order = "after" if lag > 0 else "before"
        found.faults.append(f"the picture comes {counted(abs(lag), 'frame')} {order} its inputs")
        found.fixes.append(f"lag={lag}")
    for clip in clips:
        if clip.lag not in (None, lag):
            clip.faults.append(f"a lag of {counted(clip.lag or 0, 'frame')}, and the others have {lag}")


def _judge_signs(found: Report, clips: list[ClipCheck]) -> None:
    telling = sum(clip.lag is not None for clip in clips)
    counts = Counter(fault for clip in clips for fault in clip.swapped)
    found.swapped = [fault for fault, count in counts.items() if count > MOST * telling]
    found.faults += found.swapped
    crossed = set()
    for axes, fix in PAIRS:
        moves = [fault.removeprefix("what asks for ").split(" moves ") for fault in found.swapped]
        own = [moved for asked, moved in moves if asked in axes]
        if own:
            crossed.update(axes)
            found.fixes += [fix, *(f"flip={moved.partition(',')[0]}" for moved in own if moved.endswith("mirrored"))]
    for axis in (axis for axis in AXES if axis not in crossed):
        right, wrong = (sum(clip.signs.get(axis, {}).get(name, 0) for clip in clips) for name in ("right", "wrong"))
        if right + wrong >= LEAST_PAIRS and right < MIRRORED * (right + wrong):
            found.mirrored.append(axis)
            found.faults.append(f"{axis} is mirrored in {wrong} of {right + wrong} judged pairs of frames")
            found.fixes.append(f"flip={axis}")
            continue
        for clip in clips:
            own_right, own_wrong = (clip.signs.get(axis, {}).get(name, 0) for name in ("right", "wrong"))
            if own_right + own_wrong >= LEAST_PAIRS and own_right < MIRRORED * (own_right + own_wrong):
                clip.faults.append(f"{axis} is mirrored in {own_wrong} of {own_right + own_wrong} judged pairs")


def _judge_turn(found: Report, clips: list[ClipCheck]) -> None:
    turns = [clip.turn for clip in clips if clip.turn is not None]
    if not turns or any("yaw" in fault for fault in found.swapped):
        return  # what yaw turns is not what was looked at
    found.turn = round(median(turns), 4)
    if APART[0] <= found.turn <= APART[1]:
        for clip in clips:
            if clip.turn is not None and not APART[0] <= clip.turn <= APART[1]:
                clip.faults.append(f"the picture turns {clip.turn:.3g} times what is asked for, and others do not")
        return
    name, factor = next(((n, f) for n, f in UNITS if 1 / NEAR <= found.turn / f <= NEAR), ("", found.turn))
    looks = f"; it looks like {name}" if name else ""
    found.faults.append(f"the picture turns {found.turn:.3g} times what the camera asks for{looks}")
    found.fixes.append(f"scale={factor:.4g}")


def _judge_kinds(found: Report, clips: list[ClipCheck]) -> None:
    """Rates and sizes should be the same in all clips."""
    for what, values in (
        ("frame rates", [f"{clip.rate:.4g}" for clip in clips]),
        ("sizes", [f"{clip.size[1]}x{clip.size[0]}" for clip in clips]),
        ("variants", [clip.variant for clip in clips]),
    ):
        known = Counter(values)
        if len(known) > 1:
            found.faults.append(f"it has several {what}: {', '.join(sorted(known))}")
