"""Commands in forks of one process that has imported everything, so that a kill costs no start.

    python -m tests.kills.forks

Takes a line of JSON for each, {"arguments": [...], "log": FILE}, and prints its process id, then its exit status.
"matrixgame" stands in front of the arguments of the program, "film" of those of tests.cache.film, "frames" of a take
and a number of blocks, whose frames are printed as digests of their JPEG files.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel  # noqa: F401

from comfyui_matrixgame import weights
from comfyui_matrixgame.actions.read import load_actions
from comfyui_matrixgame.batch.backends import local  # noqa: F401
from comfyui_matrixgame.checkpoints.builtin import demo_world
from comfyui_matrixgame.play import saves
from comfyui_matrixgame.play.wire.protocol import jpeg
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.terminal.rendering import span
from comfyui_matrixgame.terminal.shared import console
from comfyui_matrixgame.world import rollout, start_world

from ..cache import film


def child(arguments: list[str], log: str) -> int:
    """Run a command with its output in a file."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for number, name in ((1, "stdout"), (2, "stderr")):  # anew: what was a file may be a pipe now
        os.dup2(handle, number)
        setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
    span.SAVE_EVERY, span.SAVE_SHARE = 0, 1e9  # at every block
    saves.SAVE_EVERY, saves.SAVE_SHARE = 0, 1e9
    if arguments[0] == "frames":
        return print_frames(arguments[1], int(arguments[2]))
    if arguments[0] == "film":
        sys.argv = arguments
        film.main()
        return 0
    return main(arguments[1:])


def print_frames(take: str, blocks: int) -> int:
    """Digests of the frames that the demo world makes of a take, in a line for each block."""
    demo = demo_world()
    files = weights.find_files(None, None, None, None, "auto", torch.device("cpu"))
    picture = console.start_picture(None, files, demo.height, demo.width)
    models = weights.load_models(files)
    world = start_world(models, picture, 0, features=weights.image_features(files, picture))
    for block in rollout(models, world, load_actions(take, models.variant).track, blocks):
        frames = [hashlib.sha256(jpeg(frame)).hexdigest() for frame in block.frames[0].numpy()]
        print(json.dumps(frames), flush=True)
    return 0


def serve() -> None:
    """Run commands until there are no more lines."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if not process:
            status = 70
            try:
                status = child(order["arguments"], order["log"])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
