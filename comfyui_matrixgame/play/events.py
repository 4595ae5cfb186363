"""What a session says to whoever listens: frames as they are made, its state, and that another world has begun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import NDArray

from ..actions.track import ActionTrack
from ..variants import FPS
from .early_frames import Frames

LEAD = 0.03  # seconds before the last picture's time is over at which the next block should be there
MEAN = 0.3  # weight of the newest block in the running mean of what one takes


@dataclass(frozen=True)
class FramesMade:
    """Frames of one latent frame. part: which of the block's. frames: [N, H, W, 3], of which the first is frame
    `first` of the session. rows: the input row each was made from. seq: of the player's last snapshot in them.
    generation, decode: seconds; the generation is the whole block's. asked: made from rows that a program sent."""

    block: int
    part: int
    first: int
    frames: Frames
    rows: ActionTrack
    seq: int
    generation: float
    decode: float
    asked: bool = False


@dataclass(frozen=True)
class StateChanged:
    """The session's state; reason: why it paused or ended, as a word for `messages`. still: the picture to show where
    another one than the last that was made is right. began: another world has begun, which that is a picture of."""

    state: str
    reason: str
    still: Frames | None = None
    began: bool = False


Event = FramesMade | StateChanged
Listener = Callable[[Event], None]


class Pace:
    """When blocks are made: nothing is made ahead of the picture that is on screen. In seconds of a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shown_until = 0.0  # when the last picture handed over has been on screen long enough
        self._lead_time = 0.0  # mean seconds from the start of a block to its first frames

    def restart(self) -> None:
        """Time begins anew, after a pause."""
        self._shown_until = 0.0

    def wait_seconds(self) -> float:
        """How long there is nothing to do."""
        return max(0.0, self._shown_until - LEAD - self._lead_time - self._clock())

    def came(self, began: float, now: float) -> float:
        """The first frames of a block are there; returns when they are shown."""
        before = self._lead_time
        self._lead_time = now - began if not before else before + MEAN * (now - began - before)
        return max(now, self._shown_until)

    def finished(self, shown_from: float, frames: int) -> None:
        """A block is there, which is shown from then on."""
        self._shown_until = max(shown_from + frames / FPS, self._clock())


class BlockParts:
    """Hands the parts of one block over. first: the session's number of its first frame. asked: see FramesMade."""

    def __init__(
        self,
        block: int,
        first: int,
        rows: ActionTrack,
        *,
        seq: int,
        asked: bool,
        still: Frames,
        pace: Pace,
        clock: Callable[[], float],
        listener: Listener,
    ) -> None:
        self._block, self._first, self._rows, self._seq, self._asked = block, first, rows, seq, asked
        self._pace, self._clock, self._listener = pace, clock, listener
        self._part = 0
        self._generation = 0.0
        self.count = 0
        self._began = self.shown_from = clock()
        self.last = still

    def add(self, frames: NDArray, decode: float) -> None:
        """The next latent frame was decoded."""
        now = self._clock()
        if self._part == 0:
            self._generation = max(0.0, now - self._began - decode)
            if not self._asked:
                self.shown_from = self._pace.came(self._began, now)
        lead = 1 if self._block == 0 else 0  # frame 0 is made from the first row, like the frame after it
        rows = _pick(self._rows, [max(0, self.count + i - lead) for i in range(len(frames))])
        first, made_for = self._first + self.count, (self._seq, self._generation, decode, self._asked)
        event = FramesMade(self._block, self._part, first, frames, rows, *made_for)
        self._part += 1
        self.count += len(frames)
        self.last = frames[-1]
        self._listener(event)


def _pick(track: ActionTrack, indices: list[int]) -> ActionTrack:
    mouse = None if track.mouse is None else track.mouse[indices]
    return ActionTrack(track.variant, track.keyboard[indices], mouse)
