"""The backend on a Ray cluster: an actor for each GPU holds the models, and jobs are streamed to it."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ...compute.devices import find_device
from ...errors import BatchError
from ...variants import Variant, is_packaged, learn_variant
from ..jobs.models import files_for, ids_of, load_all, timing_signature
from ..jobs.products import Job
from ..jobs.settings import JobFile
from ..jobs.task import ModelIds, Source, Task
from ..results.ledger import Ledger
from ..results.result import Result
from ..results.store import Store, open_store
from .backend import Feed, OnPulse, Outcome, Pulse
from .local import ResultThread, group_tasks, make_task, remembered_ids, render_group, start_of_task
from .renderer import Renderer, open_cache

try:
    import ray

    from .pool import Lost, Pool
except ImportError:
    raise BatchError("--ray needs Ray; install it with `pip install matrixgame[batch]`.") from None

LOCAL = "local"
PUT_SOURCES = 32  # starts that are kept in the object store
CLUSTER_SECONDS = 10  # that a cluster may take to answer
CPUS_EACH = 4  # of a worker without a GPU, where --workers does not say otherwise


class Worker:
    """An actor: the models of a variant on a device of its node. variant: as the machine that sends the jobs found it,
    since what describes weights need not lie beside them here."""

    def __init__(self, jobs: JobFile, variant: Variant, device: str, name: str) -> None:
        if not is_packaged(variant.own):
            learn_variant(variant.own, jobs.path.name)
        self._store = open_store(jobs.output)
        self._models = load_all(files_for(jobs, variant, find_device(device)), jobs.models.attention)
        self._renderer = Renderer(self._models, jobs.worlds, open_cache(jobs))
        self._outbox: queue.Queue[Outcome] = queue.Queue()
        self._thread = ResultThread(self._store, name, self._outbox)
        self._never = threading.Event()
        self._pulse: Pulse | None = None

    def ready(self) -> bool:
        """Answers once the models are there."""
        return True

    def look(self) -> Pulse | None:
        """How far it is."""
        return self._pulse

    def ids(self) -> ModelIds:
        """The ids of the networks."""
        return ids_of(self._models)

    def work(self, groups: list[list[Task]], places: list[list[int]], *sources: Source) -> list[list[Outcome]]:
        """Make the results of some groups, but those that another worker finished before it was lost."""
        answers = []
        for group, at in zip(groups, places, strict=True):
            found = {task.key: self._store.read(task.key) for task in group}
            missing = [i for i, task in enumerate(group) if not _is_whole(task, found[task.key])]
            if missing:
                parts = [group[i] for i in missing]
                starts = [sources[at[i]] for i in missing]
                render_group(self._renderer, parts, starts, self._thread, self._never, self._note)
            made = {outcome.task.key: outcome for outcome in (self._outbox.get() for _ in missing)}
            answers.append([made.get(task.key) or Outcome(task, found[task.key]) for task in group])
        return answers

    def _note(self, pulse: Pulse) -> None:
        self._pulse = pulse


class RayBackend:
    """Makes jobs on a cluster. address: of Ray, `auto`, or `local`. workers: actors; by default one for each GPU."""

    name = "ray"

    def __init__(
        self,
        jobs: JobFile,
        variant: str,
        address: str,
        workers: int | None,
        store: Store,
        ledger: Ledger,
        devices: list[str] | None,
        retries: int,
    ) -> None:
        self.jobs, self.store = jobs, store
        join_cluster(address, workers)
        resources = ray.cluster_resources()
        on_gpu = resources.get("GPU", 0) >= 1 and (not devices or devices[0].startswith("cuda"))
        cpus = int(resources.get("CPU", 1))
        size = workers or (int(resources["GPU"]) if on_gpu else max(1, cpus // CPUS_EACH))
        options: dict[str, Any] = {"num_gpus": 1} if on_gpu else {"num_cpus": max(1, cpus // size)}
        self._device = "cuda" if on_gpu else devices[0] if devices else "cpu"
        options["concurrency_groups"] = {"look": 1}
        decorate: Any = ray.remote(**options)
        self._remote = decorate(_with_look_apart(Worker))
        self._files = files_for(jobs, variant, torch.device(self._device))
        self._pulse: OnPulse = lambda pulse: None
        self._sources: dict[str, Any] = {}
        self._pool = Pool(
            self._start, self._send, size, retries, on_look=self._looked, answers=partial(is_listening, _head(address))
        )
        self._ids = remembered_ids(self._files, jobs.models.attention, self._ask_ids, ledger.note, ledger.put_note)

    def signature(self) -> str:
        return timing_signature(self._files, self.jobs)

    def task(self, job: Job) -> Task:
        return make_task(self.jobs, job, self._ids, self._files.variant)

    def run(self, feed: Feed, on_pulse: OnPulse) -> Iterator[Outcome]:
        self._pulse = on_pulse
        groups = group_tasks(feed, self.jobs.worlds)
        try:
            for group, answer in self._pool.run(lambda: next(groups, None)):
                lost = isinstance(answer, Lost)
                yield from (Outcome(task, None, answer.reason) for task in group) if lost else answer
        finally:
            self._pool.close()

    def _start(self, number: int) -> Any:
        return self._remote.remote(self.jobs, self._files.variant, self._device, f"worker {number + 1}")

    def _send(self, actor: Any, groups: list[list[Task]]) -> Any:
        """Tasks without their starts, which go through the object store: once to a node, not once for each job."""
        refs: dict[Any, int] = {}
        places = [[refs.setdefault(self._source(task), len(refs)) for task in group] for group in groups]
        bare = [[replace(task, source=None) for task in group] for group in groups]
        return actor.work.remote(bare, places, *refs)

    def _source(self, task: Task) -> Any:
        source = start_of_task(task)
        if source.name not in self._sources:
            self._sources[source.name] = ray.put(source)
            while len(self._sources) > PUT_SOURCES:
                del self._sources[next(iter(self._sources))]
        return self._sources[source.name]

    def _looked(self, name: str, pulse: Pulse | None) -> None:
        if pulse is not None:
            self._pulse(Pulse(name, pulse.text, pulse.done, pulse.total))

    def _ask_ids(self) -> Any:
        return ray.get(self._pool.first().ids.remote())


def join_cluster(address: str, workers: int | None = None) -> None:
    """Join a cluster, or begin one on this machine; raises BatchError where none answers."""
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        cpus = max(os.cpu_count() or 1, workers or 1)
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        return
    check_address(address)
    try:
        ray.init(address=address, **quiet)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise BatchError(
            f"No Ray cluster answers at {address} ({reason[0] if reason else type(error).__name__}); start one with "
            "`ray start --head`, or use --ray local."
        ) from None


def is_listening(address: str) -> bool:
    """Whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CLUSTER_SECONDS).close()
    except OSError:
        return False
    return True


def check_address(address: str) -> None:
    """Raise BatchError where nothing listens at a cluster's address; `auto` and `local` are taken as they are."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in (LOCAL, "auto"):
        return
    if not host or not port.isdecimal():
        raise BatchError(f"'{address}' should be HOST:PORT, ray://HOST:PORT, auto or local.")
    try:
        socket.create_connection((host, int(port)), CLUSTER_SECONDS).close()
    except OSError as error:
        raise BatchError(
            f"No Ray cluster answers at {address} ({error.strerror or error}); start one with `ray start --head`, or "
            "use --ray local."
        ) from None


def _head(address: str) -> str:
    """HOST:PORT of the head of the cluster that was joined, as it is seen from here."""
    if address.startswith("ray://"):
        return address.removeprefix("ray://")
    return ray.get_runtime_context().gcs_address


def _with_look_apart(worker: type) -> type:
    """The class with `look` in a thread of its own, so that it answers while jobs run."""
    worker.look = ray.method(concurrency_group="look")(worker.look)  # type: ignore[attr-defined]
    return worker


def _is_whole(task: Task, result: Result | None) -> bool:
    return result is not None and result.has(task.items)
