"""The backend in this process: a thread for each device, which holds the models, and one that writes what it makes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...compute.faults import device_fault, is_out_of_memory
from ...errors import BatchError, Interrupted, MatrixGameError
from ...variants import Variant
from ...weights import Files
from ...world import Models, PassProgress
from ...world.world import ENGINE_VERSION
from ..jobs.models import files_for, files_signature, ids_of, load_all, timing_signature
from ..jobs.products import Job
from ..jobs.settings import JobFile
from ..jobs.task import ModelIds, Source, Task, last_name, read_source, result_key
from ..results.outputs import DiskFull, ResultWriter
from ..results.store import Store
from .backend import Feed, OnPulse, Outcome, Pulse, next_outcome
from .renderer import Made, Renderer, open_cache

BLOCKS_AHEAD = 8  # that may wait to be written
Notes = Callable[[str], Any]
PutNote = Callable[[str, Any], None]


class LocalBackend:
    """Makes jobs in this process. note, put_note: where the ids of models are remembered between runs."""

    name = "local"

    def __init__(
        self, jobs: JobFile, variant: str, devices: list[torch.device], store: Store, note: Notes, put_note: PutNote
    ) -> None:
        self.jobs, self.devices, self.store = jobs, devices, store
        self.files = [files_for(jobs, variant, device) for device in devices]
        self._models: dict[int, Models] = {}
        self._cache = open_cache(jobs)
        self._loading = threading.Lock()
        self._ids = remembered_ids(self.files[0], jobs.models.attention, lambda: ids_of(self._load(0)), note, put_note)

    def signature(self) -> str:
        return timing_signature(self.files[0], self.jobs)

    def task(self, job: Job) -> Task:
        return make_task(self.jobs, job, self._ids, self.files[0].variant)

    def run(self, feed: Feed, on_pulse: OnPulse) -> Iterator[Outcome]:
        inbox: queue.Queue[list[Task] | None] = queue.Queue(maxsize=len(self.devices))
        outbox: queue.Queue[Outcome | BaseException] = queue.Queue()
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._work, args=(i, inbox, outbox, stop, on_pulse), daemon=True)
            for i in range(len(self.devices))
        ]
        for thread in threads:
            thread.start()
        groups, waiting, more = group_tasks(feed, self.jobs.worlds), 0, True
        try:
            while more or waiting:
                while more and not inbox.full():
                    group = next(groups, None)
                    more = group is not None
                    if group is not None:
                        waiting += len(group)
                        inbox.put(group)
                outcome = next_outcome(outbox, 0.05 if more else 1)
                if outcome is not None:
                    waiting -= 1
                    yield outcome
        finally:
            stop.set()
            for _ in threads:
                _put_anyway(inbox)
            for thread in threads:
                thread.join()

    def _load(self, index: int) -> Models:
        with self._loading:
            if index not in self._models:
                self._models[index] = load_all(self.files[index], self.jobs.models.attention)
            return self._models[index]

    def _work(self, index: int, inbox: Any, outbox: Any, stop: threading.Event, on_pulse: OnPulse) -> None:
        """One device: groups in, outcomes out, until it is told to stop."""
        device = str(self.devices[index])
        thread = ResultThread(self.store, device, outbox)
        try:
            renderer: Renderer | None = None
            while (group := inbox.get()) is not None and not stop.is_set():
                renderer = renderer or Renderer(self._load(index), self.jobs.worlds, self._cache)
                render_group(renderer, group, [start_of_task(task) for task in group], thread, stop, on_pulse)
        except Interrupted:
            pass
        except BaseException as error:
            outbox.put(error)
        finally:
            thread.close(stop.is_set())


def render_group(
    renderer: Renderer,
    group: list[Task],
    sources: list[Source],
    thread: ResultThread,
    stop: threading.Event,
    on_pulse: OnPulse,
) -> None:
    """Make the results of a group; an outcome for each comes from the thread. Raises Interrupted where stopped."""
    text = group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more"

    def on_pass(at: PassProgress) -> None:
        if stop.is_set():
            raise Interrupted("stopped")
        on_pulse(Pulse(thread.worker, text, at.done * at.steps + at.step, at.blocks * at.steps))

    results = [thread.begin(task) for task in group]
    try:
        for made in renderer.render(group, sources, on_pass):
            results[made.index].put(made)
    except Interrupted:
        raise
    except (MatrixGameError, RuntimeError, MemoryError) as error:
        if (fault := device_fault(error)) is not None and not is_out_of_memory(error):
            raise fault from error  # the next job would fail like this one, and all after it
        for result in results:
            result.fail(failure_line(error, renderer.worlds))


class ResultThread:
    """A thread that writes results, so that the device need not wait for the disk and the encoder."""

    def __init__(self, store: Store, worker: str, outbox: Any) -> None:
        self.store, self.worker, self.outbox = store, worker, outbox
        self.queue: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=BLOCKS_AHEAD)
        self._open: set[OpenResult] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def begin(self, task: Task) -> OpenResult:
        """The result of a task, with no blocks yet."""
        result = OpenResult(self, task)
        self._open.add(result)
        return result

    def forget(self, result: OpenResult) -> None:
        """A result is written, or will not be."""
        self._open.discard(result)

    def close(self, stopped: bool) -> None:
        """Write what is left, or leave it where the run was stopped; delete what is not whole."""
        self._stopped = stopped
        self.queue.put(None)
        self._thread.join()
        for result in list(self._open):
            result.writer.abandon()

    def _write(self) -> None:
        while (work := self.queue.get()) is not None:
            if not self._stopped:
                work()


class OpenResult:
    """A task's result that is not finished yet."""

    def __init__(self, thread: ResultThread, task: Task) -> None:
        self._thread, self.task = thread, task
        self.writer = ResultWriter(thread.store.part(task.key), task)
        self._over = False

    def put(self, made: Made) -> None:
        """Write a block when there is time for it."""
        self._thread.queue.put(lambda: self._take(made))

    def fail(self, error: str) -> None:
        """Give the task up, once what was made of it is written."""
        self._thread.queue.put(lambda: self._end(Outcome(self.task, None, error)))

    def _take(self, made: Made) -> None:
        if self._over:
            return
        try:
            self.writer.add(made.frames, made.latents)
            if made.last:
                self.writer.finish(made.world, self._thread.worker, made.seconds)
                self._end(Outcome(self.task, self._thread.store.commit(self.writer.folder, self.task.key)))
        except DiskFull as error:
            self._end(Outcome(self.task, None, str(error), fatal=True))
        except Exception as error:  # whatever a disk or an encoder may say: the next job goes on
            self._end(Outcome(self.task, None, error_line(error)))

    def _end(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        if outcome.result is None:
            self.writer.abandon()
        self._thread.forget(self)
        self._thread.outbox.put(outcome)


def make_task(jobs: JobFile, job: Job, ids: ModelIds, variant: Variant) -> Task:
    """A job made ready for models with these ids, which run as this variant. Raises MatrixGameError."""
    block_name = last_name(job, ids.models, jobs.size, variant)
    return Task(
        name=job.name,
        key=result_key(block_name, ids),
        block_name=block_name,
        variant=job.variant,
        labels=job.labels,
        seed=job.seed,
        blocks=job.blocks,
        size=jobs.size,
        track=job.track(),
        keep=jobs.keep,
        overlay=jobs.overlay,
        first_block=job.start.blocks,
        source=read_source(job.start, job.variant),
    )


def remembered_ids(
    files: Files, attention: str, ask: Callable[[], ModelIds], note: Notes, put_note: PutNote
) -> ModelIds:
    """The ids of the networks, from the last run with these files and this attention where there was one."""
    name = f"identity:{ENGINE_VERSION}/{files_signature(files)}/{attention}"
    noted = note(name)
    if noted is None:
        noted = ask()
        put_note(name, noted)
    return ModelIds(*noted)


def group_tasks(feed: Feed, worlds: int) -> Iterator[list[Task]]:
    """Tasks in groups that can run as one batch: as many blocks, as many behind them, at most `worlds` of them."""
    group: list[Task] = []
    while (task := feed.take()) is not None:
        if group and (task.blocks, task.first_block) != (group[0].blocks, group[0].first_block):
            yield group
            group = []
        group.append(task)
        if len(group) == worlds:
            yield group
            group = []
    if group:
        yield group


def start_of_task(task: Task) -> Source:
    """The start that travels with a task."""
    if task.source is None:
        raise BatchError("The task came without its start.")
    return task.source


def failure_line(error: BaseException, together: int) -> str:
    """Why a job has no result, in a line; says what helps where memory is short."""
    text = error_line(error)
    if is_out_of_memory(error):
        helps = f"fewer `worlds` than {together}, " if together > 1 else ""
        text = f"There is not enough memory for this job; use {helps}a smaller size or dtype, or a tiny decoder."
    return text


def error_line(error: BaseException) -> str:
    """An error in a line."""
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, MatrixGameError) else f"{type(error).__name__}: {text}"


def _put_anyway(inbox: queue.Queue) -> None:
    """Tell a thread to end, also where work still waits."""
    while True:
        try:
            inbox.put_nowait(None)
            return
        except queue.Full:
            try:
                inbox.get_nowait()
            except queue.Empty:
                continue
