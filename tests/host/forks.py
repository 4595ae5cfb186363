"""Processes of ComfyUI as forks of one that has imported the packages it imports, so that they start in a third of the
time.

    PYTHON_OF_COMFYUI tests/host/forks.py FOLDER

Takes a line of JSON for each, and prints its process id; its exit status is in FOLDER/PROCESS_ID as soon as it ended:
{"arguments": its sys.argv, "script": its text or null for launch.py, "environment": all of it, "cwd": PATH,
"stdout": FILE, "stderr": FILE}
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import launch

PACKAGES = (
    "numpy", "torch", "torch._dynamo", "torch.export", "scipy.integrate", "scipy.ndimage", "scipy.optimize",
    "scipy.signal", "scipy.stats", "sympy", "transformers.models.clip", "spandrel", "kornia", "OpenGL.GLES3", "aiohttp",
    "sqlalchemy.orm", "alembic.context", "pydantic", "PIL.Image", "av", "einops", "safetensors.torch", "requests",
)  # fmt: skip


def child(order: dict[str, Any]) -> int:
    """Be the process that an order describes; returns its exit status."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), number)
        stream = os.fdopen(number, "w", buffering=1, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)  # core puts another over its buffer
    sys.argv = order["arguments"]
    sys.path.insert(0, "")
    try:
        if order["script"] is None:
            launch.main()
        else:
            exec(compile(order["script"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def note_ends(folder: Path) -> None:
    """Write down the exit status of every fork that has ended."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            part = folder / f"{ended[0]}.part"
            part.write_text(str(os.waitstatus_to_exitcode(ended[1])))
            part.rename(folder / str(ended[0]))


def serve(folder: Path) -> None:
    """Start processes until there are no more lines."""
    sys.path.pop(0)  # this folder; its modules have names of core's
    launch.install_stand_ins()
    for name in PACKAGES:
        with suppress(ImportError):
            importlib.import_module(name)
    sys.dont_write_bytecode, sys.pycache_prefix = (
        False,
        str(folder / "compiled"),
    )  # core's own modules, for the next fork
    signal.signal(signal.SIGCHLD, lambda *_: note_ends(folder))
    for line in sys.stdin:
        process = os.fork()
        if process:
            print(process, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = 1
        try:
            status = child(json.loads(line))
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
