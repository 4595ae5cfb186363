"""What was played: the inputs that the model was given, block by block, with the branches that were left."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..actions.document import Marker, Timeline, lanes_of_track, legal_length
from ..actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ..variants import Variant, first_input_of_block

MOST_BRANCHES = 50  # that a take keeps; the oldest go first
MOST_MARKS = 500


@dataclass(frozen=True)
class Branch:
    """A way that was left by rewinding. fork: the row where another way began."""

    name: str
    fork: int
    rows: ActionTrack


@dataclass
class Take:
    """Inputs of blocks first_block .. first_block + blocks - 1 of a world's life; rows are counted from its start.

    seed: of the world. recording: the row at which recording was switched on.
    """

    variant: Variant
    seed: int = 0
    first_block: int = 0
    branches: list[Branch] = field(default_factory=list)
    marks: list[Marker] = field(default_factory=list)
    recording: int | None = None
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

    def cut(self, blocks: int) -> bool:
        """Go back to the first `blocks` blocks; what came after them becomes a branch. True where there was any."""
        if blocks >= self.blocks:
            return False
        self._left += 1
        fork = self.row_of(blocks)
        whole = self.track()
        assert whole is not None
        self.branches = [*self.branches, Branch(f"take {self._left}", fork, whole)][-MOST_BRANCHES:]
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
        track, branches, marks = self.track(), self.branches, self.marks  # once: the session may go on meanwhile
        length = 0 if track is None else len(track)
        blocks = blocks_of_rows(length, self.first_block)
        longest = max([length, *(len(branch.rows) for branch in branches)])
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
                }
                for branch in branches
            ),
            extra={"take": {"seed": self.seed, "first_block": self.first_block, "blocks": blocks}},
        )
        return Timeline.from_json(document.to_json())
