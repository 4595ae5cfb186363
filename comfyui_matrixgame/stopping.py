"""Being told to end: a terminal that is closed, a logout, a scheduler's SIGTERM are what Ctrl-C is, and what must be
kept is kept first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))

_waiting: list[int] = []  # signals that came while something had to be finished first
_depth = 0
_asked = False  # for the end


class Stopped(KeyboardInterrupt):
    """Somebody wants the program to end. number: of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Inside, every signal that asks for the end raises Stopped in the main thread, and those after the first change
    nothing but for Ctrl-C. A signal that was ignored before, as `nohup` and a shell's background do it, stays so."""
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
        _waiting.clear()
        for number in ours:
            signal.signal(number, before[number])


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """What is inside is finished before a signal ends the program: the world is saved, the take is written.

    In another thread than the main one it changes nothing, as no signal interrupts that.
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
    if _asked and number != signal.SIGINT:  # a logout sends several; one is enough
        return
    _asked = True
    if _depth:
        _waiting.append(number)
    else:
        raise Stopped(number)
