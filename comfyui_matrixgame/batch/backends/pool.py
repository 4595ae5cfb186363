"""A pool of Ray actors that work through a stream of items, a few of them on the way, and survive being killed."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from ...errors import BackendError, BatchError

IN_FLIGHT = 2  # calls of an actor: one that runs, one that waits
MOST_IN_CALL = 64  # items that are too short to be sent one at a time
SHORT_CALL = 0.25  # seconds: calls shorter than this take more items the next time
LOOK_EVERY = 1.0  # seconds between two looks at what an actor does
STARTS = 3  # times in a row that actors may fail to start before the pool gives up
DEATHS = 30  # times in a row that they may be killed while they start
CALL_EVERY = 8.0  # seconds between two calls to a cluster from which nothing comes
CALLS = 3  # in a row without an answer, after which it is lost: before Ray ends this process after 60 s, without a word
NOBODY = 600.0  # seconds without any actor that works, after which the pool gives up


@dataclass(frozen=True)
class Lost:
    """Instead of a result: why an item has none."""

    reason: str


@dataclass
class Actor:
    """An actor of Ray. handle: takes its calls. ready: answers once it has started.

    calls: (answer, items, when sent), oldest first.
    """

    handle: Any
    name: str
    ready: Any
    alive: bool = False
    calls: deque[tuple[Any, list, float]] = field(default_factory=deque)
    look: Any = None


class Pool:
    """start: makes actor number n, which has `ready()`, `look()` and a method that `send` calls.

    send: (actor, items) -> the answer's reference; the answer is a list with a result for each item. size: actors.
    retries: how often an item may lose its actor. most: items in a call. on_look: gets (name, what `look` said).
    answers: whether the cluster does, asked now and then while nothing comes from it.
    """

    def __init__(
        self,
        start: Callable[[int], Any],
        send: Callable[[Any, list], Any],
        size: int,
        retries: int = 5,
        most: int = MOST_IN_CALL,
        on_look: Callable[[str, Any], None] | None = None,
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._start, self._send, self._retries, self._most, self._on_look = start, send, retries, most, on_look
        self._count, self._failed_starts = 0, 0.0
        self._answers, self._called, self._unanswered = answers, time.monotonic(), 0
        self._actors = [self._new_actor() for _ in range(size)]
        self._again: deque[Any] = deque()  # items that lost their actor
        self._losses: dict[int, int] = {}
        self._per_call = 1
        self._looked = 0.0
        self._worked = time.monotonic()  # when there last was an actor that had started
        self.lost = 0

    def first(self) -> Any:
        """An actor that has started; raises BatchError where none can."""
        while not any(actor.alive for actor in self._actors):
            self._collect()
        return next(actor.handle for actor in self._actors if actor.alive)

    def run(self, take: Callable[[], Any]) -> Iterator[tuple[Any, Any]]:
        """Items with their results (or Lost), as they come. take: the next item, or None where there are no more."""
        more = True
        while True:
            more = self._fill(take, more)
            if not more and not self._again and not any(actor.calls for actor in self._actors):
                return
            yield from self._collect()
            self._take_looks()

    def close(self) -> None:
        """End the actors."""
        if self._unanswered >= CALLS:
            return  # Ray would wait for a cluster that is gone
        for actor in self._actors:
            ray.kill(actor.handle)

    def _new_actor(self) -> Actor:
        handle = self._start(self._count)
        self._count += 1
        return Actor(handle, f"worker {self._count}", handle.ready.remote())

    def _fill(self, take: Callable[[], Any], more: bool) -> bool:
        """Send items to the actors that have room; whether there may be more."""
        for calls in range(IN_FLIGHT):  # every actor gets its first call before any gets its second
            for actor in self._actors:
                if not actor.alive or len(actor.calls) > calls:
                    continue
                items = self._next_again()
                while more and len(items) < self._per_call and not self._is_hurt(items):
                    item = take()
                    more = item is not None
                    items += [item] if more else []
                if items:
                    actor.calls.append((self._send(actor.handle, items), items, time.monotonic()))
        return more

    def _next_again(self) -> list:
        """An item that lost its actor goes alone: it may be what kills them."""
        return [self._again.popleft()] if self._again else []

    def _is_hurt(self, items: list) -> bool:
        return bool(items) and id(items[0]) in self._losses

    def _collect(self) -> Iterator[tuple[Any, Any]] | list:
        """What is finished, after waiting for a second at most."""
        if any(actor.alive for actor in self._actors):
            self._worked = time.monotonic()
        elif time.monotonic() - self._worked > NOBODY:
            raise BatchError(
                f"No worker has started on the Ray cluster for {NOBODY:.0f} s; see with `ray status` whether its nodes "
                "are there and have the GPUs or CPUs that are asked for. What is finished stays."
            )
        answers = {actor.calls[0][0]: actor for actor in self._actors if actor.calls}
        starting = {actor.ready: actor for actor in self._actors if not actor.alive}
        done, _ = ray.wait([*answers, *starting], num_returns=1, timeout=LOOK_EVERY)
        if not done:
            self._call()
        found = []
        for ref in done:
            if ref in starting:
                self._take_start(starting[ref])
            else:
                found += self._take_answer(answers[ref])
        return found

    def _call(self) -> None:
        """See whether the cluster is still there; raises BatchError where it is not."""
        if time.monotonic() - self._called < CALL_EVERY:
            return
        self._called = time.monotonic()
        self._unanswered = 0 if self._answers() else self._unanswered + 1
        if self._unanswered >= CALLS:
            raise BatchError(
                "Stopped: the Ray cluster does not answer any more. What is finished stays; start the cluster, and run "
                "the same command again."
            )

    def _take_start(self, actor: Actor) -> None:
        try:
            ray.get(actor.ready)
            actor.alive, self._failed_starts = True, 0.0
        except RayError as error:
            failed = isinstance(error, RayTaskError) or "creation task" in str(error)
            self._failed_starts += 1 if failed else STARTS / DEATHS
            if self._failed_starts >= STARTS:
                raise BatchError(f"The workers on the Ray cluster do not start: {_reason(error)}.") from None
            self._replace(actor)

    def _take_answer(self, actor: Actor) -> list[tuple[Any, Any]]:
        ref, items, sent = actor.calls[0]
        try:
            results = ray.get(ref)
        except (RayActorError, ActorUnavailableError):
            return self._take_death(actor)
        except RayTaskError as error:
            if isinstance(error, BackendError):  # its device is gone: whatever it is given next would fail too
                return self._take_death(actor, _reason(error))
            if len(items) > 1:  # one of them is to blame: each alone says which
                self._losses.update({id(item): self._losses.get(id(item), 0) for item in items})
                self._again.extend(items)
                actor.calls.popleft()
                return []
            results = [Lost(_reason(error))]
        actor.calls.popleft()
        if actor.calls:  # it begins now
            answer, waiting, _ = actor.calls[0]
            actor.calls[0] = (answer, waiting, time.monotonic())
        if time.monotonic() - sent < SHORT_CALL and len(items) == self._per_call:
            self._per_call = min(self._most, 2 * self._per_call)
        elif time.monotonic() - sent > 4 * SHORT_CALL:
            self._per_call = 1
        for item in items:
            self._losses.pop(id(item), None)
        return list(zip(items, results, strict=True))

    def _take_death(self, actor: Actor, why: str = "it may need more memory") -> list[tuple[Any, Any]]:
        """An actor is gone, or its device: what it was at counts as a loss, what waited does not; all of it goes to
        others."""
        self.lost += 1
        over = []
        for index, (_, items, _) in enumerate(actor.calls):
            for item in items:
                if index == 0:
                    self._losses[id(item)] = self._losses.get(id(item), 0) + 1
                if self._losses.get(id(item), 0) > self._retries:
                    del self._losses[id(item)]
                    over.append((item, Lost(f"It lost its worker {self._retries + 1} times; {why}.")))
                else:
                    self._again.append(item)
        self._replace(actor)
        return over

    def _replace(self, actor: Actor) -> None:
        ray.kill(actor.handle)
        self._actors[self._actors.index(actor)] = self._new_actor()

    def _take_looks(self) -> None:
        """Ask every actor now and then how far it is."""
        if self._on_look is None or time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        for actor in self._actors:
            if actor.look is not None and not ray.wait([actor.look], timeout=0)[0]:
                continue
            if actor.look is not None:
                with contextlib.suppress(RayError):  # a death is noticed by its calls
                    self._on_look(actor.name, ray.get(actor.look))
            actor.look = actor.handle.look.remote() if actor.alive else None


def _reason(error: BaseException) -> str:
    """Why something failed elsewhere, in a line: how an actor died, or the last line of what it raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    died = [line.partition(" Some common causes")[0] for line in lines if "is dead because" in line]
    return (died or lines or [type(error).__name__])[-1].rstrip(".")
