"""Running a job file: what is finished is recognised, the rest goes to a backend, and every outcome is written down."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ..errors import BatchError, MatrixGameError, TargetError
from ..system.words import counted
from .backends.backend import Backend, Feed, Outcome, Pulse
from .jobs.products import Job
from .jobs.settings import JobFile, is_url
from .jobs.task import Task
from .results.ledger import Ledger
from .results.result import Result
from .results.store import Store

REPORT_EVERY = 30.0  # seconds between two versions of the page, at least
REPORT_SHARE = 0.05  # of the time that may go into writing it: it grows with what is finished
SHOW_EVERY = 0.2  # seconds between two states of a device's bar

OpenBackend = Callable[[str], Backend]


@dataclass
class Tally:
    """How a run stands."""

    total: int
    made: int = 0
    ready: int = 0
    failed: int = 0
    left: int = 0

    def __str__(self) -> str:
        parts = [f"{self.made:,} made"]
        for count, what in ((self.ready, "finished before"), (self.failed, "failed"), (self.left, "failed before")):
            parts += [f"{count:,} {what}"] if count else []
        return f"{counted(self.total, 'job', form=',')}: {', '.join(parts)}"


@dataclass
class Runner:
    """Runs a job file into a store. on_report: writes the page, at the end and now and then."""

    jobs: JobFile
    store: Store
    ledger: Ledger
    retry_failed: bool = False
    on_report: Callable[[], object] | None = None
    quiet: bool = False
    _same: dict[str, list[Task]] = field(default_factory=dict)  # key -> other jobs with the result that is being made
    _unusable: list[tuple[Job, str]] = field(default_factory=list)

    def run(self, open_backend: OpenBackend) -> Tally:
        """Make what is missing. Raises BatchError where no job can go on; what was finished stays."""
        self.store.clean()
        self.ledger.put_note("total", len(self.jobs))
        self.ledger.put_note("output", self.jobs.output)
        tally = Tally(len(self.jobs))
        bars = Bars(tally.total, self.quiet)
        due = time.monotonic() + REPORT_EVERY
        try:
            for variant in self.jobs.variants:
                backend = open_backend(variant)
                with closing(self._outcomes(backend, variant, tally, bars)) as outcomes:  # type: ignore[type-var]
                    for outcome in outcomes:
                        self._record(outcome, backend.signature(), tally, bars)
                        if time.monotonic() > due:
                            began = time.monotonic()
                            self._report(bars)
                            took = time.monotonic() - began
                            due = time.monotonic() + max(REPORT_EVERY, took / REPORT_SHARE)
        finally:
            bars.close()
            self._report(bars)
        return tally

    def _report(self, bars: Bars) -> None:
        """Write the page; where that fails, say so and go on: the results matter more."""
        try:
            if self.on_report is not None:
                self.on_report()
        except (BatchError, TargetError) as error:
            bars.say(str(error))

    def _outcomes(self, backend: Backend, variant: str, tally: Tally, bars: Bars) -> Iterator[Outcome]:
        feed = Feed(self._missing(backend, variant, tally, bars))
        yield from backend.run(feed, bars.show_device)

    def _missing(self, backend: Backend, variant: str, tally: Tally, bars: Bars) -> Iterator[Task]:
        """The tasks of a variant that have no result yet; the others are written down on the way."""
        for job in self.jobs.jobs(variant):
            try:
                task = backend.task(job)
            except MatrixGameError as error:
                self.ledger.fail(job.name, job.labels, "", str(error))
                self._say_failed(job.name, str(error), tally, bars)
                continue
            if self.ledger.state(task.name, task.key) == "failed" and not self.retry_failed:
                tally.left += 1
                bars.step()
            elif self._recognise(task, backend.signature(), bars):
                tally.ready += 1
                bars.step()
            elif task.key in self._same:
                self._same[task.key].append(task)
            else:
                self._same[task.key] = []
                yield task

    def _recognise(self, task: Task, signature: str, bars: Bars) -> bool:
        """Whether a task's result is there and whole; then its name is made to point to it."""
        if not self.store.seen(task.key):
            return False
        state = self.ledger.state(task.name, task.key)
        result = self.ledger.result(task.key) if state == "done" else None
        if result is None or self.store.is_near:
            result = self.store.read(task.key)
        if result is None or not result.has(task.items):
            return False
        said = (self.ledger.labels(task.name), self.ledger.result(task.key))
        if state != "done" or said != (task.labels, result):
            self.ledger.finish(task.name, task.labels, result, signature)
        self._show(result, task, bars)
        return True

    def _record(self, outcome: Outcome, signature: str, tally: Tally, bars: Bars) -> None:
        for task in [outcome.task, *self._same.pop(outcome.task.key, [])]:
            if outcome.fatal:
                raise BatchError(f"Stopped. {outcome.error}")
            if outcome.result is None:
                self.ledger.fail(task.name, task.labels, task.key, outcome.error or "")
                self._say_failed(task.name, outcome.error or "", tally, bars)
                continue
            self.ledger.finish(task.name, task.labels, outcome.result, signature)
            self._show(outcome.result, task, bars)
            tally.made += 1
            bars.step()

    def _show(self, result: Result, task: Task, bars: Bars) -> None:
        """Show a result under its job's name."""
        if kept := self.store.link(result, task.name, task.items):
            more = f" and {len(kept) - 1:,} more files" if len(kept) > 1 else ""
            bars.say(
                f"kept: {kept[0]}{more}, which this program did not make; what it made is in "
                f"{Path(self.jobs.output) / result.place}. Move the files, and run the same command again."
            )

    def _say_failed(self, name: str, error: str, tally: Tally, bars: Bars) -> None:
        tally.failed += 1
        bars.say(f"failed: {name}: {error}")
        bars.step()


class Bars:
    """A progress bar for all jobs, and one for each device that works."""

    def __init__(self, total: int, quiet: bool) -> None:
        self._quiet = quiet
        self._all = tqdm(total=total, unit="job", file=sys.stderr, dynamic_ncols=True, disable=quiet, position=0)
        self._devices: dict[str, tqdm] = {}
        self._shown: dict[str, float] = {}

    def show_device(self, pulse: Pulse) -> None:
        """Show how far a device is."""
        bar = self._devices.get(pulse.device)
        if bar is None:
            bar = tqdm(
                file=sys.stderr, dynamic_ncols=True, disable=self._quiet, position=len(self._devices) + 1, leave=False,
                bar_format="  {desc} |{bar}| {n_fmt}/{total_fmt}",
            )  # fmt: skip
            self._devices[pulse.device] = bar
        bar.set_description_str(f"{pulse.device}: {pulse.text}"[:60], refresh=False)
        bar.total, bar.n = round(pulse.total), round(pulse.done)
        if time.monotonic() - self._shown.get(pulse.device, 0) > SHOW_EVERY:
            self._shown[pulse.device] = time.monotonic()
            bar.refresh()

    def step(self) -> None:
        """One job more is done with."""
        self._all.update(1)

    def say(self, text: str) -> None:
        """A line above the bars."""
        if not self._quiet:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar of all jobs, take the others away."""
        for bar in self._devices.values():
            bar.close()
        self._all.close()


def ledger_folder(jobs: JobFile) -> Path:
    """Where ledger and report lie: beside the results, or beside the job file where the results go to a URL."""
    return jobs.path.parent / f"{jobs.path.stem}.batch" if is_url(jobs.output) else Path(jobs.output)
