"""The backend that sends jobs to ComfyUI servers, several at a time, and fetches and checks what they make."""

from __future__ import annotations

import asyncio
import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from ...actions.formats.exporters import write_csv
from ...errors import BatchError, ImageError
from ...media.images import read_pixels
from ...media.video import read_video
from ...networks.vae.base import LATENT_CHANNELS, normalise
from ...system.words import counted
from ...variants import LATENTS_PER_BLOCK
from ..jobs.products import Job
from ..jobs.settings import JobFile
from ..jobs.task import Task, read_source
from ..results.outputs import FILES, DiskFull, ResultWriter, frames_in_block
from ..results.store import Store
from .backend import Feed, OnPulse, Outcome, Pulse, next_outcome
from .client import HostClient, HostGone, JobFailed
from .local import sentence, source_of
from .workflow import (
    LATENTS,
    OUTPUTS,
    PICTURE,
    VIDEO,
    Workflow,
    default_workflow,
    fill,
    load_workflow,
    lossless,
    model_values,
    pack_state,
    problems_with_host,
)

JOBS_ON_A_HOST = 2  # one that runs, one that waits, so that the host never does
PATIENCE = (1, 5, 20)  # seconds before a host that was lost is tried again; then it is left out


@dataclass
class Host:
    """A server and how it fares."""

    client: HostClient
    pack: str = ""
    losses: int = 0
    gone: bool = False


@dataclass
class Work:
    """A task on its way. tries: hosts that were lost with it."""

    task: Task
    tries: int = field(default=0)


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

    def run(self, feed: Feed, on_pulse: OnPulse) -> Iterator[Outcome]:
        room = JOBS_ON_A_HOST * len(self._hosts)
        inbox: queue.Queue[Work | None] = queue.Queue()
        outbox: queue.Queue[Outcome | BaseException] = queue.Queue()
        service = Service(self, inbox, outbox, on_pulse)
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
        source = source_of(task)
        values: dict[str, Any] = model_values(self.jobs, self.variant)
        values |= {"script": write_csv(task.track), "variant": task.variant, "seed": task.seed}
        values |= {"width": task.size[1], "height": task.size[0], "image": start, "clip": start}
        if source.clip_track is not None:
            values["clip_script"] = write_csv(source.clip_track)
        return values


class Service(threading.Thread):
    """The event loop that speaks with all hosts, in a thread of its own."""

    def __init__(self, backend: ComfyBackend, inbox: Any, outbox: Any, on_pulse: OnPulse) -> None:
        super().__init__(daemon=True)
        self.backend, self.inbox, self.outbox, self.on_pulse = backend, inbox, outbox, on_pulse
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._begun = threading.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.outbox.put(error)
        finally:
            self._begun.set()

    def stop(self) -> None:
        """End what runs on the hosts, then the thread."""
        self._begun.wait()
        if self._loop is not None and self._main is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._main.cancel)
        self.join()

    async def _serve(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        hosts = self.backend._hosts
        lanes = [self._lane(host, number) for host in hosts for number in range(JOBS_ON_A_HOST)]
        for host in hosts:
            await host.client.__aenter__()
        try:
            await asyncio.gather(*lanes)
            raise BatchError("No ComfyUI server answers any more; start them, and run the same command again.")
        finally:
            for host in hosts:
                await host.client.__aexit__()

    async def _lane(self, host: Host, number: int) -> None:
        """One of the jobs that a host has at a time; ends when the host is given up."""
        while not host.gone:
            try:
                work: Work = self.inbox.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.02)
                continue
            try:
                about = await self._make(host, work.task, number)
                host.losses = 0
                self.outbox.put(Outcome(work.task, about))
            except HostGone as error:
                await self._lost(host, work, error)
            except DiskFull as error:
                self.outbox.put(Outcome(work.task, None, str(error), fatal=True))
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever a host may say: the next job goes on
                self.outbox.put(Outcome(work.task, None, sentence(error)))

    async def _lost(self, host: Host, work: Work, error: HostGone) -> None:
        """A host that does not answer: its job goes to another, and it is tried again a few times."""
        work.tries += 1
        if work.tries > self.backend._retries:
            self.outbox.put(Outcome(work.task, None, str(error)))
        else:
            self.inbox.put(work)
        host.losses += 1
        if host.losses > len(PATIENCE):
            host.gone = True
        else:
            await asyncio.sleep(PATIENCE[host.losses - 1])

    async def _make(self, host: Host, task: Task, number: int) -> dict[str, Any]:
        """Run a task on a host, fetch what it made, and check it."""
        began = time.perf_counter()
        source = source_of(task)
        name = await host.client.upload(source.data, f"{source.name[:32]}{source.suffix}")
        values = self.backend._values(task, name) | {"name": f"matrixgame_batch/{task.key}"}
        prompt = fill(self.backend.workflow(task), values)

        def progress(node: str, value: float, most: float) -> None:
            self.on_pulse(Pulse(f"{host.client.url} {number + 1}", task.name, value, most))

        outputs = await host.client.run(prompt, progress)
        fetched = await fetch_outputs(host.client, prompt, outputs)
        seconds = time.perf_counter() - began
        return await asyncio.to_thread(write_fetched, self.backend.store, task, fetched, host.client.url, seconds)


