"""A window that keeps its oldest block while the view does not change: which blocks stay, and that no way of going on
makes another rollout of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.errors import VariantError, WorldError
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.variants import SAME_VIEW, UNIVERSAL, Tried
from comfyui_matrixgame.world import Models, World, load_world, rollout, save_world, stack_worlds, start_world
from comfyui_matrixgame.world.block import views
from comfyui_matrixgame.world.change import change_world, plan_change
from comfyui_matrixgame.world.start import fill_from_latents
from comfyui_matrixgame.world.world import select_world

from ..cache.blocks import cached, edited, plain, same, without_snapshots
from ..support.networks import random_track, small_image
from .ways import AT_TIMES, trying

BLOCKS = 8


@pytest.fixture(params=[9, 12])
def models(request: pytest.FixtureRequest) -> Models:
    return trying(Tried(window=request.param, keeps=SAME_VIEW))


@pytest.fixture
def at_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of random weights are alike by 0.33 to 0.72, so the threshold of the same view is moved between."""
    monkeypatch.setattr(views, "ALIKE", AT_TIMES)


def expected(latents: list[Tensor], count: int) -> list[list[int]]:
    """The blocks of the window before each next block, oldest first, by the words of the policy."""
    window: list[int] = []
    told = []
    for block, made in enumerate(latents):
        window.append(block)
        if len(window) == count:
            oldest = latents[window[0]][:, :, -1].double()
            newest = made[:, :, -1].double()
            a, b = (part - part.mean((-2, -1), keepdim=True) for part in (oldest, newest))
            likeness = float((a * b).sum() / (a.norm() * b.norm()))
            del window[1 if likeness >= views.ALIKE else 0]
        told.append(list(window))
    return told


@pytest.mark.parametrize("alike", [-1.0, AT_TIMES, 1.0])
def test_the_blocks_that_stay(models: Models, alike: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "ALIKE", alike)
    world = start_world(models, small_image(16, 16), seed=3)
    run = rollout(models, world, random_track(UNIVERSAL, rows_of_blocks(BLOCKS)), open_ended=True)
    count, made, entries, stayed = views.blocks_in_window(models.variant), [], {}, []
    for block in run:
        made.append(block.latents)
        now = run.world
        newest = block.index % count * 3
        for layer in now.caches:
            entries.setdefault(block.index, []).append({n: r.entries(newest, 3)[0] for n, r in layer.rings().items()})
        seen = expected(made, count)[-1]
        stayed.append(seen)
        assert now.views is not None
        slots = [block.index - i for i in range(count - 1)]  # by age, where the ring would have the newest ones
        slots = [slot % count for slot in slots if slot >= 0][::-1][: len(seen)]
        for slot, index in zip(slots, seen, strict=True):
            assert torch.equal(now.views[:, :, slot], made[index][:, :, -1])
            for layer, kept in zip(now.caches, entries[index], strict=True):
                for name, ring in layer.rings().items():
                    assert torch.equal(ring.entries(slot * 3, 3)[0], kept[name]), (block.index, index, name)
    oldest = [seen[0] for seen in stayed]
    if alike == -1:
        assert oldest == [0] * BLOCKS
    elif alike == 1:
        assert oldest == [max(0, block - count + 2) for block in range(BLOCKS)]
    else:
        assert 0 < max(oldest) < BLOCKS - count + 1, oldest


