"""What was played: the inputs that the model was given, block by block, with the branches that were left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..actions.document import Marker, Timeline, lanes_of_track, legal_length
from ..actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ..errors import WorldError
from ..system.words import counted
from ..variants import Variant, first_input_of_block
from .changes.taken import MOST_BYTES, MOST_CHANGES, PictureChange, pictures_json

MOST_BRANCHES = 50  # that a take keeps; the oldest go first
MOST_MARKS = 500


@dataclass(frozen=True)
class Branch:
    """A way that was left by rewinding. fork: the row where another way began. changes: of the picture, all of them."""

    name: str
    fork: int
    rows: ActionTrack
    changes: tuple[PictureChange, ...] = ()


@dataclass
class Take:
    """Inputs of blocks first_block .. first_block + blocks - 1 of a world's life; rows are counted from its start.

    seed: of the world. recording: the row at which recording was switched on. changes: of the picture, on the way to
    here.
    """

    variant: Variant
    seed: int = 0
    first_block: int = 0
    branches: list[Branch] = field(default_factory=list)
    marks: list[Marker] = field(default_factory=list)
    recording: int | None = None
    changes: tuple[PictureChange, ...] = ()
    _blocks: list[ActionTrack] = field(default_factory=list)
    _left: int = 0

    @property
    def blocks(self) -> int:
        """Blocks on the way to here."""
        return len(self._blocks)

    @property
    def left(self) -> int:
        """How many ways were left, also those that are no longer among the branches."""
        return self._left

    @property
    def length(self) -> int:
        """Rows on the way to here."""
        return rows_of_blocks(self.blocks, self.first_block)

    def add(self, rows: ActionTrack) -> None:
        """The next block was made from `rows`."""
        self._blocks.append(rows)

    @property
    def changes_here(self) -> int:
        """How often the picture was changed before the next row."""
        return sum(change.row == self.length for change in self.changes)

    def change(self, picture: bytes, strength: float, seen: str) -> None:
        """The picture was changed before the next row; see PictureChange."""
        self.changes = (*self.changes, PictureChange(self.length, picture, strength, seen))

    def check_room(self, picture: bytes) -> None:
        """Raise WorldError where the take cannot hold another change with this picture."""
        changes = self._all_changes()
        pictures = {change.digest: len(change.picture) for change in changes}
        if len(changes) >= MOST_CHANGES or sum(pictures.values()) + len(picture) > MOST_BYTES:
            raise WorldError(
                f"This take holds {counted(len(changes), 'change')} of the picture, and no more fit in; end the "
                "session, and go on from its world."
            )

    def go_back_to(self, blocks: int, changes: int | None = None) -> bool:
        """Go back to the first `blocks` blocks; what came after them becomes a branch. True where there was any.
        changes: how many of those that were made there stay; all by default."""
        fork = self.row_of(blocks)
        before = tuple(change for change in self.changes if change.row < fork)
        there = tuple(change for change in self.changes if change.row == fork)
        whole, left = self.track(), self.changes
        self.changes = before + there[:changes]
        if blocks >= self.blocks:
            return False
        self._left += 1
        assert whole is not None
        self.branches = [*self.branches, Branch(f"take {self._left}", fork, whole, left)][-MOST_BRANCHES:]
        del self._blocks[blocks:]
        self.marks = [mark for mark in self.marks if mark.t < fork]
        if self.recording is not None and self.recording > fork:
            self.recording = fork
        return True

    def row_of(self, blocks: int) -> int:
        """The row at which block `blocks` of the take begins."""
        return first_input_of_block(self.first_block + blocks) - first_input_of_block(self.first_block)

    def mark(self, name: str) -> None:
        """Name the next row."""
        self.marks = [*(mark for mark in self.marks if mark.t != self.length), Marker(self.length, name)][-MOST_MARKS:]

    def record(self, on: bool) -> None:
        """Switch recording on or off: both ends are marked, so that the part is easy to find in the timeline."""
        if on and self.recording is None:
            self.recording = self.length
            self.mark("recording")
        elif not on and self.recording is not None:
            self.recording = None
            self.mark("recording ends")

    def track(self) -> ActionTrack | None:
        """The inputs on the way to here, exactly as the model was given them; None before the first block."""
        blocks = list(self._blocks)  # whoever asks may be in another thread than the session
        if not blocks:
            return None
        mouse = [rows.mouse for rows in blocks if rows.mouse is not None]
        keyboard = np.concatenate([rows.keyboard for rows in blocks])
        return ActionTrack(self.variant, keyboard, np.concatenate(mouse) if mouse else None)

    def timeline(self) -> Timeline:
        """The take as a timeline document, its branches with it. Where a branch is longer than the way to here, the
        document is as long as the branch, and a marker says where the way to here ends."""
        # once: the session may go on meanwhile
        track, branches, marks, changes = self.track(), self.branches, self.marks, self.changes
        length = 0 if track is None else len(track)
        blocks = blocks_of_rows(length, self.first_block)
        longest = max([length, *(len(branch.rows) for branch in branches)])
        pictures = pictures_json(each for way in (changes, *(branch.changes for branch in branches)) for each in way)
        taken = _changes_json(changes) | ({"pictures": pictures} if pictures else {})
        marks = marks if longest <= length else [*marks, Marker(length, "end of the take")]
        document = Timeline(
            self.variant,
            legal_length(max(1, longest)),
            {} if track is None else lanes_of_track(track),
            tuple(marks),
            branches=tuple(
                {
                    "id": branch.name.replace(" ", "-"),
                    "name": branch.name,
                    "fork": branch.fork,
                    "tracks": lanes_of_track(branch.rows),
                    **_changes_json(branch.changes),
                }
                for branch in branches
            ),
            extra={"take": {"seed": self.seed, "first_block": self.first_block, "blocks": blocks} | taken},
        )
        return Timeline.from_json(document.to_json())

    def _all_changes(self) -> tuple[PictureChange, ...]:
        """Those of the way to here and of the branches, each once."""
        ways = [self.changes, *(branch.changes for branch in self.branches)]
        return tuple({id(change): change for way in ways for change in way}.values())


def _changes_json(changes: tuple[PictureChange, ...]) -> dict[str, Any]:
    return {"changes": [change.to_json() for change in changes]} if changes else {}
