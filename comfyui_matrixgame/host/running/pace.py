"""How far a run is and how long the rest takes: on Roll Out, and on the timeline that it gets its inputs from."""

# pyright: reportMissingImports=false

from __future__ import annotations

import time
from collections import OrderedDict
from types import TracebackType
from typing import Any

import comfy.model_management as memory
from server import PromptServer

from ...cache import CachedRollout
from ...cache.rollout.progress import DECODED, MADE, MAKING, REUSED
from ...system.pace import Pace, cancelled_note
from ...world import World
from .progress import Progress

EVENT = "matrixgame.pace"
MOST = 50  # kinds of runs whose times are remembered
_measured: OrderedDict[str, dict[str, float]] = OrderedDict()  # seconds of one block, by kind of run and of block


def kind_of_run(world: World) -> str:
    """What decides how long a block takes here: the models, the size, and how many passes see how much."""
    return f"{world.models_id}/{world.size}/{world.variant.settings}"


def seconds_a_block(kind: str) -> float | None:
    """What making one block took when it was last done; None where it was not done yet."""
    return _measured.get(kind, {}).get(MADE)


class PaceOfRun:
    """A context in which it is told how a run stands at each block, and what is kept of one that is cancelled.

    timeline: the node that the inputs come from, where there is one. where: finished blocks are kept ("in ...").
    It holds no run, as the run holds it.
    """

    def __init__(self, progress: Progress, timeline: str | None, where: str) -> None:
        self._progress, self._timeline, self._where = progress, timeline, where
        self._plan, self._what = "", REUSED
        self._pace: Pace | None = None

    def begin(self, run: CachedRollout) -> None:
        """Before the first block that is looked at."""
        self._done, self._blocks, self._counts = run.done, run.blocks, run.counts
        self._known = _measured.setdefault(kind_of_run(run.block_keys.world), {})
        while len(_measured) > MOST:
            _measured.popitem(last=False)
        due = [run.due(block) for block in range(run.next_block, run.block_keys.last)]
        self._pace = Pace([REUSED] * run.done + due, frozenset({REUSED}), self._known)
        for _ in range(run.done):  # those that are passed over
            self._pace.done(REUSED, 0, 0)
        self._began = time.monotonic()

    def woke(self, plan: str) -> None:
        """The models are there: from now on it is computed. plan: what they take."""
        self._plan = plan
        self._say()
        self._began = time.monotonic()

    def becomes(self, block: int, what: str) -> None:
        """What becomes of a block; MAKING comes before."""
        self._what = what
        if what in (MAKING, DECODED):
            self._say()

    def after(self, frames: int) -> None:
        """A block of so many frames is finished, and written."""
        assert self._pace is not None
        self._done += 1
        now = time.monotonic()
        self._pace.done(self._what, frames, now - self._began)
        self._began = now
        for kind in (MADE, DECODED):
            seconds = self._pace.seconds(kind)
            if seconds is not None and self._what == kind:
                self._known[kind] = seconds

    def __enter__(self) -> PaceOfRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pace is None:
            return
        if isinstance(error, memory.InterruptProcessingException):
            self._progress.tell(cancelled_note(self._done, self._blocks, self._where))
            self._send({"cancelled": self._done, "of": self._blocks})
        rate = self._pace.outlook.rate
        if error is None and rate is not None:
            self._progress.tell(f"{self._counts}, {rate:.3g} frames/s\n{self._plan}".strip())

    def _say(self) -> None:
        if self._pace is None:
            return
        outlook = self._pace.outlook
        self._progress.tell(f"{outlook}\n{self._plan}".strip())
        self._send({"at": outlook.at, "of": outlook.of, "seconds": outlook.seconds, "rate": outlook.rate})

    def _send(self, message: dict[str, Any]) -> None:
        if self._timeline is not None:
            PromptServer.instance.send_sync(EVENT, {"node": self._timeline, **message})
