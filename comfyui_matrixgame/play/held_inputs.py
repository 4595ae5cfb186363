"""What a player holds: snapshots come in whenever they change, rows of input go out once a block."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..actions.track import ActionTrack
from ..actions.vocabulary import camera_axes, held_keys
from ..variants import FPS, Variant
from . import FAITHFUL, RESPONSIVE

LOOK_LIMIT = 0.2  # of pitch and yaw while playing: twice what the model was benchmarked with
SILENCE = 1.0  # seconds without a word from the player after which nothing counts as held
MOST_NOTES = 600  # changes remembered between two blocks: ten seconds of 60 a second
_STEPS = 1000  # of a camera value in one unit, so that a take reads well; what is cut off is carried on


@dataclass(frozen=True)
class Snapshot:
    """What a player holds now, and did since the last snapshot.

    keys: held, in the order they were pressed. taps: pressed since the last snapshot, whether still held or not.
    stick: speed `(pitch, yaw)` of camera keys and sticks, per frame. look: how far `(pitch, yaw)` the mouse turned
    since the last snapshot, in the same units. seq: the player's own count, handed back with the frames.
    """

    keys: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()
    stick: tuple[float, float] = (0.0, 0.0)
    look: tuple[float, float] = (0.0, 0.0)
    seq: int = 0


NOTHING = Snapshot()


class HeldInputs:
    """Snapshots of one player, turned into input rows. Every method may be called from any thread.

    mode: RESPONSIVE, what is held when a block starts counts for all of it; or FAITHFUL, the time since the last
    block started is replayed row by row, one block late. clock: seconds.
    """

    def __init__(self, variant: Variant, mode: str = RESPONSIVE, clock: Callable[[], float] = time.monotonic) -> None:
        self.variant = variant
        self.mode = mode
        self._clock = clock
        self._keys = frozenset(held_keys(variant))
        self._lock = threading.Lock()
        self._now = NOTHING
        self._before = NOTHING  # what was held when the last block started
        self._notes: deque[tuple[float, Snapshot]] = deque()  # since then
        self._carried = [0.0, 0.0]
        self._since = self._heard = clock()
        self.changed_at = self._heard

    @property
    def seq(self) -> int:
        """The count of the last snapshot."""
        return self._now.seq

    def put(self, snapshot: Snapshot) -> None:
        """The player says what is held. Keys that the variant does not know are left out."""
        keys = tuple(key for key in snapshot.keys if key in self._keys)
        taps = tuple(key for key in snapshot.taps if key in self._keys)
        pitch = 1.0 if "pitch" in camera_axes(self.variant) else 0.0
        yaw = 1.0 if self.variant.mouse else 0.0
        stick, look = ((pair[0] * pitch, pair[1] * yaw) for pair in (snapshot.stick, snapshot.look))
        with self._lock:
            now = Snapshot(keys, taps, stick, look, snapshot.seq)
            self._heard = self._clock()
            if (keys, stick) != (self._now.keys, self._now.stick) or taps or any(look):
                self.changed_at = self._heard
            self._note(now)

    def heard(self) -> None:
        """The player is still there and holds the same."""
        self._heard = self._clock()

    def release(self) -> None:
        """Nothing is held any more, and what was not read yet is forgotten."""
        with self._lock:
            self._forget()

    def restart(self) -> None:
        """Time begins anew, after a pause: faithful rows are of the time from now on."""
        with self._lock:
            held = Snapshot(self._now.keys, (), self._now.stick, (0.0, 0.0), self._now.seq)
            self._forget()
            self._now = self._before = held
            self._since = self._heard = self._clock()

    def sample(self, rows: int) -> ActionTrack:
        """The inputs of the next block: [rows]. What was tapped or turned is used up."""
        with self._lock:
            now = self._clock()
            if now - self._heard > SILENCE:
                self._forget()
            parts = self._parts(rows, now) if self.mode == FAITHFUL else [self._all_at_once()] * rows
            looks = self._looks(parts, rows)
            self._notes.clear()
            self._before, self._since = self._now, now
        return ActionTrack.from_rows(self.variant, [self._row(*part) for part in zip(parts, looks, strict=True)])

    def _note(self, snapshot: Snapshot) -> None:
        self._now = snapshot
        if len(self._notes) >= MOST_NOTES:  # a flood: what was done counts, when it was done is forgotten
            at, last = self._notes.pop()
            look = (last.look[0] + snapshot.look[0], last.look[1] + snapshot.look[1])
            taps = tuple(dict.fromkeys(last.taps + snapshot.taps))
            self._notes.append((at, Snapshot(snapshot.keys, taps, snapshot.stick, look, snapshot.seq)))
        else:
            self._notes.append((self._clock(), snapshot))

    def _forget(self) -> None:
        self._notes.clear()
        self._now = self._before = Snapshot(seq=self._now.seq)
        self._carried = [0.0, 0.0]

    def _all_at_once(self) -> Snapshot:
        """What counts for a whole responsive block; `look` is the sum of all turns."""
        taps = tuple(tap for _, note in self._notes for tap in note.taps)
        look = tuple(sum(note.look[axis] for _, note in self._notes) for axis in (0, 1))
        stick = tuple(self._tapped_stick(axis) for axis in (0, 1))
        return Snapshot(self._now.keys, taps, stick, look, self._now.seq)  # type: ignore[arg-type]

    def _tapped_stick(self, axis: int) -> float:
        """The stick as it is, or as far as it went where it moved and came back since the last block."""
        now = self._now.stick[axis]
        if now or self._before.stick[axis]:
            return now
        return max((note.stick[axis] for _, note in self._notes), key=abs, default=0.0)

    def _parts(self, rows: int, now: float) -> list[Snapshot]:
        """The time since the last block in `rows` equal parts, each as it was at its end."""
        length = max(now - self._since, 1 / FPS) / rows
        parts, held, notes = [], self._before, list(self._notes)
        for row in range(rows):
            end = self._since + (row + 1) * length
            here = [note for at, note in notes if at < end or row == rows - 1]
            notes = notes[len(here) :]
            held = here[-1] if here else Snapshot(held.keys, (), held.stick, (0.0, 0.0), held.seq)
            taps = tuple(tap for note in here for tap in note.taps)
            look = (sum(note.look[0] for note in here), sum(note.look[1] for note in here))
            parts.append(Snapshot(held.keys, taps, held.stick, look, held.seq))
        return parts

    def _looks(self, parts: Sequence[Snapshot], rows: int) -> list[tuple[float, float]]:
        """Camera values of each row; turns that a limit held back are carried on, at most one block far."""
        columns = []
        for axis in (0, 1):
            faithful = self.mode == FAITHFUL
            fresh = sum(part.look[axis] for part in parts) if faithful else parts[0].look[axis]
            left = self._carried[axis] + (0.0 if faithful else fresh)
            column = []
            for row, part in enumerate(parts):
                left += part.look[axis] if faithful else 0.0
                share = left if faithful else left / (rows - row)
                value = _short(max(-LOOK_LIMIT, min(LOOK_LIMIT, part.stick[axis] + share)))
                if not faithful and row:
                    value = column[0]
                left -= value - part.stick[axis]
                column.append(value)
            self._carried[axis] = min(max(left, min(fresh, 0.0)), max(fresh, 0.0))
            columns.append(column)
        return list(zip(*columns, strict=True))

    def _row(self, part: Snapshot, look: tuple[float, float]) -> dict[str, float]:
        held = list(dict.fromkeys(part.keys + part.taps))
        held = held[-1:] if self.variant.exclusive else held
        row = dict.fromkeys(held, 1.0)
        return {**row, "pitch": look[0], "yaw": look[1]} if self.variant.mouse else row


def _short(value: float) -> float:
    """A camera value cut towards 0, so that what is left over has the same sign."""
    return math.trunc(round(value * _STEPS, 6)) / _STEPS
