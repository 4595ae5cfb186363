"""Processes of ComfyUI: forks of one that has imported its packages (forks.py), or new ones."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .launch import comfyui_path

LAUNCHER = Path(__file__).with_name("launch.py")
SERVER = Path(__file__).with_name("forks.py")


def host_python(root: Path) -> Path | None:
    """The interpreter ComfyUI runs with: $COMFYUI_PYTHON, or that of its own environment; None where there is none."""
    if named := os.environ.get("COMFYUI_PYTHON"):
        return Path(named)
    places = [root / ".venv", root / "venv", root.parent / "python_embeded"]
    names = ["bin/python", "Scripts/python.exe", "python.exe"]
    return next((place / name for place in places for name in names if (place / name).exists()), None)


class Fork:
    """A process that is no child of this one, with what `subprocess.Popen` offers."""

    def __init__(self, pid: int, status: Path) -> None:
        self.pid, self.status = pid, status

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None as long as it runs."""
        return int(self.status.read_text()) if self.status.exists() else None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it ended; `subprocess.TimeoutExpired` after so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.02)
        return status

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Forks:
    """The process that is forked, until the end of this one."""

    def __init__(self) -> None:
        self.folder, self.lock = Path(tempfile.mkdtemp(prefix="forks")), threading.Lock()
        command = [str(host_python(comfyui_path())), str(SERVER), str(self.folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        atexit.register(self.stop)

    def stop(self) -> None:
        self.server.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fork(self, **order: object) -> Fork:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        with self.lock:
            self.server.stdin.write(json.dumps(order) + "\n")
            self.server.stdin.flush()
            said = self.server.stdout.readline()
        assert said, "the process that is forked has ended; what it said is on stderr"
        return Fork(int(said), self.folder / said.strip())


forks = functools.cache(Forks)


def start(
    script: str | None, arguments: Sequence[str], stdout: Path, stderr: Path, environment: Mapping[str, str],
    forked: bool,
) -> Fork | subprocess.Popen[bytes]:  # fmt: skip
    """A process of ComfyUI's Python that runs a script, or launch.py where it is None. forked: whether it may be a
    fork, in which the packages of ComfyUI are imported already."""
    root = comfyui_path()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    if forked and hasattr(os, "fork"):
        return forks().fork(
            script=script, arguments=["-c" if script else str(LAUNCHER), *arguments], cwd=str(root),
            stdout=str(stdout), stderr=str(stderr), environment=environment,
        )  # fmt: skip
    command = [str(host_python(root)), *(["-c", script] if script else [str(LAUNCHER)]), *arguments]
    with stdout.open("ab") as out, stderr.open("ab") as err:
        return subprocess.Popen(command, stdout=out, stderr=err, cwd=root, env=environment)


def printed(script: str, *arguments: str, environment: Mapping[str, str] | None = None, forked: bool = True) -> str:
    """What a script prints in a process of ComfyUI's Python, without a server."""
    with tempfile.TemporaryDirectory(prefix="printed") as folder:
        out, err = Path(folder) / "stdout", Path(folder) / "stderr"
        status = start(script, arguments, out, err, environment or {}, forked).wait()
        assert status == 0, f"exit status {status}:\n{err.read_text(errors='replace')[-6000:]}"
        return out.read_text()
