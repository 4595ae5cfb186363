"""What inputs ask of the camera: a number for each axis and row, from the names that a variant gives its keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...actions.track import ActionTrack
from ...variants import Variant, first_input_of_block
from ..motion.camera import AXES

WORDS = {  # of a key, its aliases and what it means
    "forward": ("forward", 1), "back": ("forward", -1), "backward": ("forward", -1), "reverse": ("forward", -1),
    "strafe_left": ("right", -1), "strafe_right": ("right", 1), "step left": ("right", -1), "step right": ("right", 1),
    "turn_left": ("yaw", -1), "turn_right": ("yaw", 1),
}  # fmt: skip
MOSTLY = 0.75  # of a block's rows must ask for one sign, and none for the other


def asked_of(track: ActionTrack) -> NDArray[np.float64]:
    """[rows, 4] of AXES: + is right, up, forward, right; turns in units of the camera input, keys 1."""
    asked = np.zeros((len(track), len(AXES)))
    for column, word in enumerate(_words(track.variant)):
        if word is not None:
            asked[:, AXES.index(word[0])] += word[1] * track.keyboard[:, column]
    if track.mouse is not None:
        asked[:, 0] += track.mouse[:, 1]
        asked[:, 1] += track.mouse[:, 0]
    return asked


def axes_of(variant: Variant) -> tuple[str, ...]:
    """The axes that a variant's inputs can ask for."""
    found = {word[0] for word in _words(variant) if word} | set(variant.camera.axes)
    return tuple(axis for axis in AXES if axis in found)


def signs_of_blocks(asked: NDArray[np.float64], blocks: int) -> NDArray[np.int64]:
    """[blocks, 4]: the sign that nearly all rows of a block ask for, or 0."""
    signs = np.zeros((blocks, asked.shape[1]), np.int64)
    for block in range(blocks):
        rows = np.sign(asked[first_input_of_block(block) : first_input_of_block(block + 1)])
        if len(rows):
            share = rows.mean(axis=0)
            one_way = (rows.min(axis=0) >= 0) | (rows.max(axis=0) <= 0)
            signs[block] = np.where(one_way & (abs(share) >= MOSTLY), np.sign(share), 0)
    return signs


def _words(variant: Variant) -> list[tuple[str, int] | None]:
    found = []
    for key in variant.controls:
        names = (key.name, *key.aliases, key.means)
        found.append(next((WORDS[name] for name in names if name in WORDS), None))
    return found
