"""Renders with a cache, each time in a process of its own that may be killed: see tests/cache/test_kills.py.

    python -m tests.cache.render BLOCKS

Every line it reads is a cache folder of one render or, with `FOLDER TAB COUNT TAB DISK_BYTES`, of several at once. Each
prints `started PID`, `block INDEX MADE` after every block and `done DIGEST` of all frames; `gone` comes when all
processes of a line have ended, however they did.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import torch

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Models, World, start_world

from ..support.networks import random_track, small_image, small_models


def main() -> None:
    torch.set_num_threads(1)
    blocks = int(sys.argv[1])
    models = small_models(tiny=True)
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(blocks))
    for line in sys.stdin:
        folder, _, more = line.strip().partition("\t")
        count, disk_bytes = more.split("\t") if more else ("1", "1e9")
        processes = []
        for _ in range(int(count)):
            process = os.fork()  # all is imported and loaded already, so that many can be killed in little time
            if process == 0:
                render(models, world, track, BlockCache(Path(folder), "p", disk_bytes=float(disk_bytes)))
                os._exit(0)
            processes.append(process)
        for process in processes:
            os.waitpid(process, 0)
        say("gone")


def render(models: Models, world: World, track: ActionTrack, cache: BlockCache) -> None:
    say(f"started {os.getpid()}")
    digest = hashlib.sha256()
    with CachedRollout(models, world, track, None, cache) as run:
        for block in run:
            digest.update(block.frames.numpy().tobytes())
            # a kill between a block's latents and its frames leaves it to be decoded
            say(f"block {block.index} {run.counts.made + run.counts.decoded}")
    say(f"done {digest.hexdigest()}")


def say(line: str) -> None:
    """Print it in one write: two processes share the pipe, and print may write the newline separately."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    main()
