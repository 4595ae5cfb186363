"""Does it obey: for each axis, the share of blocks in which the picture moved the way that the inputs ask for."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
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
    still, or could not be judged (cut, unclear). plus, seen_plus: of those judged, blocks that ask for its positive
    side, and blocks that moved there."""

    asked: int = 0
    right: int = 0
    wrong: int = 0
    still: int = 0
    unclear: int = 0
    plus: int = 0
    seen_plus: int = 0

    def __add__(self, other: Signs) -> Signs:
        return Signs(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def judged(self) -> int:
        return self.right + self.wrong

    def shuffled(self) -> tuple[float, tuple[float, float]]:
        """What is right, in percent, where each judged block is held against the inputs of another one drawn at random:
        the mean of all shuffles, and the interval in which 95 % of them lie. It is 50 where inputs ask for both sides
        equally often, and more where most ask for one: walking on is right in most films of players who walk on."""
        blocks, plus, seen = self.judged, self.plus, self.seen_plus
        mean = (plus * seen + (blocks - plus) * (blocks - seen)) / blocks**2
        spread = plus * (blocks - plus) * seen * (blocks - seen) / max(1, blocks - 1)  # of a hypergeometric count
        half = NORMAL * 2 * math.sqrt(spread) / blocks**2
        return round(100 * mean, 1), (round(100 * max(0.0, mean - half), 1), round(100 * min(1.0, mean + half), 1))

    def about(self, axis: str) -> dict[str, Any]:
        """For a report: percent and its 95 % interval, share judged, what shuffled inputs would get, and the
        estimator's own error, in percent."""
        found: dict[str, Any] = asdict(self)
        found["judged_percent"] = round(100 * self.judged / self.asked, 1) if self.asked else None
        found["percent"] = round(100 * self.right / self.judged, 1) if self.judged else None
        found["interval"] = wilson(self.right, self.judged) if self.judged else None
        found["shuffled_percent"], found["shuffled_interval"] = self.shuffled() if self.judged else (None, None)
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
        counts: Counter[str] = Counter()
        for wanted, block in zip(asked[:, index], blocks, strict=False):
            if wanted:
                counts["asked"] += 1
                counts[_outcome(int(wanted), block.signs[index], block.why)] += 1
                if block.signs[index]:
                    counts["plus"] += int(wanted > 0)
                    counts["seen_plus"] += int(block.signs[index] > 0)
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