@dataclass(frozen=True)
class Fetched:
    """What a host made: PNG frames or an mp4, and latents in core's scale where they were asked for."""

    pictures: list[bytes]
    video: bytes | None
    latents: bytes | None


async def fetch_outputs(client: HostClient, prompt: Workflow, outputs: dict[str, Any]) -> Fetched:
    """Every file that a prompt's output nodes wrote."""
    found: dict[str, list[bytes]] = {}
    for node, said in outputs.items():
        kind = OUTPUTS.get(prompt.get(node, {}).get("class_type", ""))
        files = [file for entries in said.values() if isinstance(entries, list) for file in entries]
        files = [file for file in files if isinstance(file, dict) and "filename" in file]
        if kind is not None:
            found.setdefault(kind, []).extend([await client.fetch(file) for file in files])
    videos, latents = found.get(VIDEO, []), found.get(LATENTS, [])
    return Fetched(found.get(PICTURE, []), videos[0] if videos else None, latents[0] if latents else None)


def write_fetched(store: Store, task: Task, fetched: Fetched, worker: str, seconds: float) -> dict[str, Any]:
    """Check what was fetched and put it in its place; raises JobFailed where it is not what was asked for."""
    folder = store.part(task.key)
    folder.mkdir(parents=True, exist_ok=True)
    whole = lossless(task.keep) or fetched.video is None
    if not whole and fetched.video is not None:
        (folder / FILES["mp4"]).write_bytes(fetched.video)
    writer = ResultWriter(folder, task, present=() if whole else ("mp4",))
    try:
        latents = _latents(task, fetched.latents)
        for index, frames in enumerate(_blocks(task, fetched, folder, whole)):
            first = index * LATENTS_PER_BLOCK
            writer.add(frames, latents[:, first : first + LATENTS_PER_BLOCK])
        writer.finish(None, worker, seconds)
        return store.commit(folder, task.key)
    except BaseException:
        writer.abandon()
        raise


def check_hosts(urls: list[str], jobs: JobFile, workflow: Workflow | None) -> str:
    """Ask every host whether it can do the jobs; returns what they have of this pack. Raises BatchError that says
    what which host lacks, or that two of them have different versions of the pack."""
    if workflow is not None and (lossless(jobs.keep) or "latents" in jobs.keep):
        _check_own_outputs(workflow, jobs)
    states = asyncio.run(_ask_all(urls, jobs, workflow))
    first = states[urls[0]]
    for url, state in states.items():
        if state != first:
            raise BatchError(
                f"{urls[0]} and {url} have different versions of the MatrixGame nodes; update one of them, so that "
                "every job is made in the same way."
            )
    return hashlib.sha256(first.encode()).hexdigest()[:16]


