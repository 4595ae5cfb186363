"""What a rollout with a cache tells while it runs: counts, passes, and what becomes of each block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...system.words import counted
from ...world.block.passes import OnPass, PassProgress

REUSED, MADE, DECODED, MAKING = "reused", "made", "decoded", "making"
OnBlock = Callable[[int, str], None]
"""Called with a block's index and what becomes of it: MAKING, then REUSED, DECODED or MADE."""


@dataclass
class Counts:
    """What a rollout did. replayed: clean passes that brought caches to where something had to be made."""

    reused: int = 0
    decoded: int = 0
    made: int = 0
    replayed: int = 0

    def __str__(self) -> str:
        parts = [f"{counted(self.made, 'block')} made", f"{self.reused} reused"]
        parts += [f"{self.decoded} only decoded"] if self.decoded else []
        parts += [f"{self.replayed} replayed"] if self.replayed else []
        return ", ".join(parts)


@dataclass
class Progress:
    """How far a rollout of `blocks` blocks is, and who is told. It holds no rollout, so that one may hold it.

    passes: of one block. done: blocks that are finished. wake: called once, before anything is computed.
    """

    blocks: int
    passes: int
    on_pass: OnPass | None = None
    on_block: OnBlock | None = None
    wake: Callable[[], object] | None = None
    done: int = 0

    def awake(self) -> None:
        """Something is computed from here on."""
        if self.wake is not None:
            wake, self.wake = self.wake, None
            wake()

    def step(self, number: int) -> None:
        """A pass of the next block begins."""
        if self.on_pass is not None:
            self.on_pass(PassProgress(self.done, self.blocks, number, self.passes))

    def tell(self, block: int, what: str) -> None:
        """What becomes of a block of the world's life."""
        if self.on_block is not None:
            self.on_block(block, what)
