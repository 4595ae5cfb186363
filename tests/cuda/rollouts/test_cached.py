"""World Cache on a device: edits, undos and restarts give what a fresh run gives."""

from __future__ import annotations

from pathlib import Path

from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.cache.projects import SNAPSHOT

from ...cache.blocks import cached, edited, plain, same
from ...pretend_gpu import Machine
from ..networks import CUDA, at_home, begin, on_both, small_on, track_of

BLOCKS = 5


def test_edits_on_two_devices(two_gpus: Machine, tmp_path: Path) -> None:
    def work(device) -> list:
        models = small_on(device, tiny=True)
        world, track = begin(models).to("cpu"), track_of(models, BLOCKS)
        other = edited(track, 3)
        cache = BlockCache(tmp_path / str(device.index), "p")
        first, _ = cached(models, world, track, cache)
        second, run = cached(models, world, other, cache)
        assert (run.counts.made, run.counts.reused) == (2, 3)
        again, run = cached(models, world, track, cache)  # an undo
        assert (run.counts.made, run.counts.reused) == (0, BLOCKS)
        assert same(again, first)
        fresh = [at_home(block) for block in plain(models, world, other)]
        assert same([at_home(block) for block in second], fresh)
        return fresh

    first, second = on_both(work)
    assert same(first, second)


def test_a_restart_without_states_replays_them(gpus: Machine, tmp_path: Path) -> None:
    models = small_on(CUDA[0])
    world, track = begin(models).to("cpu"), track_of(models, BLOCKS)
    cached(models, world, track, BlockCache(tmp_path, "p"))
    cache = BlockCache(tmp_path, "p")
    for file in cache.files():
        if file.kind == SNAPSHOT:
            file.path.unlink()
    other = edited(track, 4)
    made, run = cached(models, world, other, cache)
    assert run.counts.made == 1
    assert run.counts.replayed
    assert same([at_home(block) for block in made], [at_home(block) for block in plain(models, world, other)])
