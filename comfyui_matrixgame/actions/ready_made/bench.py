"""The random inputs that the model was benchmarked with: one random row, then random actions of 12 rows.

`bench_track(variant, seed, rows)` draws as the published benchmark does from Python's `random`, so the same seed
gives the same inputs (measured: tests/fixtures/bench.json).
"""

from __future__ import annotations

import random
from itertools import product

import numpy as np

from ...errors import ActionError
from ...variants import VARIANTS, Variant
from ..check_document import MAX_FRAMES
from ..track import ActionTrack

SEGMENT = 12


def bench_actions(variant: Variant) -> list[tuple[tuple[str, ...], float]]:
    """What is drawn from, keys and yaw: an action as often as it is likely."""
    return [action for draws in variant.bench for action in draws.times * list(product(draws.keys, draws.yaw))]


def bench_track(variant: Variant, seed: int, rows: int = 597) -> ActionTrack:
    """`rows` rows of the benchmark for `seed`: row 0 by itself, then 12 rows each, the last cut to fit."""
    actions = bench_actions(variant)
    if not actions:
        have = ", ".join(name for name, one in VARIANTS.items() if one.bench)
        raise ActionError(f"There is no benchmark for {variant.name}; use one of {have}.")
    if not 1 <= rows <= MAX_FRAMES:
        raise ActionError(f"A benchmark has 1 to {MAX_FRAMES} rows, got {rows}.")
    rng = random.Random(seed)
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
