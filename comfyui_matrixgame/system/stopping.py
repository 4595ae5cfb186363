"""Requests to stop: a closed terminal, a logout and a scheduler's SIGTERM act like Ctrl-C. What must be finished is
finished first: a world being saved, a take being written, a module being imported."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
LOOK_AGAIN = 0.02  # seconds between checks whether an import that a signal waits for has ended

_waiting: list[int] = []  # signals that came while something had to be finished first
_depth = 0
_asked = False  # to stop
_told: list[int] = []  # a signal that came during an import, and is raised after it
_over = threading.Event()  # nothing waits for an import any more
_reminders: list[threading.Thread] = []


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end. number: the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Inside, each signal in SIGNALS raises Stopped in the main thread; after the first, only Ctrl-C still does. A
    signal that was ignored before, as under `nohup` or in a shell's background, stays ignored.

    A module is imported to its end first, wherever the import stands: a library that is stopped halfway stays
    broken, swallows what stopped it, or, in C++, ends the process without a word.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    global _asked
    _asked = False
    for number in ours:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        _over.set()
        while _reminders:
            _reminders.pop().join()
        _told.clear()
        _waiting.clear()
        for number in ours:
            signal.signal(number, before[number])


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """What is inside is finished before a signal ends the program: the world is saved, the take is written.

    Outside the main thread it changes nothing, because no signal interrupts other threads.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if not _depth and _waiting:
        raise Stopped(_waiting.pop(0))


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    if _told:  # a signal waits for an import: has it ended?
        if not _imports(frame):
            _over.set()
            _end(_told.pop())
        return
    if _asked and number != signal.SIGINT:  # a logout sends several; one is enough
        return
    _asked = True
    if _imports(frame):
        _told.append(number)
        _over.clear()
        # not SIGINT if possible: one that comes a moment too late would count as a second Ctrl-C
        other = signal.SIGTERM if signal.getsignal(signal.SIGTERM) is _stop else number
        _reminders.append(threading.Thread(target=_remind, args=(other,), daemon=True))
        _reminders[-1].start()
    else:
        _end(number)


def _end(number: int) -> None:
    if _depth:
        _waiting.append(number)
    else:
        raise Stopped(number)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported in this frame or in one that called it."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _remind(number: int) -> None:
    """Send the signal again and again: Python does not report that an import has ended."""
    main = threading.main_thread().ident
    while not _over.wait(LOOK_AGAIN):
        if hasattr(signal, "pthread_kill") and main is not None:
            signal.pthread_kill(main, number)  # which also ends a wait for a file or a lock
        else:
            _thread.interrupt_main(signal.Signals(number))
