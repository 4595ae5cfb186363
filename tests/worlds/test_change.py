"""A world that goes on from changed frames: to the bit the one whose last block had been made so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.cache.recent_blocks import RecentBlocks
from comfyui_matrixgame.errors import ImageError, WorldError
from comfyui_matrixgame.networks.vae.low_memory import TiledDecoder, VisitingEncoder
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Block, Models, World, load_world, rollout, save_world, stack_worlds, start_world
from comfyui_matrixgame.world.change import change_world, changed_frames, plan_change
from comfyui_matrixgame.world.recent import blocks_to_change
from comfyui_matrixgame.world.start import fill_from_latents

from ..cache.blocks import same, without_snapshots
from ..support.networks import random_track, small_image, small_models

CPU = torch.device("cpu")
BLOCKS = 5  # more than a change needs with a tiny decoder


def played(models: Models, blocks: int = BLOCKS, seed: int = 3) -> tuple[World, list[Block]]:
    track = random_track(models.variant, rows_of_blocks(blocks))
    run = rollout(models, start_world(models, small_image(16, 16), seed), track)
    made = list(run)
    return run.world, made


def onward(models: Models, world: World, blocks: int = 2) -> list[Block]:
    rows = rows_of_blocks(blocks, world.block)
    return list(rollout(models, world, random_track(models.variant, rows, "onward")))


def darker(frames: Tensor) -> Tensor:
    return frames // 2


def changed(models: Models, world: World, pictures: Tensor, *more: object, seen: bool = False) -> World:
    change = plan_change(models, world, pictures, *more)  # type: ignore[arg-type]
    assert models.vision is not None
    return change_world(models, change, models.vision(change.picture.unsqueeze(0)) if seen else None)


@pytest.fixture(scope="module")
def models() -> Models:
    return small_models(tiny=True)


@pytest.fixture(scope="module")
def before(models: Models) -> tuple[World, list[Block]]:
    return played(models)


@pytest.fixture(scope="module")
def last(before: tuple[World, list[Block]]) -> Tensor:
    """The frames of the last block, [12, H, W, 3]."""
    return before[1][-1].frames[0]


def test_what_is_not_changed_is_the_same_world(models: Models, before: tuple[World, list[Block]], last: Tensor) -> None:
    world = before[0]
    for more in ((last[-1:],), (last,), (darker(last[-1:]), torch.zeros(world.size)), (darker(last), None, 0.0)):
        assert changed(models, world, *more, seen=True) is world


@pytest.mark.parametrize(
    ("name", "tiny", "blocks"), [("universal", True, 5), ("templerun", False, 3), ("universal", False, 1)]
)
def test_it_is_the_world_whose_last_block_was_made_so(name: str, tiny: bool, blocks: int) -> None:
    models = small_models(name, tiny)
    world, made = played(models, blocks)
    there = changed(models, world, darker(made[-1].frames[0, -1:]))
    moved = there.recent[-1].latents
    assert not torch.equal(moved, made[-1].latents)
    latents = torch.cat([*(block.latents for block in made[:-1]), moved], dim=2)
    start = start_world(models, small_image(16, 16), 3)
    track = random_track(models.variant, rows_of_blocks(blocks))
    filled = replace(fill_from_latents(models, start, latents, [track]), names=there.names)
    assert same(onward(models, there), onward(models, filled))
    assert same(onward(models, world), onward(models, played(models, blocks)[0]))  # the past is as it was


def test_files_and_caches_reproduce_it(
    models: Models, before: tuple[World, list[Block]], last: Tensor, tmp_path: Path
) -> None:
    world, pictures = before[0], darker(last[-2:])
    there = changed(models, world, pictures, seen=True)
    wanted = onward(models, there)
    saved = load_world(save_world(world, tmp_path / "before.safetensors"))
    assert same(wanted, onward(models, changed(models, saved, pictures, seen=True)))
    again = load_world(save_world(there, tmp_path / "after.safetensors"))
    assert same(wanted, onward(models, again))
    assert same(
        onward(models, changed(models, there, pictures // 2)), onward(models, changed(models, again, pictures // 2))
    )
    start, track = start_world(models, small_image(16, 16), 3), random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    for keeper in (RecentBlocks(tmp_path, CPU), BlockCache(tmp_path, "worlds")):
        with CachedRollout(models, start, track, None, keeper) as run:
            list(run)
        store = without_snapshots(tmp_path, "worlds") if isinstance(keeper, BlockCache) else keeper
        with CachedRollout(models, start, track, None, store) as run:
            run.skip_to(BLOCKS)
            rest = run.rest(CPU)
        assert run.counts.made == 0
        found = changed(models, rest, pictures, seen=True)
        rows = random_track(UNIVERSAL, rows_of_blocks(2, BLOCKS), "onward")
        with CachedRollout(models, rest, rows, 1, store) as run:
            list(run)
        for count in (2, 0):  # the unchanged world's block is another one, and its own are found again
            with CachedRollout(models, found, rows, None, store) as run:
                assert same(wanted, list(run))
            assert run.counts.made == count


def test_its_name_says_what_was_done(models: Models, before: tuple[World, list[Block]], last: Tensor) -> None:
    world, half = before[0], torch.zeros(before[0].size)
    half[:, : half.shape[1] // 2] = 1
    asked = [
        changed(models, world, darker(last[-1:])),
        changed(models, world, darker(last[-1:]), seen=True),
        changed(models, world, darker(last[-1:]), half),
        changed(models, world, darker(last[-1:]), None, 0.5),
        changed(models, world, darker(last)),
    ]
    names = {each.names for each in asked}
    assert len(names | {world.names}) == len(asked) + 1
    assert changed(models, world, darker(last[-1:])).names == asked[0].names
    assert torch.equal(asked[0].image, world.image)
    assert asked[1].image.shape == world.image.shape
    assert not torch.equal(asked[1].image, world.image)
    moves = [each.recent[-1].latents - world.recent[-1].latents for each in asked]
    assert torch.allclose(moves[3], moves[0] / 2, atol=1e-6)


def test_frames_before_the_pictures_change_as_the_first_does() -> None:
    own = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 2, 2, 3) * 10
    pictures = own[2:] + torch.tensor([100, 7], dtype=torch.uint8).reshape(2, 1, 1, 1)
    assert changed_frames(own, pictures, None)[:, 0, 0, 0].tolist() == [100, 110, 120, 37]
    mask = torch.zeros(2, 2, 2, 1)
    mask[:, 0] = 0.5
    made = changed_frames(own, pictures, mask)
    assert made[:, 0, 0, 0].tolist() == [50, 60, 70, 34]
    assert torch.equal(made[:, 1], own[:, 1])


def test_a_small_card_changes_it_too() -> None:
    """Its encoder is gone between two uses, and its frames are cut into tiles."""
    models = small_models()
    small = Models(models.generator, VisitingEncoder(models.vae, CPU, True), TiledDecoder(models.vae, 2), models.vision)  # type: ignore[arg-type]
    start, track = start_world(small, small_image(16, 256), 3), random_track(UNIVERSAL, rows_of_blocks(2))
    run = rollout(small, start, track)
    made = list(run)
    there = changed(small, run.world, darker(made[-1].frames[0, -1:]))
    latents = torch.cat([made[0].latents, there.recent[-1].latents], dim=2)
    filled = replace(fill_from_latents(small, start, latents, [track]), names=there.names)
    assert not torch.equal(there.recent[-1].latents, made[-1].latents)
    assert same(onward(small, there, 1), onward(small, filled, 1))


def test_a_world_of_a_file_of_before_must_go_on_first(
    models: Models, before: tuple[World, list[Block]], last: Tensor
) -> None:
    old = replace(before[0], recent=())
    wanted = blocks_to_change(models.decoder)
    with pytest.raises(WorldError, match=rf"last {wanted} blocks .* 0 are known; let it go on for {wanted} more"):
        plan_change(models, old, last[-1:])
    run = rollout(models, old, random_track(UNIVERSAL, rows_of_blocks(wanted, old.block)))
    frames = list(run)[-1].frames[0]
    assert not plan_change(models, run.world, darker(frames[-1:])).is_none


def test_what_does_not_fit_is_said(models: Models, before: tuple[World, list[Block]], last: Tensor) -> None:
    world = before[0]
    picture, size = darker(last[-1:]), world.size
    with pytest.raises(WorldError, match="2 worlds cannot be changed at once; change one of them"):
        plan_change(models, stack_worlds([world, world]), picture)
    with pytest.raises(WorldError, match="no frame yet; start it from the changed picture"):
        plan_change(models, start_world(models, small_image(16, 16), 3), picture)
    with pytest.raises(WorldError, match="another decoder"):
        plan_change(small_models(), world, picture)
    with pytest.raises(ImageError, match="picture is 8x16 and the world's frames are 16x16; scale it"):
        plan_change(models, world, picture[:, :, :8])
    with pytest.raises(ImageError, match="mask is 8x16 and the world's frames are 16x16; scale it"):
        plan_change(models, world, picture, torch.ones(size)[:, :8])
    with pytest.raises(ImageError, match=r"up to 12 pictures, .* got 13"):
        plan_change(models, world, torch.cat([last, picture]))
    with pytest.raises(ImageError, match="1 picture and 3 masks; give one mask"):
        plan_change(models, world, picture, torch.ones(3, *size))
    with pytest.raises(ImageError, match="not numbers"):
        plan_change(models, world, picture, torch.full(size, float("nan")))
    with pytest.raises(WorldError, match="from 0 to 10, got 11"):
        plan_change(models, world, picture, None, 11.0)
