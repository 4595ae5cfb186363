"""The per-frame track: what is held, and how the camera moves, on each input row.

Row t is what the player holds while frame t is on screen; it first acts on frame t + 1. Rows are counted from
the first row that the rollout it is given to has not read: for a new world that is frame 0, for a world that
goes on at block k it is input 12 k - 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ActionError
from ..system.words import counted
from ..variants import FRAMES_PER_BLOCK, Variant, first_input_of_block
from . import MAX_SEED

Floats = NDArray[np.float32]
Seeds = tuple[tuple[int, int], ...]  # (row, seed)
_EMPTY = "The track is empty; it needs at least one input row."


@dataclass(frozen=True, eq=False)
class ActionTrack:
    """Inputs of one player.

    keyboard: [T, len(variant.keys)], 0 or 1.
    mouse: [T, 2] `[pitch, yaw]` in units of about 15 degrees a frame, + is up and right; None where the
        variant has no camera input.
    variant: as it is described, also where its steps, window or sink are tried.
    pins: rows before which the state of the world should be kept; of a track as it was written, not of its parts.
    seeds: (row, seed): from the block that is the first to read the row on, noise is that of the seed; by row.
    Both arrays are float32 and read-only. Raises ActionError where a value or shape is not usable; parts of a track and
    tracks put together are not checked again.
    """

    variant: Variant
    keyboard: Floats
    mouse: Floats | None
    pins: tuple[int, ...] = ()
    seeds: Seeds = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "variant", self.variant.own)
        keyboard = _rows(self.keyboard, len(self.variant.keys), "keyboard", self.variant)
        wrong = (keyboard != 0) & (keyboard != 1)
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise ActionError(f"Input row {row}: a key is either held (1) or not (0), got {keyboard[row].tolist()}.")
        if self.variant.exclusive and not (keyboard.sum(axis=1) == 1).all():
            row = int(np.argwhere(keyboard.sum(axis=1) != 1)[0][0])
            raise ActionError(
                f"Input row {row}: {self.variant.name} takes exactly one of {', '.join(self.variant.keys)} at a "
                f"time (idle is a key), got {keyboard[row].tolist()}."
            )
        object.__setattr__(self, "keyboard", keyboard)
        object.__setattr__(self, "seeds", _checked_seeds(self.seeds, len(keyboard)))
        if not self.variant.mouse:
            if self.mouse is not None and np.asarray(self.mouse).any():
                raise ActionError(f"{self.variant.name} has no camera input; remove the camera movement.")
            object.__setattr__(self, "mouse", None)
            return
        mouse = _rows(
            np.zeros((len(keyboard), 2), np.float32) if self.mouse is None else self.mouse, 2, "camera", self.variant
        )
        if len(mouse) != len(keyboard):
            raise ActionError(
                f"The track has {counted(len(keyboard), 'row')} of keys but {len(mouse)} of camera; make them equal."
            )
        camera = self.variant.camera
        if np.abs(mouse).max() > camera.limit:
            row = int(np.argwhere(np.abs(mouse) > camera.limit)[0][0])
            raise ActionError(
                f"Input row {row}: camera speed {mouse[row].tolist()} is outside -{camera.limit:g}..{camera.limit:g} "
                f"({camera.speed:g} is about {camera.speed * camera.unit:g} degrees a frame and what the model was "
                "benchmarked with)."
            )
        object.__setattr__(self, "mouse", mouse)

    @property
    def nbytes(self) -> int:
        """Memory of the rows."""
        return self.keyboard.nbytes + (0 if self.mouse is None else self.mouse.nbytes)

    @property
    def last_seed(self) -> int | None:
        """The seed after these rows; None where they leave it as it was."""
        return self.seeds[-1][1] if self.seeds else None

    def __len__(self) -> int:
        return len(self.keyboard)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActionTrack):
            return NotImplemented
        same_mouse = (
            self.mouse is None
            if other.mouse is None
            else self.mouse is not None and np.array_equal(self.mouse, other.mouse)
        )
        same_rows = self.variant == other.variant and np.array_equal(self.keyboard, other.keyboard) and same_mouse
        return same_rows and self.seeds == other.seeds

    __hash__ = None  # type: ignore[assignment]

    def slice(self, start: int, stop: int | None = None) -> ActionTrack:
        """Rows start..stop as a track of their own. Raises ActionError where there are none."""
        keyboard = self.keyboard[start:stop]
        if not len(keyboard):
            raise ActionError(_EMPTY)
        first = range(len(self))[start:stop].start
        seeds = tuple((row - first, seed) for row, seed in self.seeds if first <= row < first + len(keyboard))
        return self._of_rows(keyboard.copy(), None if self.mouse is None else self.mouse[start:stop].copy(), seeds)

    def concat(self, other: ActionTrack) -> ActionTrack:
        """This track followed by `other`, which must be of the same variant."""
        if other.variant != self.variant:
            raise ActionError(f"A {other.variant.name} track cannot follow a {self.variant.name} track.")
        mouse = None if self.mouse is None or other.mouse is None else np.concatenate([self.mouse, other.mouse])
        seeds = self.seeds + tuple((len(self) + row, seed) for row, seed in other.seeds)
        return self._of_rows(np.concatenate([self.keyboard, other.keyboard]), mouse, seeds)

    def padded(self, length: int) -> ActionTrack:
        """At least `length` rows: the last row is repeated as often as needed."""
        if length <= len(self):
            return self
        rows = np.minimum(np.arange(length), len(self) - 1)
        return self._of_rows(self.keyboard[rows], None if self.mouse is None else self.mouse[rows], self.seeds)

    def with_seeds(self, seeds: Iterable[tuple[int, int]]) -> ActionTrack:
        """The same rows with these changes of the seed and no others; raises ActionError where one is none."""
        seeds = tuple(seeds)
        return self if seeds == self.seeds else replace(self, seeds=seeds)

    def of_variant(self, variant: Variant) -> ActionTrack:
        """The same inputs for a variant that takes them (see Variant.takes); its further keys are not held."""
        variant = variant.own
        if variant is self.variant or variant == self.variant:
            return self
        more = len(variant.keys) - len(self.variant.keys)
        return ActionTrack(variant, np.pad(self.keyboard, ((0, 0), (0, more))), self.mouse, self.pins, self.seeds)

    def _of_rows(self, keyboard: Floats, mouse: Floats | None, seeds: Seeds) -> ActionTrack:
        """A track of rows that were checked when they came in; checking them again at each cut would make a long
        session slower with every block. Takes over the arrays."""
        track = object.__new__(ActionTrack)
        for array in (keyboard, mouse):
            if array is not None:
                array.setflags(write=False)
        vars(track).update(variant=self.variant, keyboard=keyboard, mouse=mouse, pins=(), seeds=seeds)
        return track

    @staticmethod
    def idle(variant: Variant, length: int) -> ActionTrack:
        """`length` rows of a player who does nothing."""
        return ActionTrack(variant, np.tile(np.asarray(variant.idle_row, np.float32), (length, 1)), None)

    @staticmethod
    def from_rows(variant: Variant, rows: Sequence[Mapping[str, float]]) -> ActionTrack:
        """One mapping per row: key name -> 1, `pitch` and `yaw` -> value; what is not named is not held."""
        track = ActionTrack.idle(variant, len(rows))
        keyboard = track.keyboard.copy()
        mouse = np.zeros((len(rows), 2), np.float32)
        for t, row in enumerate(rows):
            held = [name for name, value in row.items() if name not in ("pitch", "yaw") and value]
            unknown = [name for name in held if name not in variant.keys]
            if unknown:
                raise ActionError(
                    f"Input row {t}: {variant.name} has no key '{unknown[0]}' ({', '.join(variant.keys)})."
                )
            if held and variant.exclusive:
                keyboard[t] = 0
            for name in held:
                keyboard[t, variant.keys.index(name)] = 1
            mouse[t] = row.get("pitch", 0.0), row.get("yaw", 0.0)
        return ActionTrack(variant, keyboard, mouse if variant.mouse or mouse.any() else None)


def blocks_of_rows(rows: int, first_block: int = 0) -> int:
    """Blocks that `rows` input rows ask for, in a rollout that goes on at block `first_block`.

    A new world reads 8 rows for its first block and 12 for each other; one row more (the frame count of a
    video, whose last row is never read) asks for nothing more. Any further row begins another block.
    """
    if rows <= 0:
        return 0
    lead = FRAMES_PER_BLOCK - first_input_of_block(1) if first_block == 0 else 0
    return max(1, -(-(rows - 1 + lead) // FRAMES_PER_BLOCK))


def rows_of_blocks(blocks: int, first_block: int = 0) -> int:
    """Input rows that `blocks` blocks read for the first time, from block `first_block` on."""
    return first_input_of_block(first_block + blocks) - first_input_of_block(first_block)


def row_of_seed(block: int) -> int:
    """The row with which a seed changes for the `block`-th block of a track, whether its world is new or goes on."""
    return FRAMES_PER_BLOCK * block


def _checked_seeds(seeds: Seeds, rows: int) -> Seeds:
    before = -1
    for row, seed in seeds:
        if not before < row < rows:
            raise ActionError(
                f"A change of the seed stands at row {row}; it needs a row from 0 to {rows - 1}, each row "
                "with one seed and in order."
            )
        if not 0 <= seed <= MAX_SEED:
            raise ActionError(f"The seed from row {row} on is 0 to {MAX_SEED}, got {seed}.")
        before = row
    return tuple((int(row), int(seed)) for row, seed in seeds)


def _rows(values: object, width: int, what: str, variant: Variant) -> Floats:
    array = np.array(values, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != width:
        raise ActionError(
            f"The {what} of {variant.name} needs rows of {width} values, got an array of shape {list(array.shape)}."
        )
    if not len(array):
        raise ActionError(_EMPTY)
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ActionError(f"Input row {row}: the {what} has a value that is not a number ({array[row].tolist()}).")
    array.setflags(write=False)
    return array
