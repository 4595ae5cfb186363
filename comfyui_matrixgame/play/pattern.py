"""A test picture behind the interface of a world: what is held can be read off its pixels, and no model is needed."""

from __future__ import annotations

import time

import numpy as np

from ..actions.track import ActionTrack, rows_of_blocks
from ..actions.vocabulary import held_keys
from ..errors import WorldError
from ..media.fitting import HEIGHT, WIDTH
from ..variants import FRAMES_PER_LATENT, LATENTS_PER_BLOCK, Variant, default_variant, frames_of_blocks
from .early_frames import Frames, OnFrames
from .played_world import OnPass

CELL = 16  # pixels of a lamp
BITS = 16  # lamps for the frame number, lowest first, along the top; one for each key along the bottom
DARK, LIT = 16, 240
DEGREES = 40.0  # pixels that the background moves for one unit of the camera


class TestPattern:
    """Frame f lights what input row f - 1 holds, the row that it is made from, and counts itself in lamps.

    seconds: how long a block takes, spread evenly over its latent frames. size: height and width.
    """

    __test__ = False  # it is no test, whatever a test runner makes of its name

    def __init__(
        self,
        variant: Variant | None = None,
        size: tuple[int, int] = (HEIGHT, WIDTH),
        seconds: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.variant, self.size, self.seconds, self.seed = variant or default_variant(), size, seconds, seed
        self.block = 0
        # before each block: how far the camera has turned, and the row that the last frame was made from
        self._before: list[tuple[float, ActionTrack | None]] = [(0.0, None)]
        x = np.arange(2 * size[1])
        self._ramp = (64 + 48 * np.sin(x * (2 * np.pi / size[1]))).astype(np.uint8)

    def make(self, rows: ActionTrack, on_frames: OnFrames, on_pass: OnPass | None = None) -> None:
        """See Playable.make."""
        padded = rows.padded(rows_of_blocks(1, self.block))
        frames = self._frames(padded)
        before = 0
        for latent in range(LATENTS_PER_BLOCK):
            if on_pass is not None:
                on_pass()
            began = time.perf_counter()
            if self.seconds:
                time.sleep(self.seconds / LATENTS_PER_BLOCK)
            after = before + (1 if self.block == 0 and latent == 0 else FRAMES_PER_LATENT)
            on_frames(frames[before:after], time.perf_counter() - began)
            before = after
        self._before.append((self._before[-1][0] + self._turn(padded), padded.slice(len(padded) - 1)))
        self.block += 1

    def go_to(self, block: int, changes: int | None = None) -> None:
        """See Playable.go_to."""
        if not 0 <= block <= self.block:
            raise WorldError(f"Block {block} was not played yet; there are blocks up to {self.block}.")
        self.block = block
        del self._before[block + 1 :]

    @property
    def sees(self) -> tuple[str, ...]:
        """See Playable.sees: the picture cannot be changed."""
        return ()

    def change(self, picture: Frames, strength: float, seen: str) -> bool:
        """See Playable.change; as `sees` has none, nobody asks for it."""
        raise WorldError("A test picture cannot be changed.")

    def still(self) -> Frames:
        """See Playable.still."""
        turned, row = self._before[-1]
        return self._frame(max(0, frames_of_blocks(self.block) - 1), row, turned)

    def close(self) -> None:
        """See Playable.close; there is nothing to let go of."""

    def _frames(self, rows: ActionTrack) -> Frames:
        first = frames_of_blocks(self.block)
        lead = 1 if self.block == 0 else 0  # frame 0 is made from no row
        made = [self._frame(0, None, 0.0)] * lead
        turned = self._before[-1][0]
        for i in range(rows_of_blocks(1, self.block)):
            turned += 0.0 if rows.mouse is None else float(rows.mouse[i, 1])
            made.append(self._frame(first + lead + i, rows.slice(i, i + 1), turned))
        return np.stack(made)

    def _frame(self, number: int, row: ActionTrack | None, turned: float) -> Frames:
        height, width = self.size
        frame = np.full((height, width, 3), 64, np.uint8)
        if row is not None:
            shift = int(turned * DEGREES) % width
            frame[:] = self._ramp[None, shift : shift + width, None]
        for bit in range(min(BITS, width // CELL)):
            frame[:CELL, bit * CELL : (bit + 1) * CELL] = LIT if number >> bit & 1 else DARK
        for i, key in enumerate(held_keys(self.variant)):
            held = row is not None and row.keyboard[0, self.variant.keys.index(key)] > 0
            frame[-CELL:, i * CELL : (i + 1) * CELL] = LIT if held else DARK
        return frame

    @staticmethod
    def _turn(rows: ActionTrack) -> float:
        return 0.0 if rows.mouse is None else float(rows.mouse[:, 1].sum())
