"""The thread that speaks with all ComfyUI servers: jobs go out, results come back, and what a lost one had goes on
elsewhere."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ....errors import BatchError
from ...jobs.task import Task
from ...results.outputs import DiskFull
from ...results.result import Result
from ...results.store import Store
from ..backend import OnPulse, Outcome, Pulse
from ..local import error_line, start_of_task
from .client import HostClient, HostGone
from .fetched import fetch_outputs, write_fetched
from .workflow import Workflow

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


class Service(threading.Thread):
    """The event loop that speaks with all hosts, in a thread of its own.

    prompt_of: what a host is asked for a task whose start was uploaded under a name. retries: hosts that may be lost
    with a task before it fails. inbox, outbox: tasks to make, and what became of them, or what ended the thread.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        prompt_of: Callable[[Task, str], Workflow],
        store: Store,
        retries: int,
        inbox: queue.Queue[Work],
        outbox: queue.Queue[Outcome | BaseException],
        on_pulse: OnPulse,
    ) -> None:
        super().__init__(daemon=True)
        self._hosts, self._prompt_of, self._store, self._retries = hosts, prompt_of, store, retries
        self._inbox, self._outbox, self._on_pulse = inbox, outbox, on_pulse
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._begun = threading.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._outbox.put(error)
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
        hosts = self._hosts
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
                work = self._inbox.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.02)
                continue
            try:
                result = await self._make(host, work.task, number)
                host.losses = 0
                self._outbox.put(Outcome(work.task, result))
            except HostGone as error:
                await self._lost(host, work, error)
            except DiskFull as error:
                self._outbox.put(Outcome(work.task, None, str(error), fatal=True))
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever a host may say: the next job goes on
                self._outbox.put(Outcome(work.task, None, error_line(error)))

    async def _lost(self, host: Host, work: Work, error: HostGone) -> None:
        """A host that does not answer: its job goes to another, and it is tried again a few times."""
        work.tries += 1
        if work.tries > self._retries:
            self._outbox.put(Outcome(work.task, None, str(error)))
        else:
            self._inbox.put(work)
        host.losses += 1
        if host.losses > len(PATIENCE):
            host.gone = True
        else:
            await asyncio.sleep(PATIENCE[host.losses - 1])

    async def _make(self, host: Host, task: Task, number: int) -> Result:
        """Run a task on a host, fetch what it made, and check it."""
        began = time.perf_counter()
        source = start_of_task(task)
        name = await host.client.upload(source.data, f"{source.name[:32]}{source.suffix}")
        prompt = self._prompt_of(task, name)

        def progress(node: str, value: float, most: float) -> None:
            self._on_pulse(Pulse(f"{host.client.url} {number + 1}", task.name, value, most))

        outputs = await host.client.run(prompt, progress)
        fetched = await fetch_outputs(host.client, prompt, outputs)
        seconds = time.perf_counter() - began
        return await asyncio.to_thread(write_fetched, self._store, task, fetched, host.client.url, seconds)
