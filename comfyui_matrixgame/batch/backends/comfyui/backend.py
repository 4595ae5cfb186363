"""The backend that sends jobs to ComfyUI servers, several at a time, and fetches and checks what they make."""

from __future__ import annotations

import hashlib
import json
import queue
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ....actions.formats.exporters import write_csv
from ....errors import BatchError
from ...jobs.products import Job
from ...jobs.settings import JobFile
from ...jobs.task import Task, read_source
from ...results.store import Store
from ..backend import Feed, OnPulse, Outcome, next_outcome
from ..local import start_of_task
from .client import HostClient
from .hosts import check_hosts
from .service import JOBS_ON_A_HOST, Host, Service, Work
from .workflow import Workflow, default_workflow, fill_workflow, for_every_host, load_workflow, model_values


class ComfyBackend:
    """Makes jobs on ComfyUI servers. workflow: a file in API format with named inputs, or None for the built-in one.

    A host's models cannot be seen from here, so a result is named by everything that was asked of the host: the
    workflow with its values, and the start's bytes.
    """

    name = "comfyui"

    def __init__(
        self, jobs: JobFile, variant: str, urls: list[str], store: Store, workflow: str | None, retries: int
    ) -> None:
        if "world" in jobs.keep:
            raise BatchError(f"{jobs.path.name}: worlds stay on the hosts; leave `world` out of keep.")
        self.jobs, self.variant, self.store, self._retries = jobs, variant, store, retries
        self._own = load_workflow(workflow)
        if self._own is not None and jobs.models.loras:
            raise BatchError(
                f"{jobs.path.name}: beside a --workflow `lora` has no effect; put Load Matrix-Game LoRA into it."
            )
        self._pack = check_hosts(urls, jobs, self._own)
        self._hosts = [Host(HostClient(url)) for url in urls]

    def signature(self) -> str:
        parts = (self._own, model_values(self.jobs, self.variant), self.jobs.size, self._pack)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def task(self, job: Job) -> Task:
        source = read_source(job.start, job.variant)
        task = Task(
            name=job.name, key="", block_name="", variant=job.variant, labels=job.labels, seed=job.seed,
            blocks=job.blocks, size=self.jobs.size, track=job.track(), keep=self.jobs.keep,
            overlay=self.jobs.overlay, first_block=job.start.blocks, source=source,
        )  # fmt: skip
        asked = (self.workflow(task), self._values(task, source.name), self._pack)
        return replace(task, key="c" + hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:48])

    def workflow(self, task: Task) -> Workflow:
        """The workflow that makes a task, with its named inputs still open."""
        return self._own or default_workflow(self.jobs, bool(task.first_block), task.keep)

    def prompt(self, task: Task, start: str) -> Workflow:
        """What a host is asked for a task. start: name of the uploaded picture or clip."""
        workflow = self.workflow(task) if self._own is not None else for_every_host(self.workflow(task))
        return fill_workflow(workflow, self._values(task, start) | {"name": f"matrixgame_batch/{task.key}"})

    def run(self, feed: Feed, on_pulse: OnPulse) -> Iterator[Outcome]:
        room = JOBS_ON_A_HOST * len(self._hosts)
        inbox: queue.Queue[Work] = queue.Queue()
        outbox: queue.Queue[Outcome | BaseException] = queue.Queue()
        service = Service(self._hosts, self.prompt, self.store, self._retries, inbox, outbox, on_pulse)
        service.start()
        waiting, more = 0, True
        try:
            while more or waiting:
                while more and waiting < room + 1:
                    task = feed.take()
                    more = task is not None
                    if task is not None:
                        waiting += 1
                        inbox.put(Work(task))
                outcome = next_outcome(outbox, 0.5)
                if outcome is not None:
                    waiting -= 1
                    yield outcome
        finally:
            service.stop()

    def _values(self, task: Task, start: str) -> dict[str, Any]:
        """What the named inputs of a task's workflow stand for. start: name of the uploaded picture or clip."""
        source = start_of_task(task)
        values: dict[str, Any] = model_values(self.jobs, self.variant)
        values |= {"script": write_csv(task.track), "variant": task.variant, "seed": task.seed}
        values |= {"width": task.size[1], "height": task.size[0], "image": start, "clip": start}
        if source.clip_track is not None:
            values["clip_script"] = write_csv(source.clip_track)
        return values