async def _ask_all(urls: list[str], jobs: JobFile, workflow: Workflow | None) -> dict[str, str]:
    async def ask(url: str) -> str:
        async with HostClient(url) as client:
            try:
                info = await client.node_info()
            except HostGone as error:
                raise BatchError(str(error)) from None
        clips = {bool(total.clip) for total in jobs.totals()}
        problems: list[str] = []
        for variant in jobs.variants:
            values = model_values(jobs, variant)
            for clip in clips:
                asked = workflow or default_workflow(jobs, clip, jobs.keep)
                problems += problems_with_host(asked, info, values)
        if problems:
            raise BatchError(f"{url} cannot do these jobs: {'; '.join(dict.fromkeys(problems))}.")
        return pack_state(info)

    return dict(zip(urls, await asyncio.gather(*(ask(url) for url in urls)), strict=True))


def _check_own_outputs(workflow: Workflow, jobs: JobFile) -> None:
    kinds = {OUTPUTS.get(node["class_type"]) for node in workflow.values()}
    needed = {"PreviewImage": lossless(jobs.keep) and PICTURE, "SaveLatent": "latents" in jobs.keep and LATENTS}
    for node, kind in needed.items():
        if kind and kind not in kinds:
            raise BatchError(f"To keep {', '.join(jobs.keep)}, the workflow needs a {node} node.")


def _blocks(task: Task, fetched: Fetched, folder: Path, whole: bool) -> Iterator[np.ndarray]:
    """The frames block by block, checked: as many as were asked for, of the right size."""
    frames = _decoded(fetched, folder, whole)
    count = 0
    for block in range(task.first_block, task.first_block + task.blocks):
        taken = [frame for _, frame in zip(range(frames_in_block(block)), frames, strict=False)]
        count += len(taken)
        if len(taken) < frames_in_block(block):
            raise JobFailed(f"The host made {counted(count, 'frame')} instead of {task.frames}.")
        if taken[0].shape != (*task.size, 3):
            rows, columns = taken[0].shape[:2]
            raise JobFailed(f"The host made frames of {columns}x{rows} instead of {task.size[1]}x{task.size[0]}.")
        yield np.stack(taken)
    if next(frames, None) is not None:
        raise JobFailed(f"The host made more than the {task.frames} frames that were asked for.")


def _decoded(fetched: Fetched, folder: Path, whole: bool) -> Iterator[np.ndarray]:
    if not whole:
        yield from read_video(folder / FILES["mp4"])
        return
    if not fetched.pictures:
        raise JobFailed("The host made neither a video nor frames; the workflow needs SaveVideo or PreviewImage.")
    for data in fetched.pictures:
        try:
            yield read_pixels(data)
        except ImageError as error:
            raise JobFailed(f"A frame from the host cannot be read. {error}") from None


def _latents(task: Task, data: bytes | None) -> Tensor:
    """Latents [16, F, h, w] in the generator's scale; zeros where they are not kept."""
    count, sides = task.blocks * LATENTS_PER_BLOCK, (task.size[0] // 8, task.size[1] // 8)
    if "latents" not in task.keep:
        return torch.zeros(LATENT_CHANNELS, count, 1, 1)
    if data is None:
        raise JobFailed("The host gave no latents; the workflow needs a SaveLatent node.")
    try:
        found = load_safetensors(data)["latent_tensor"].float()
    except Exception as error:
        raise JobFailed(f"The latents from the host cannot be read ({error}).") from None
    if tuple(found.shape) != (1, LATENT_CHANNELS, count, *sides):
        raise JobFailed(f"The latents from the host have the shape {list(found.shape)}.")
    return normalise(found)[0]
