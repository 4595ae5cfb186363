"""Does it obey: for each axis, the share of blocks in which the picture moved the way that the inputs ask for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..motion.camera import AXES
from ..motion.meter import BlockMotion

CALIBRATION = Path(__file__).with_name("calibration.json")
NORMAL = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Signs:
    """Of one axis: blocks that ask for it, blocks whose picture moved that way (right) or the other (wrong), stood
    still, or could not be judged (cut, unclear)."""

    asked: int
    right: int
    wrong: int
    still: int
    unclear: int

    @property
    def judged(self) -> int:
        return self.right + self.wrong

    def about(self, axis: str) -> dict[str, Any]:
        """For a report: percent and its 95 % interval, share judged, and the estimator's own error, in percent."""
        found: dict[str, Any] = asdict(self)
        found["judged_percent"] = round(100 * self.judged / self.asked, 1) if self.asked else None
        found["percent"] = round(100 * self.right / self.judged, 1) if self.judged else None
        found["interval"] = wilson(self.right, self.judged) if self.judged else None
        found["estimator"] = calibration().get(axis)
        if not self.asked:
            found["why"] = "no block's inputs ask for it"
        elif not self.judged:
            found["why"] = f"none of the {self.asked} blocks that ask for it could be judged"
        return found


def count_signs(asked: NDArray[np.int64], blocks: Sequence[BlockMotion]) -> dict[str, Signs]:
    """asked: [blocks, 4], see `signs_of_blocks`; blocks without inputs count nowhere."""
    found = {}
    for index, axis in enumerate(AXES):
        counts: dict[str, int] = dict.fromkeys(("asked", "right", "wrong", "still", "unclear"), 0)
        for wanted, block in zip(asked[:, index], blocks, strict=False):
            if wanted:
                counts["asked"] += 1
                counts[_outcome(int(wanted), block.signs[index], block.why)] += 1
        found[axis] = Signs(**counts)
    return found


def _outcome(wanted: int, seen: int, why: str) -> str:
    if seen:
        return "right" if seen == wanted else "wrong"
    return "still" if why == "still" else "unclear"


def wilson(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a share, in percent."""
    share, z = right / of, NORMAL
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return round(100 * max(0.0, middle - half), 1), round(100 * min(1.0, middle + half), 1)


@lru_cache(maxsize=1)
def calibration() -> dict[str, Any]:
    """What the estimator gets right where the true motion is known, by axis (`bench/scores.py calibrate`)."""
    return json.loads(CALIBRATION.read_text(encoding="utf-8"))["axes"]
