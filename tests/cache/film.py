"""Rolls out into a cache and a film until it is killed or done: see tests/cache/test_long.py.

    python -m tests.cache.film FOLDER BLOCKS DISK_MEGABYTES

Prints a line for every 25 blocks with the memory that the process takes, and `done MADE SECONDS` at the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import torch

from comfyui_matrixgame.actions.ready_made.bench import bench_track
from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.cache.cached_video import CachedVideo
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import start_world

from ..support.networks import small_image, small_models


def main() -> None:
    torch.set_num_threads(1)
    folder, blocks, disk = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) * 1e6
    models = small_models(tiny=True)
    world = start_world(models, small_image(16, 16), seed=3)
    track = bench_track(UNIVERSAL, 5, rows_of_blocks(blocks))
    cache = BlockCache(folder, "p", memory_bytes=5e6, disk_bytes=disk)
    process, began = psutil.Process(), time.perf_counter()
    with CachedRollout(models, world, track, blocks, cache) as run, CachedVideo(cache, run.block_keys) as film:
        run.skip_to(film.first)
        print(f"from {film.first}", flush=True)
        for block in run:
            film.write(block.index, block.frames[0])
            if block.index % 25 == 24:
                print(f"block {block.index} memory {process.memory_info().rss}", flush=True)
        film.finish_video()
    print(f"done {run.counts.made} {time.perf_counter() - began:.1f}", flush=True)


if __name__ == "__main__":
    main()
