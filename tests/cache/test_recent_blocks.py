"""Rollouts without a cache: what was made from a world is not made again while the world lives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import CachedRollout
from comfyui_matrixgame.cache import recent_blocks as module
from comfyui_matrixgame.cache.recent_blocks import RecentBlocks
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Models, World
from comfyui_matrixgame.world.block.passes import PassProgress

from ..support.networks import random_track
from .blocks import edited, plain, same

BLOCKS = 4
CPU = torch.device("cpu")


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("latents_*/*.npy"))


def test_edits_undos_and_other_lengths_make_only_what_is_new(models: Models, world: World, tmp_path: Path) -> None:
    recent, track = RecentBlocks(tmp_path, CPU), random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    longer = track.concat(random_track(UNIVERSAL, rows_of_blocks(1, BLOCKS)))
    for inputs, made in ((track, 4), (track, 0), (edited(track, 2), 2), (track, 0), (longer, 1)):
        with CachedRollout(models, world, inputs, None, recent) as run:
            blocks = list(run)
            rest = run.rest(CPU)
        assert run.counts.made == made
        assert same(blocks, plain(models, world, inputs))
        assert rest.names == blocks[-1].names
    with CachedRollout(models, rest, edited(track, 1), 1, RecentBlocks(tmp_path, CPU)) as run:
        assert same(list(run), plain(models, rest, edited(track, 1))[:1])


def test_the_world_at_rest_is_the_one_that_is_kept_and_whole(models: Models, world: World, tmp_path: Path) -> None:
    """With the encoder's state, which no cache keeps; and in no second copy."""
    recent, track = RecentBlocks(tmp_path, CPU), random_track(UNIVERSAL, rows_of_blocks(2))
    with CachedRollout(models, world, track, None, recent) as run:
        list(run)
        rest = run.rest(CPU)
    assert rest.encoder_state is not None
    assert recent.world is not None
    pointers = [layer.video.k.data_ptr() for layer in rest.caches]
    assert [layer.video.k.data_ptr() for layer in recent.world[1].caches] == pointers
    with CachedRollout(models, world, track, None, recent) as run:
        list(run)
        assert [layer.video.k.data_ptr() for layer in run.rest(CPU).caches] == pointers


def test_a_stopped_run_goes_on_where_it_was(models: Models, world: World, tmp_path: Path) -> None:
    recent, track = RecentBlocks(tmp_path, CPU), random_track(UNIVERSAL, rows_of_blocks(BLOCKS))

    def stop(at: PassProgress) -> None:
        if (at.done, at.step) == (2, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), CachedRollout(models, world, track, None, recent, on_pass=stop) as run:
        list(run)
    passes: list[PassProgress] = []
    with CachedRollout(models, world, track, None, recent, on_pass=passes.append) as run:
        blocks = list(run)
    assert (run.counts.decoded, run.counts.made, run.counts.replayed) == (2, 2, 0)
    assert [at.done for at in passes] == [0, 1, *[2] * 4, *[3] * 4]
    assert same(blocks, plain(models, world, track))


def test_what_is_older_than_two_runs_goes_and_all_of_it_with_the_world(
    models: Models, world: World, tmp_path: Path
) -> None:
    recent, track = RecentBlocks(tmp_path, CPU), random_track(UNIVERSAL, rows_of_blocks(2))
    for inputs in (track, edited(track, 0), edited(track, 0, 1)):
        list(CachedRollout(models, world, inputs, None, recent))
    assert [path.name for path in files(tmp_path)] == ["2.npy", "3.npy", "4.npy", "5.npy"]
    del recent
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_gone_or_cut_off_are_made_again(models: Models, world: World, tmp_path: Path) -> None:
    recent, track = RecentBlocks(tmp_path / "temp", CPU), random_track(UNIVERSAL, rows_of_blocks(3))
    list(CachedRollout(models, world, track, None, recent))
    path = files(tmp_path / "temp")[1]
    path.write_bytes(path.read_bytes()[:-8])
    for made in (1, 3):
        with CachedRollout(models, world, track, None, recent) as run:
            assert same(list(run), plain(models, world, track))
        assert run.counts.made == made
        shutil.rmtree(tmp_path / "temp")  # as a clean-up does


def test_a_full_disk_is_told_and_loses_nothing(
    models: Models, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent, track = RecentBlocks(tmp_path, CPU), random_track(UNIVERSAL, rows_of_blocks(3))
    save = np.save

    def full(path: Path, latents: np.ndarray) -> None:
        if path.name != "0.npy":
            raise OSError(28, "No space left on device")
        save(path, latents)

    monkeypatch.setattr(module.np, "save", full)
    with pytest.raises(WorldError, match=r"No space left on device.*run again"):
        list(CachedRollout(models, world, track, None, recent))
    monkeypatch.undo()
    with CachedRollout(models, world, track, None, recent) as run:
        assert same(list(run), plain(models, world, track))
    assert (run.counts.decoded, run.counts.made) == (1, 2)
