"""A process that keeps its networks loaded and times a piece of work whenever it is asked.

Two such processes take turns, so that what else the machine does hits both programs alike.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from comfyui_matrixgame.measure.clock import Seconds

WORKS = "works"  # in the first line: what can be asked for


def serve(about: dict[str, Any], works: dict[str, Callable[[], Seconds]]) -> None:
    """Say what this is, then time the works whose names come in, a line each, until the input ends."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr), torch.inference_mode():
        print(json.dumps({**about, WORKS: list(works)}), file=answers, flush=True)
        for line in sys.stdin:
            try:
                spent, wall = works[line.strip()]()
                answer: dict[str, Any] = {"s": spent, "wall_s": wall}
            except Exception as error:
                answer = {"failed": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"}
            print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """The other end of `serve`. Raises RuntimeError where the process ends."""

    def __init__(self, name: str, script: str, *arguments: str) -> None:
        here = Path(__file__).resolve().parent
        command = [sys.executable, str(here / script), *arguments]
        self.name = name
        self._process = subprocess.Popen(
            command, cwd=here.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self._answer()
        self._works = self.about.pop(WORKS)

    def does(self, work: str) -> bool:
        """Whether it has that piece of work."""
        return work in self._works

    def time(self, work: str) -> dict[str, Any]:
        """`s` and `wall_s` of a piece of work, or why it `failed`."""
        assert self._process.stdin is not None
        self._process.stdin.write(work + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name}: the process ended with {self._process.wait()}; see what it printed.")
