"""What every backend does: tasks go in, outcomes come out, in any order."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..jobs.products import Job
from ..jobs.task import Task
from ..results.result import Result


@dataclass(frozen=True)
class Outcome:
    """What became of a task. error: why there is none. fatal: no other can succeed."""

    task: Task
    result: Result | None = None
    error: str | None = None
    fatal: bool = False


@dataclass(frozen=True)
class Pulse:
    """How far a device is: `done` of `total` passes (or steps of a graph) in what it does now."""

    device: str
    text: str
    done: float
    total: float


OnPulse = Callable[[Pulse], None]


@dataclass
class Feed:
    """The tasks that are still to be made, pulled one at a time."""

    tasks: Iterator[Task]

    def take(self) -> Task | None:
        """The next task; None where there are no more."""
        return next(self.tasks, None)


def next_outcome(outbox: queue.Queue[Outcome | BaseException], seconds: float) -> Outcome | None:
    """What workers have to say next; None where nothing comes in so many seconds. Raises what ended a worker."""
    try:
        outcome = outbox.get(timeout=seconds)
    except queue.Empty:
        return None
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


class Backend(Protocol):
    """Makes the jobs of one variant."""

    name: str

    def signature(self) -> str:
        """Stands for what decides how long a block takes: weights, dtypes, sizes, device."""
        ...

    def task(self, job: Job) -> Task:
        """A job made ready, with the name of its result. Raises MatrixGameError where it cannot be."""
        ...

    def run(self, feed: Feed, on_pulse: OnPulse) -> Iterator[Outcome]:
        """Make what the feed gives; an outcome for each. Ends when the feed is empty; closing it stops the work."""
        ...
