"""The random inputs that the model was benchmarked with: one random row, then random actions of 12 rows.

`bench_track(variant, seed, rows)` draws as the published benchmark does from Python's `random`, so the same seed
gives the same inputs (measured: tests/fixtures/bench.json).
"""

from __future__ import annotations

import random

import numpy as np

from ...errors import ActionError
from ...variants import CAMERA_DEFAULT, Variant
from ..check_document import MAX_FRAMES
from ..track import ActionTrack

SEGMENT = 12
Action = tuple[tuple[str, ...], float]  # keys held, yaw

_SINGLE = (("w",), ("a",), ("d",))
_DOUBLE = (("w", "a"), ("w", "d"))
_TURNS = (-CAMERA_DEFAULT, CAMERA_DEFAULT)


def _still(keys: tuple[tuple[str, ...], ...]) -> list[Action]:
    return [(held, 0.0) for held in keys]


def _turning(keys: tuple[tuple[str, ...], ...]) -> list[Action]:
    return [(held, yaw) for held in keys for yaw in _TURNS]


# by variant: the actions that are drawn from, one of them as often as it stands here
ACTIONS: dict[str, list[Action]] = {
    "universal": _still(_DOUBLE) * 5 + _turning(((),)) * 5 + _still(_SINGLE) * 5 + _turning(_SINGLE + _DOUBLE),
    "gta_drive": _turning(((),)) * 2 + _still((("w",), ("s",))) * 2 + _turning((("w",), ("s",))),
    "templerun": _still(
        (("jump",), ("slide",), ("side_left",), ("side_right",), ("turn_left",), ("turn_right",), ("idle",))
    ),
}


def bench_track(variant: Variant, seed: int, rows: int = 597) -> ActionTrack:
    """`rows` rows of the benchmark for `seed`: row 0 by itself, then 12 rows each, the last cut to fit."""
    if variant.name not in ACTIONS:
        raise ActionError(f"There is no benchmark for {variant.name}; use one of {', '.join(ACTIONS)}.")
    if not 1 <= rows <= MAX_FRAMES:
        raise ActionError(f"A benchmark has 1 to {MAX_FRAMES} rows, got {rows}.")
    rng = random.Random(seed)
    actions = ACTIONS[variant.name]
    keyboard = np.zeros((rows, len(variant.keys)), np.float32)
    mouse = np.zeros((rows, 2), np.float32)
    t = 0
    while t < rows:
        rng.randint(0, 0)  # the benchmark draws the length of a segment from a list of one; this moves the generator
        held, yaw = actions[rng.randint(0, len(actions) - 1)]
        stop = min(rows, t + (SEGMENT if t else 1))
        keyboard[t:stop, [variant.keys.index(key) for key in held]] = 1
        mouse[t:stop, 1] = yaw
        t = stop
    return ActionTrack(variant, keyboard, mouse if variant.mouse else None)
