"""Commands in forks of one process that has imported everything, so that a kill costs no start.

    python -m tests.media.forks

Takes a line of JSON for each, {"arguments": [...], "log": FILE}, and prints its process id, then its exit status.
"matrixgame" stands in front of the arguments of the program, "film" of those of tests.cache_film.
"""

from __future__ import annotations

import json
import os
import sys

import torch

from comfyui_matrixgame import render
from comfyui_matrixgame.batch import local  # noqa: F401
from comfyui_matrixgame.cli import main
from comfyui_matrixgame.play import session, standalone  # noqa: F401

from .. import cache_film


def child(arguments: list[str], log: str) -> int:
    """Run a command with its output in a file."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    render.SAVE_EVERY, render.SAVE_SHARE = 0, 1e9  # at every block
    if arguments[0] == "film":
        sys.argv = arguments
        cache_film.main()
        return 0
    return main(arguments[1:])


def serve() -> None:
    """Until there are no more lines."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if not process:
            status = 70
            try:
                status = child(order["arguments"], order["log"])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
