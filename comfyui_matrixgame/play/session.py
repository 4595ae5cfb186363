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

from ..actions.track import ActionTrack, rows_of_blocks
from ..errors import MatrixGameError
from ..system.words import counted
from ..variants import frames_of_blocks
from . import MODES, RESPONSIVE
from .changes.playing import change_picture
from .early_frames import Frames
from .events import BlockParts, Event, FramesMade, Pace, StateChanged
from .held_inputs import HeldInputs
from .orders import Done, Order, Refused
from .played_world import Playable
from .take import Take

READY, PLAYING, PAUSED, FINISHED = "ready", "playing", "paused", "finished"
POLL = 0.25  # seconds between looks at limits and at the caller's wish to stop

__all__ = ["FINISHED", "PAUSED", "PLAYING", "READY", "Done", "Event", "FramesMade", "Limits", "Session", "StateChanged"]


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
    listener: gets every event, in the thread of `run`. on_take: gets the new take where another world begins. on_wait:
    called between blocks, before passes, and while nothing is done at least every quarter of a second; what it raises
    ends the session, and the take stays.
    """

    def __init__(
        self,
        played: Playable,
        listener: Callable[[Event], None],
        *,
        mode: str = RESPONSIVE,
        limits: Limits | None = None,
        on_wait: Callable[[], None] | None = None,
        on_take: Callable[[Take], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.played, self.listener, self.limits = played, listener, limits or Limits()
        self.held = HeldInputs(played.variant, mode, clock)
        self.take = Take(played.variant, played.seed, played.block)
        self.state, self.reason = READY, ""
        # for players who join, also when what is played is closed
        self.size, self.still, self.sees = played.size, played.still(), played.sees
        self._on_wait = on_wait or (lambda: None)
        self._on_take = on_take or (lambda _: None)
        self.clock = clock
        self._orders: deque[Order] = deque()
        self._wake = threading.Condition()
        self._stalled = False
        self._over = False
        self._busy_elsewhere = False
        self._lost_at: float | None = clock()
        self._pace = Pace(clock)

    # ---- from any thread

    def play(self) -> None:
        """Begin, or go on after a pause."""
        self._order(Order(lambda: self._set(PLAYING, "")))

    def pause(self, reason: str = "") -> None:
        """Stop after the current block, and let go of all keys."""
        self._order(Order(lambda: self._set(PAUSED, reason) if self.state == PLAYING else None))

    def stop(self, reason: str = "stopped") -> None:
        """End the session after the current block."""
        self._order(Order(lambda: self._set(FINISHED, reason)))

    def rewind(self, blocks: int) -> None:
        """Go back `blocks` blocks, or as far as there are; what was played stays in the take as a branch."""
        self._order(Order(lambda: self._go_to(max(0, self.take.blocks - blocks))))

    def reset(self) -> None:
        """Back to the beginning."""
        self._order(Order(lambda: self._go_to(0, changes=0)))

    def set_mode(self, mode: str) -> None:
        """Sample the inputs in another way from the next block on."""
        if mode not in MODES:
            raise MatrixGameError(f"There is no way of sampling called '{mode}'; use one of {', '.join(MODES)}.")
        self._order(Order(lambda: self._sample(mode)))

    def mark(self, name: str) -> None:
        """Name this place in the take."""
        self._order(Order(lambda: self.take.mark(name)))

    def record(self, on: bool) -> None:
        """Mark where a part that is wanted begins and ends."""
        self._order(Order(lambda: self._record(on)))

    def make(self, rows: ActionTrack, done: Done) -> None:
        """Make the next block from `rows`, all that it is the first to read, whenever that is done; nothing waits for a
        clock. Refused while the session is played."""
        self._order(Order(lambda: self._make_asked(rows), done, makes=True))

    def start(self, make: Callable[[], Playable], done: Done) -> None:
        """Play another world, with a new take. make: called in the session's thread; a MatrixGameError of it is said,
        and the world stays."""
        self._order(Order(lambda: self._start(make), done))

    def change(self, picture: bytes, strength: float, seen: str, done: Done) -> None:
        """Go on from what the last frame should look like: a picture file's bytes, of its size, transparent where it
        stays as it is. strength, seen: see `plan_change` and Playable.sees; an empty `seen` is the default. Without a
        picture, take back the last change that was made here. Refused while the session is played."""
        self._order(Order(lambda: self._change(picture, strength, seen), done))

    def wait(self, on: bool) -> None:
        """Whether the player is busy with the picture elsewhere: as long, the time without input does not count."""
        self._order(Order(lambda: self._away(on)))

    def then(self, done: Done) -> None:
        """Say when all that was ordered before is done."""
        self._order(Order(lambda: None, done, late=True))

    def connected(self, there: bool) -> None:
        """Whether a player is there; without one everything is let go, and the session pauses."""
        self._lost_at = None if there else self.clock()
        self._busy_elsewhere = False
        if not there:
            with self._wake:
                self._orders = deque(order for order in self._orders if not order.makes)
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
            self._over = True
            self._obey()  # what came too late is answered
        return self.take

    def _order(self, order: Order) -> None:
        with self._wake:
            self._orders.append(order)
            self._wake.notify_all()
        if self._over:
            self._obey()

    def _obey(self) -> None:
        while (order := self._next_order()) is not None:
            problem = "The session has ended." if self.state == FINISHED and not order.late else ""
            try:
                if not problem:
                    order.obey()
            except Refused as error:
                problem = str(error)
            except BaseException:
                if order.done is not None:
                    order.done("The session has ended with an error, which it says where it was started.")
                raise
            if order.done is not None:
                order.done(problem)

    def _next_order(self) -> Order | None:
        with self._wake:
            return self._orders.popleft() if self._orders_to_obey() else None

    def _orders_to_obey(self) -> bool:
        return bool(self._orders) and not (self._stalled and self._orders[0].makes and self.state != FINISHED)

    def _wait(self, seconds: float) -> None:
        with self._wake:
            if not self._orders_to_obey():
                self._wake.wait(min(POLL, seconds))

    def _wait_seconds(self) -> float:
        return POLL if self.state != PLAYING or self._stalled else self._pace.wait_seconds()

    def _check_limits(self) -> None:
        limits, now = self.limits, self.clock()
        if limits.blocks is not None and self.take.blocks >= limits.blocks and self.state == PLAYING:
            self._limit("end")
        elif self._lost_at is not None and now - self._lost_at > limits.lost:
            self._limit("lost")
        elif now - self.held.changed_at > limits.idle and not self._busy_elsewhere:
            self._limit("idle")

    def _limit(self, reason: str) -> None:
        if self.limits.finish:
            self._set(FINISHED, reason)
        elif self.state == PLAYING:
            self._set(PAUSED, reason)

    def _set(self, state: str, reason: str, still: Frames | None = None) -> None:
        if state == PLAYING:
            self._busy_elsewhere = False
            self.held.restart()
            self.held.changed_at = self.clock()
            self._pace.restart()
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

    def _go_to(self, blocks: int, changes: int | None = None) -> None:
        """Back to before a block of the take; who was playing plays on from there. changes: see Playable.go_to."""
        self.played.go_to(self.take.first_block + blocks, changes)
        self.take.go_back_to(blocks, changes)
        self.still = self.played.still()
        state = PLAYING if self.state == PLAYING else PAUSED if blocks else READY
        self._set(state, "", self.still)

    def _change(self, picture: bytes, strength: float, seen: str) -> None:
        here = self.take.changes_here
        if self.state == PLAYING:
            raise Refused("The session is being played; pause it before you change the picture.")
        if not picture and not here:
            raise Refused("The picture was not changed here, so there is nothing to take back.")
        if not picture:
            self._go_to(self.take.blocks, here - 1)
            return
        try:
            if change_picture(self.played, self.take, picture, strength, seen):
                self.still = self.played.still()
        except MatrixGameError as error:
            raise Refused(str(error)) from error
        self._set(PAUSED if self.state == READY else self.state, self.reason, self.still)

    def _away(self, on: bool) -> None:
        self._busy_elsewhere = on
        self.held.changed_at = self.clock()

    def _start(self, make: Callable[[], Playable]) -> None:
        try:
            played = make()
        except MatrixGameError as error:
            raise Refused(str(error)) from error
        before, self.played = self.played, played
        before.close()
        self.take = Take(played.variant, played.seed, played.block)
        self.size, self.still, self.sees = played.size, played.still(), played.sees
        self._on_take(self.take)
        self.held.release()
        self.state, self.reason = READY, ""
        self.listener(StateChanged(READY, "", self.still, began=True))

    def _make_asked(self, rows: ActionTrack) -> None:
        block = self.played.block
        wanted = rows_of_blocks(1, block)
        if self.state == PLAYING:
            raise Refused("The session is being played; pause it before you send rows.")
        if self.limits.blocks is not None and self.take.blocks >= self.limits.blocks:
            raise Refused(f"This session makes {counted(self.limits.blocks, 'block')}, and they are there.")
        if len(rows) != wanted:
            raise Refused(f"Block {block} reads {wanted} rows, and {len(rows)} were sent.")
        self._make(rows)

    def _make(self, asked: ActionTrack | None = None) -> None:
        """The next block, from the rows that were asked for or what is held."""
        block = self.played.block
        rows = self.held.sample(rows_of_blocks(1, block)) if asked is None else asked
        parts = BlockParts(
            block,
            frames_of_blocks(block) - frames_of_blocks(self.take.first_block),
            rows,
            seq=self.held.seq if asked is None else 0,
            asked=asked is not None,
            still=self.still,
            pace=self._pace,
            clock=self.clock,
            listener=self.listener,
        )
        self.played.make(rows, parts.add, self._on_wait)
        self.take.add(rows)
        self.still = parts.last
        if asked is None:
            self._pace.finished(parts.shown_from, parts.count)