@pytest.mark.usefixtures("at_times")
def test_in_pieces_and_from_a_file(models: Models, tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    start = start_world(models, small_image(16, 16), seed=3)
    whole = plain(models, start, track)
    for cut in (1, 5):
        run = rollout(models, start, track, cut)
        first = list(run)
        restored = load_world(save_world(run.world, tmp_path / "w.safetensors"))
        assert restored.variant == models.variant
        assert same(whole, [*first, *plain(models, restored, track.slice(rows_of_blocks(cut)))])


@pytest.mark.usefixtures("at_times")
def test_an_edit_resumes_from_latents_alone(models: Models, tmp_path: Path) -> None:
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    cached(models, world, track, BlockCache(tmp_path, "p"))
    other = edited(track, BLOCKS - 1)
    blocks, run = cached(models, world, other, without_snapshots(tmp_path, "p"))
    assert same(blocks, plain(models, world, other))
    assert (run.counts.made, run.counts.replayed) == (1, BLOCKS - 1)
    again, run = cached(models, world, edited(track, BLOCKS - 2), BlockCache(tmp_path, "p"))  # from a stored state
    assert same(again, plain(models, world, edited(track, BLOCKS - 2)))


@pytest.mark.usefixtures("at_times")
def test_a_block_that_is_taken_back(models: Models, tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    start = start_world(models, small_image(16, 16), seed=3)
    whole = plain(models, start, track)
    run = rollout(models, start, track)
    before: World | None = None
    for done in range(1, BLOCKS + 1):
        block = next(run)
        assert same([block], whole[done - 1 : done])
        before = run.world_before
        assert before is not None
        save_world(before, tmp_path / "w.safetensors")
        assert same([next(rollout(models, before, track.slice(rows_of_blocks(done - 1)), 1))], [block])
        if done % 2:  # the rollout itself, which has gone on with its rings since
            assert run.step_back()
            assert same([next(run)], [block])
    assert same(
        list(rollout(models, load_world(tmp_path / "w.safetensors"), track.slice(rows_of_blocks(7)))), whole[7:]
    )


@pytest.mark.usefixtures("at_times")
def test_each_world_of_a_batch_keeps_its_own(models: Models) -> None:
    tracks = [random_track(UNIVERSAL, rows_of_blocks(BLOCKS), seed) for seed in ("track", "other")]
    starts = [start_world(models, small_image(16, 16), seed=seed) for seed in (3, 4)]
    both = rollout(models, stack_worlds(starts), tracks)
    made = [block.latents for block in both]
    for index, (start, track) in enumerate(zip(starts, tracks, strict=True)):
        alone = rollout(models, start, track)
        latents = [block.latents for block in alone]
        close = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(torch.cat([part[index : index + 1] for part in made]), torch.cat(latents), **close)
        torch.testing.assert_close(select_world(both.world, index).views, alone.world.views, **close)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (Tried(window=6, keeps=SAME_VIEW), "use 9 or 12"),
        (Tried(keeps=SAME_VIEW), "use 9 or 12"),
        (Tried(window=10, keeps=SAME_VIEW), "whole blocks"),
        (Tried(window=12, sink=3, keeps=SAME_VIEW), "use one of the two"),
        (Tried(keeps="oldest"), "use newest or same_view"),
    ],
)
def test_what_makes_no_sense(tried: Tried, words: str) -> None:
    with pytest.raises(VariantError, match=words):
        tried.of(UNIVERSAL)


def test_a_world_goes_on_only_with_what_it_was_made_with(models: Models) -> None:
    plainly = trying(Tried(window=models.variant.window))
    for here, there in ((models, plainly), (plainly, models)):
        world = start_world(here, small_image(16, 16), 3)
        with pytest.raises(WorldError, match="keeps the same view"):
            rollout(there, world, random_track(UNIVERSAL, 8))


@pytest.mark.usefixtures("at_times")
@pytest.mark.parametrize("world_bytes", [0, 1 << 30])
def test_going_back_in_play(models: Models, world_bytes: int, tmp_path: Path) -> None:
    """From worlds that were kept, from latents, and over stored blocks."""
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    start = start_world(models, small_image(16, 16), seed=3)
    whole = plain(models, start, track)
    for _ in range(2):  # the second time all of it is stored
        cache = BlockCache(tmp_path, "played")
        played = PlayedWorld(models, start, cache=cache, keep_frames=True, world_bytes=world_bytes)
        for block in (*range(6), 3, 4, 1, *range(2, BLOCKS)):
            if block != played.block:
                played.go_to(block)
            played.make(track.slice(rows_of_blocks(block)), lambda *_: None)
        for block, frames in zip(whole, played.frames(), strict=True):
            assert np.array_equal(frames, block.frames[0].numpy()), block.index
        assert played.world.names == whole[-1].names
        played.close()


@pytest.mark.parametrize("alike", [-1.0, 1.0])
def test_a_changed_world(alike: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same from a file, from a cache and where it is replayed; where no block stays, the one whose last block had
    been made so."""
    monkeypatch.setattr(views, "ALIKE", alike)
    models = trying(Tried(window=9, keeps=SAME_VIEW))
    blocks = views.blocks_in_window(models.variant) + 1
    track, onward = (random_track(UNIVERSAL, rows_of_blocks(blocks, at), f"{at}") for at in (0, blocks))
    start = start_world(models, small_image(16, 16), seed=3)
    run = rollout(models, start, track)
    made = list(run)
    picture = made[-1].frames[0, -1:] // 2

    def changed(world: World) -> World:
        return change_world(models, plan_change(models, world, picture))

    there = changed(run.world)
    wanted = plain(models, there, onward)
    again = changed(load_world(save_world(run.world, tmp_path / "before.safetensors")))
    assert same(wanted, plain(models, load_world(save_world(again, tmp_path / "after.safetensors")), onward))
    played = PlayedWorld(models, start, world_bytes=0)
    for block in range(blocks + 1):
        if block == blocks:
            assert played.change(picture[0].numpy(), 1.0, "start")
        played.make((track if block < blocks else onward).slice(rows_of_blocks(block % blocks)), lambda *_: None)
    played.go_to(blocks)  # from latents, and changed anew
    assert same(wanted, plain(models, played.world, onward))
    played.close()
    if alike == 1:
        latents = torch.cat([*(block.latents for block in made[:-1]), there.recent[-1].latents], dim=2)
        filled = replace(fill_from_latents(models, start, latents, [track]), names=there.names)
        assert same(wanted, plain(models, filled, onward))
