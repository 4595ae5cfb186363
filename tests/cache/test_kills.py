"""SIGKILL at random moments of a render: nothing wrong is stored, nothing is left behind, the next run goes on."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.cache.keys import BlockKeys
from comfyui_matrixgame.cache.projects import FRAMES, KINDS, LATENTS
from comfyui_matrixgame.cache.records import read_record
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Block, start_world

from ..support.networks import random_track, small_image, small_models
from .blocks import plain

KILLS = int(os.environ.get("CACHE_KILLS", "3"))  # 100 were run once, see bench/results
BLOCKS = 8
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


@contextmanager
def renderer() -> Iterator[Callable[[object], Iterator[str]]]:
    """A function that renders into a folder and yields what the render says, line by line, up to `gone`."""
    command = [sys.executable, "-m", "tests.cache.render", str(BLOCKS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def render(folder: object) -> Iterator[str]:
            print(folder, file=server.stdin, flush=True)
            return iter(server.stdout.readline, "gone\n")  # type: ignore[union-attr]

        yield render
        server.stdin.close()


@pytest.mark.slow
def test_two_at_a_time_and_kills(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    models = small_models(tiny=True)
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    fresh, block_keys = plain(models, world, track), BlockKeys(models, world, track, BLOCKS)
    digest = hashlib.sha256(b"".join(block.frames.numpy().tobytes() for block in fresh)).hexdigest()
    chance, killed, renders, stored, lost = random.Random(0), 0, 0, 0, 0
    folder = tmp_path / "0"
    with renderer() as render:
        for disk_bytes in (1e9, 60e3):  # with the second, what one of them has stored is soon deleted by the other
            both = list(render(f"{tmp_path / 'shared'} {disk_bytes:.0f}\t2\t{disk_bytes}"))
            assert [line for line in both if line.startswith("done")] == [f"done {digest}\n"] * 2, both
            check(tmp_path / f"shared {disk_bytes:.0f}", block_keys, fresh)
        while killed < KILLS:
            lines = render(folder)
            process = int(next(lines).split()[1])
            time.sleep(chance.uniform(0, 1.5))
            with suppress(ProcessLookupError):  # it was done
                os.kill(process, signal.SIGKILL)
            said = list(lines)
            done = any(line.startswith("done") for line in said)
            killed += not done
            lost += any((folder / "p").glob("*.part"))
            stored = check(folder, block_keys, fresh)
            assert stored >= sum(line.startswith("block") for line in said)  # only the block in progress is lost
            if stored == BLOCKS:
                renders += 1
                folder, stored = tmp_path / str(renders), 0
        lines = list(render(folder))
        assert lines[-1] == f"done {digest}\n"
        assert int(lines[-2].split()[-1]) == BLOCKS - stored
    print(f"{killed} kills, {lost} of them in a write; {renders} whole renders between them")


def check(folder: Path, block_keys: BlockKeys, fresh: list[Block]) -> int:
    """Everything on disk is whole and right, with no temporary; returns how many blocks there are."""
    cache = BlockCache(folder, "p")
    names = [path.name for path in cache.folder.iterdir()] if cache.folder.exists() else []
    assert all(name == "store.json" or name.rpartition(".")[2] in KINDS for name in names), names
    for name in names:
        if name != "store.json":
            read_record(cache.folder / name)
    count = 0
    for block in fresh:
        latents = cache.get(LATENTS, block_keys.latents_key(block.index))
        frames = cache.get(FRAMES, block_keys.frames_key(block.index))
        assert latents is None or torch.equal(latents.tensors["latents"], block.latents)
        assert frames is None or torch.equal(frames.tensors["frames"], block.frames)
        count += latents is not None and frames is not None
    assert not cache.notices
    return count
