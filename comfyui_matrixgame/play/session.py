"""A session: makes blocks from what is held, hands frames over as they come, and remembers what was played.

`run` is the session; it stays in the thread that calls it until the session ends. Everything else may be called
from any thread and is obeyed between two blocks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..actions.track import ActionTrack, rows_of_blocks
from ..errors import MatrixGameError
from ..variants import FPS, frames_of_blocks
from . import MODES, RESPONSIVE
from .early_frames import Frames
from .held_inputs import HeldInputs
from .played_world import Playable
from .take import Take

READY, PLAYING, PAUSED, FINISHED = "ready", "playing", "paused", "finished"
POLL = 0.25  # seconds between looks at limits and at the caller's wish to stop
LEAD = 0.03  # seconds before the last picture's time is over at which the next block should be there
MEAN = 0.3  # weight of the newest block in the running mean of what one takes


@dataclass(frozen=True)
class FramesMade:
    """Frames of one latent frame. part: which of the block's. frames: [N, H, W, 3], of which the first is frame
    `first` of the session. rows: the input row each was made from. seq: of the player's last snapshot in them.
    generation, decode: seconds; the generation is the whole block's."""

    block: int
    part: int
    first: int
    frames: Frames
    rows: ActionTrack
    seq: int
    generation: float
    decode: float


@dataclass(frozen=True)
class StateChanged:
    """The session's state; reason: why it paused or ended, as a word for `messages`. still: the picture to show where
    another one than the last that was made is right."""

    state: str
    reason: str
    still: Frames | None = None


Event = FramesMade | StateChanged


@dataclass(frozen=True)
class Limits:
    """idle: seconds without a change of input, and lost: seconds without a player, after which the session pauses or,
    where `finish`, ends. blocks: how many the session may make on one way; None for no end."""

    idle: float = 120.0
    lost: float = 15.0
    finish: bool = False
    blocks: int | None = None


