"""Commands that are stopped until they are done, and what they must have made then."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "0"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
PATIENCE = 600 + 30 * KILLS  # seconds of one test, on a machine that is busy
STOPS = (signal.SIGKILL, signal.SIGTERM)
STOPPED = (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)  # -15: before anything could be done


NOTHING_LEFT = "were asked for; ask for more"


def share(percent: int) -> int:
    """How many of all stops are of one kind; two at least, one of each signal."""
    return max(2, round(KILLS * percent / 100))


class Forks:
    """Runs commands in forks of a process that has imported everything."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        self._orders, self._answers = server.stdin, server.stdout

    def start(self, arguments: list[str], log: Path) -> int:
        """Begin a command; returns its process id. `end` must follow."""
        print(json.dumps({"arguments": arguments, "log": str(log)}), file=self._orders, flush=True)
        return int(self._answers.readline())

    def end(self) -> int:
        """Wait for the command; returns its exit status."""
        return int(self._answers.readline())

    def run(self, arguments: list[str], log: Path, kill: tuple[int, float] | None = None) -> int:
        """Run a command to its end, and return its exit status; kill: (signal, seconds after its start)."""
        process = self.start(arguments, log)
        if kill is None:
            return self.end()
        stop = threading.Timer(kill[1], send, (process, kill[0]))  # a random moment
        stop.start()
        status = self.end()
        stop.cancel()
        return status


def send(process: int, number: int) -> None:
    """Send a signal to a process that may be over."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


@contextmanager
def forks() -> Iterator[Forks]:
    """See Forks."""
    command = [sys.executable, "-m", "tests.kills.forks"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        run = Forks(server)
        assert run.run(["matrixgame", "--version"], Path(os.devnull)) == 0  # it has imported everything
        yield run
        assert server.stdin is not None
        server.stdin.close()


def digest(folder: Path, *patterns: str) -> dict[str, str]:
    """Digests of all files that match the patterns."""
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def chains(
    run: Forks, commands: Callable[[Path], list[str]], result: Callable[[Path], dict], folder: Path, kills: int
) -> str:
    """Stop a command at random moments, again and again until it is done; it must end as an undisturbed one does."""
    chance, done, began = random.Random(SEED), 0, time.monotonic()
    folder.mkdir(exist_ok=True)
    calm, log = folder / "calm", folder / "log"
    calm.mkdir()
    assert run.run(commands(calm), log) == 0, log.read_text()
    takes, expected = time.monotonic() - began, result(calm)
    assert expected
    stopped = dict.fromkeys(STOPS, 0)
    for done in itertools.count():
        if sum(stopped.values()) >= kills:
            break
        out, status = folder / str(done), 1
        out.mkdir()
        while status != 0:
            number = min(STOPS, key=lambda number: stopped[number])
            kill = (number, chance.uniform(0, takes)) if stopped[number] < kills / 2 else None
            status = run.run(commands(out), log, kill)
            said = log.read_text(errors="replace")
            assert "Traceback" not in said, said
            assert status in (0, *STOPPED) or NOTHING_LEFT in said, said
            stopped[number] += status in STOPPED
            if NOTHING_LEFT in said:  # it was stopped when all was done
                break
        assert result(out) == expected, (out, said)
    return f"{stopped[STOPS[0]]} SIGKILL, {stopped[STOPS[1]]} SIGTERM, {done} chains"


LEFT_OUT = "left out"


def see(seen: list[list[str]], batch: dict[str, Any]) -> None:
    """Add digests of a batch of frames to those of each block; a player who is behind gets every second frame."""
    if batch["part"] == 0:
        seen.append([])
    digests = [hashlib.sha256(picture).hexdigest() for picture in batch["pictures"]]
    frames = [LEFT_OUT] * batch["count"]
    frames[:: batch["every"]] = digests
    seen[batch["block"]] += frames


def agree(seen: list[str], made: list[str]) -> bool:
    """Whether a block as far as it was seen, and some of it was, is the one that was made."""
    pairs = list(zip(seen, made, strict=False))
    return any(one != LEFT_OUT for one in seen) and all(one in (LEFT_OUT, other) for one, other in pairs)