class Session:
    """One world being played.

    size: height and width of its frames. still: the last of them before the block that comes next, [H, W, 3].
    listener: gets every event, in the thread of `run`. on_wait: called between blocks, before passes, and while
    nothing is done at least every quarter of a second; what it raises ends the session, and the take stays.
    """

    def __init__(
        self,
        played: Playable,
        listener: Callable[[Event], None],
        *,
        mode: str = RESPONSIVE,
        limits: Limits | None = None,
        on_wait: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.played, self.listener, self.limits = played, listener, limits or Limits()
        self.held = HeldInputs(played.variant, mode, clock)
        self.take = Take(played.variant, played.seed, played.block)
        self.state, self.reason = READY, ""
        self.size, self.still = played.size, played.still()  # for players who join, also when what is played is closed
        self._on_wait = on_wait or (lambda: None)
        self.clock = clock
        self._orders: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._stalled = False
        self._lost_at: float | None = clock()
        self._shown_until = 0.0  # when the last picture handed over has been on screen long enough
        self._lead_time = 0.0  # mean seconds from the start of a block to its first frames

    # ---- from any thread

    def play(self) -> None:
        """Begin, or go on after a pause."""
        self._order(lambda: self._set(PLAYING, ""))

    def pause(self, reason: str = "") -> None:
        """Stop after the current block, and let go of all keys."""
        self._order(lambda: self._set(PAUSED, reason) if self.state == PLAYING else None)

    def stop(self, reason: str = "stopped") -> None:
        """End the session after the current block."""
        self._order(lambda: self._set(FINISHED, reason))

    def rewind(self, blocks: int) -> None:
        """Go back `blocks` blocks, or as far as there are; what was played stays in the take as a branch."""
        self._order(lambda: self._go_to(max(0, self.take.blocks - blocks)))

    def reset(self) -> None:
        """Back to the beginning."""
        self._order(lambda: self._go_to(0))

    def set_mode(self, mode: str) -> None:
        """Sample the inputs in another way from the next block on."""
        if mode not in MODES:
            raise MatrixGameError(f"There is no way of sampling called '{mode}'; use one of {', '.join(MODES)}.")
        self._order(lambda: self._sample(mode))

    def mark(self, name: str) -> None:
        """Name this place in the take."""
        self._order(lambda: self.take.mark(name))

    def record(self, on: bool) -> None:
        """Mark where a part that is wanted begins and ends."""
        self._order(lambda: self._record(on))

    def connected(self, there: bool) -> None:
        """Whether a player is there; without one everything is let go, and the session pauses."""
        self._lost_at = None if there else self.clock()
        if not there:
            self.held.release()
            self.pause("lost")

    def stall(self, stalled: bool) -> None:
        """Make no new block until the player has taken what was made."""
        with self._wake:
            self._stalled = stalled
            self._wake.notify_all()

    # ---- the session's thread

    def run(self) -> Take:
        """Play until the session is stopped or a limit ends it; returns the take."""
        try:
            while self.state != FINISHED:
                self._on_wait()
                self._obey()
                self._check_limits()
                if self.state == PLAYING and not self._wait_seconds():
                    self._make()
                elif self.state != FINISHED:
                    self._wait(self._wait_seconds())
        finally:
            if self.state != FINISHED:
                self._set(FINISHED, "cancelled")
        return self.take

    def _order(self, order: Callable[[], None]) -> None:
        with self._wake:
            self._orders.append(order)
            self._wake.notify_all()

    def _obey(self) -> None:
        while self._orders:
            order = self._orders.popleft()
            if self.state != FINISHED:
                order()

    def _wait(self, seconds: float) -> None:
        with self._wake:
            if not self._orders:
                self._wake.wait(min(POLL, seconds))

    def _wait_seconds(self) -> float:
        """How long there is nothing to do: nothing is made ahead of the picture that is on screen."""
        if self.state != PLAYING or self._stalled:
            return POLL
        return max(0.0, self._shown_until - LEAD - self._lead_time - self.clock())

    def _check_limits(self) -> None:
        limits, now = self.limits, self.clock()
        if limits.blocks is not None and self.take.blocks >= limits.blocks and self.state == PLAYING:
            self._limit("end")
        elif self._lost_at is not None and now - self._lost_at > limits.lost:
            self._limit("lost")
        elif now - self.held.changed_at > limits.idle:
            self._limit("idle")

    def _limit(self, reason: str) -> None:
        if self.limits.finish:
            self._set(FINISHED, reason)
        elif self.state == PLAYING:
            self._set(PAUSED, reason)

    def _set(self, state: str, reason: str, still: Frames | None = None) -> None:
        if state == PLAYING:
            self.held.restart()
            self.held.changed_at = self.clock()
            self._shown_until = 0.0
        elif self.state == PLAYING:
            self.held.release()
        self.state, self.reason = state, reason
        self.listener(StateChanged(state, reason, still))

    def _sample(self, mode: str) -> None:
        self.held.mode = mode
        self._set(self.state, self.reason)

    def _record(self, on: bool) -> None:
        self.take.record(on)
        self.listener(StateChanged(self.state, self.reason))

    def _go_to(self, blocks: int) -> None:
        """Back to before a block of the take; who was playing plays on from there."""
        self.played.go_to(self.take.first_block + blocks)
        self.take.cut(blocks)
        self.still = self.played.still()
        state = PLAYING if self.state == PLAYING else PAUSED if blocks else READY
        self._set(state, "", self.still)

    def _make(self) -> None:
        block = self.played.block
        rows = self.held.sample(rows_of_blocks(1, block))
        parts = _Parts(self, block, rows, self.held.seq, self.clock())
        self.played.make(rows, parts.add, self._on_wait)
        self.take.add(rows)
        self.still = parts.last
        end = parts.shown_from + parts.count / FPS
        self._shown_until = max(end, self.clock())


class _Parts:
    """HeldInputs the parts of one block over."""

    def __init__(self, session: Session, block: int, rows: ActionTrack, seq: int, began: float) -> None:
        self._session, self._block, self._rows, self._seq, self._began = session, block, rows, seq, began
        self._first = frames_of_blocks(block) - frames_of_blocks(session.take.first_block)
        self._part = 0
        self._generation = 0.0
        self.count = 0
        self.shown_from = began
        self.last: Frames = session.still

    def add(self, frames: NDArray[np.uint8], decode: float) -> None:
        """The next latent frame was decoded."""
        session = self._session
        now = session.clock()
        if self._part == 0:
            self._generation = max(0.0, now - self._began - decode)
            before = session._lead_time
            session._lead_time = now - self._began if not before else before + MEAN * (now - self._began - before)
            self.shown_from = max(now, session._shown_until)
        lead = 1 if self._block == 0 else 0  # frame 0 is made from the first row, like the frame after it
        indices = [max(0, self.count + i - lead) for i in range(len(frames))]
        rows = _pick(self._rows, indices)
        first = self._first + self.count
        event = FramesMade(self._block, self._part, first, frames, rows, self._seq, self._generation, decode)
        self._part += 1
        self.count += len(frames)
        self.last = frames[-1]
        session.listener(event)


def _pick(track: ActionTrack, indices: list[int]) -> ActionTrack:
    mouse = None if track.mouse is None else track.mouse[indices]
    return ActionTrack(track.variant, track.keyboard[indices], mouse)
