"""The picture is changed in the middle of live play: the world goes on from it, and the take makes it again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_matrixgame.actions.document import Timeline, save_document
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.errors import ActionError, ImageError, WorldError
from comfyui_matrixgame.media.images import read_pixels
from comfyui_matrixgame.play import take as take_module
from comfyui_matrixgame.play.changes.playing import change_picture
from comfyui_matrixgame.play.changes.taken import changes_of, encode_png
from comfyui_matrixgame.play.early_frames import Frames
from comfyui_matrixgame.play.pattern import TestPattern
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.play.take import Take
from comfyui_matrixgame.terminal.main import main, parser
from comfyui_matrixgame.terminal.play import make_played_world
from comfyui_matrixgame.terminal.rendering.changed import ChangedRollout
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Models, World, rollout, save_world, start_world
from comfyui_matrixgame.world.change import change_world, plan_change

from ..cache.blocks import same
from ..support.networks import random_track, small_image, small_models

BLOCKS = 4


class Way:
    """A played world with its take; `frames` are those of each block as they were shown."""

    def __init__(self, models: Models, start: World, **options: object) -> None:
        vision = models.vision
        assert vision is not None
        self.played = PlayedWorld(models, start, see=lambda picture: vision(picture.unsqueeze(0)), **options)  # type: ignore[arg-type]
        self.take = Take(models.variant, start.seeds[0], start.block)

    def play(self, rows: ActionTrack) -> Frames:
        parts: list[Frames] = []
        self.played.make(rows, lambda frames, _: parts.append(frames))
        self.take.add(rows)
        return np.concatenate(parts)

    def change(self, picture: Frames | bytes, strength: float = 1.0, seen: str = "") -> bool:
        file = picture if isinstance(picture, bytes) else encode_png(picture)
        return change_picture(self.played, self.take, file, strength, seen)

    def go_to(self, block: int, changes: int | None = None) -> None:
        self.played.go_to(block, changes)
        self.take.go_back_to(block - self.take.first_block, changes)


@pytest.fixture(scope="module")
def models() -> Models:
    return small_models(tiny=True)


@pytest.fixture(scope="module")
def start(models: Models) -> World:
    return start_world(models, small_image(16, 16), 3)


def rows(block: int, name: str = "track") -> ActionTrack:
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS + 4), name)
    return track.slice(rows_of_blocks(block), rows_of_blocks(block + 1))


def darker(frame: Frames) -> Frames:
    return (frame // 2).astype(np.uint8)


def by_hand(models: Models, start: World, changed: dict[int, list[tuple[Frames, float, str]]], blocks: int) -> Frames:
    """The same, as Roll Out and Change World make it. changed: pictures, by the block before which they count."""
    assert models.vision is not None
    world, made = start, []
    for block in range(start.block, blocks):
        for picture, strength, seen in changed.get(block, ()):
            change = plan_change(models, world, torch.from_numpy(picture).unsqueeze(0), None, strength)
            features = models.vision(change.picture.unsqueeze(0)) if seen == "changed" else None
            world = change_world(models, change, features)
        run = rollout(models, world, rows(block), 1)
        made += [each.frames[0].numpy() for each in run]
        world = run.world
    return np.concatenate(made)


def test_what_is_played_after_a_change_is_what_change_world_and_a_rollout_make(models: Models, start: World) -> None:
    way = Way(models, start)
    plain = [way.play(rows(0)), way.play(rows(1))]
    before, first = way.played.world, darker(plain[-1][-1])
    assert not way.change(plain[-1][-1])  # the picture as it is
    assert not way.change(first, strength=0)
    assert way.take.changes == ()
    assert way.played.world is before
    assert way.change(first)
    shown = way.played.still()
    assert not np.array_equal(shown, plain[-1][-1])
    assert not way.change(shown)  # what is on the screen now
    assert (way.take.changes_here, way.take.changes[0].seen) == (1, "changed")
    made = [*plain, way.play(rows(2)), way.play(rows(3))]
    assert np.array_equal(way.played.still(), made[-1][-1])
    second = darker(made[-1][-1])
    assert way.change(second, 0.5, "start")
    made.append(way.play(rows(4)))
    asked = {2: [(first, 1.0, "changed")], 4: [(second, 0.5, "start")]}
    assert np.array_equal(np.concatenate(made), by_hand(models, start, asked, 5))


def test_a_picture_counts_where_it_is_not_transparent(models: Models, start: World) -> None:
    """As Change World's does with a mask, and what the take holds is the whole picture."""
    way = Way(models, start)
    first = way.play(rows(0))
    last, world = first[-1], way.played.world
    assert not way.change(encode_png(255 - last, np.zeros((16, 16))))  # nothing of it counts
    mask = np.zeros((16, 16), bool)
    mask[:, :6] = True
    assert way.change(encode_png(255 - last, mask))
    assert np.array_equal(way.take.changes[0].pixels, np.where(mask[..., None], 255 - last, last))
    change = plan_change(models, world, torch.from_numpy(255 - last).unsqueeze(0), torch.from_numpy(mask))
    assert models.vision is not None
    there = change_world(models, change, models.vision(change.picture.unsqueeze(0)))
    made = way.play(rows(1))
    assert np.array_equal(made, next(rollout(models, there, rows(1), 1)).frames[0].numpy())
    way.go_to(1, changes=0)
    assert np.array_equal(way.played.still(), last)
    for wrong, words in (
        (np.ones((16, 8)), "mask has the shape"),
        (np.full((16, 16), 255), "from 0"),
        (mask / 0, "from 0"),
    ):
        with np.errstate(all="ignore"), pytest.raises(ImageError, match=words):
            encode_png(last, wrong)


@pytest.mark.parametrize("world_bytes", [0, 1 << 30])
def test_going_back_before_a_change_undoes_it_and_branches_keep_it(
    models: Models, start: World, world_bytes: int
) -> None:
    """From worlds that were kept, and from latents."""
    way = Way(models, start, world_bytes=world_bytes)
    plain = [way.play(rows(block)) for block in range(BLOCKS)]
    way.go_to(2)
    picture = darker(plain[1][-1])
    assert way.change(picture)
    there = way.played.still()
    changed = [way.play(rows(2)), way.play(rows(3))]
    assert not np.array_equal(changed[0], plain[2])
    way.go_to(3)
    assert np.array_equal(way.play(rows(3)), changed[1])
    way.go_to(2)  # where it was made: it stays
    assert np.array_equal(way.played.still(), there)
    assert way.take.changes_here == 1
    assert np.array_equal(way.play(rows(2)), changed[0])
    way.go_to(2)
    assert way.change(darker(there), seen="start")  # a second one on top
    way.go_to(2, changes=1)
    assert np.array_equal(way.play(rows(2)), changed[0])
    way.go_to(2, changes=0)
    assert np.array_equal(way.played.still(), plain[1][-1])
    assert np.array_equal(way.play(rows(2)), plain[2])
    way.go_to(1)
    assert [np.array_equal(way.play(rows(block)), plain[block]) for block in (1, 2)] == [True, True]
    assert way.take.changes == ()
    timeline = Timeline.from_text(way.take.timeline().to_text())
    assert changes_of(timeline) == ()
    left = {branch["name"]: changes_of(timeline.with_branch(branch["name"])) for branch in timeline.branches}
    assert [len(changes) for changes in left.values()] == [0, 1, 1, 1, 1, 0]  # undone before anything came of it: none
    (kept,) = left["take 2"]
    assert (kept.row, kept.strength, kept.seen) == (rows_of_blocks(2), 1.0, "changed")
    assert np.array_equal(kept.pixels, picture)
    assert len(timeline.extra["take"]["pictures"]) == 1


def test_a_world_that_was_given_is_changed_before_anything_is_played(models: Models, start: World) -> None:
    run = rollout(models, start, rows(0), 1)
    last = next(run).frames[0, -1].numpy()
    given = run.world
    way = Way(models, given)
    assert np.array_equal(way.played.still(), last)
    assert not np.array_equal(Way(models, replace(given, recent=())).played.still(), last)
    assert way.change(darker(last))
    assert way.played.start is given
    changed = way.play(rows(1))
    assert np.array_equal(changed, by_hand(models, given, {1: [(darker(last), 1.0, "changed")]}, 2))
    way.go_to(1)
    assert np.array_equal(way.play(rows(1)), changed)
    way.go_to(1, changes=0)
    assert np.array_equal(way.play(rows(1)), by_hand(models, given, {}, 2))


def test_a_cache_finds_changed_blocks_again_and_no_others(models: Models, start: World, tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        cache = BlockCache(tmp_path, "played")
        way = Way(models, start, cache=cache, keep_frames=True)
        frames = [way.play(rows(0))]
        way.change(darker(frames[0][-1]))
        frames.append(way.play(rows(1)))
        way.go_to(1, changes=0)
        frames += [way.play(rows(1)), way.play(rows(2))]
        counts = way.played.counts
        way.played.close()
        made.append((np.concatenate(frames), (counts.made, counts.reused)))
    assert [counts for _, counts in made] == [(4, 0), (0, 4)]
    assert np.array_equal(made[0][0], made[1][0])


def test_what_is_no_picture_of_the_world_is_said_and_changes_nothing(models: Models, start: World) -> None:
    way = Way(models, start)
    assert way.played.sees == ("changed", "start")
    with pytest.raises(WorldError, match="no frame yet; start it from the changed picture"):
        way.change(way.played.still())
    last = way.play(rows(0))[-1]
    world, good = way.played.world, encode_png(darker(last))
    turned = io.BytesIO()
    Image.new("RGB", (32, 16)).save(turned, "PNG")
    for picture, words in (
        (b"no picture", "the image .*not a picture|the image"),
        (good[:-30], "is the file complete"),
        (turned.getvalue(), "picture is 32x16 and the world's frames are 16x16; scale it to that size"),
    ):
        with pytest.raises(ImageError, match=words):
            change_picture(way.played, way.take, picture, 1.0, "")
    with pytest.raises(WorldError, match="from 0 to 10, got 11"):
        change_picture(way.played, way.take, good, 11.0, "")
    bare = PlayedWorld(models, start)
    assert bare.sees == ("start",)
    with pytest.raises(WorldError, match=r"no image tower .* the changed picture; .* clip_vision .* with seen: start"):
        change_picture(bare, way.take, good, 1.0, "changed")
    with pytest.raises(WorldError, match="A test picture cannot be changed"):
        change_picture(TestPattern(size=(16, 16)), way.take, good, 1.0, "")
    assert way.played.world is world
    assert way.take.changes == ()


def test_a_take_holds_no_more_pictures_than_its_file_can(
    models: Models, start: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Way(models, start)
    last = way.play(rows(0))[-1]
    monkeypatch.setattr(take_module, "MOST_BYTES", 1000)
    assert way.change(darker(last))
    monkeypatch.setattr(take_module, "MOST_CHANGES", 1)
    with pytest.raises(WorldError, match="holds 1 change of the picture, and no more fit in"):
        way.change(last)
    monkeypatch.setattr(take_module, "MOST_CHANGES", 2)
    monkeypatch.setattr(take_module, "MOST_BYTES", 100)
    with pytest.raises(WorldError, match="no more fit in"):
        way.change(last)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda take: take.pop("pictures"), "before row 8, and that picture is not in this file"),
        (lambda take: take.update(pictures={take["changes"][0]["picture"]: "%"}), "base64 of a PNG file"),
        (lambda take: take["changes"][0].update(strength=11), "strength must be a number from 0 to 10"),
        (lambda take: take["changes"][0].update(seen="both"), "seen must be changed or start"),
        (lambda take: take["changes"][0].update(t=True), "t must be a row"),
        (lambda take: take.update(changes=[1]), "must be objects"),
        (lambda take: take.update(changes={}), "no list at all"),
    ],
)
def test_a_damaged_document_is_said(models: Models, start: World, damage: Callable[[dict], object], words: str) -> None:
    take = Take(models.variant)
    take.add(rows(0))
    take.change(encode_png(np.zeros((16, 16, 3), np.uint8)), 1.0, "start")
    document = json.loads(take.timeline().to_text())
    assert len(changes_of(Timeline.from_json(document))) == 1
    damage(document["take"])
    if words == "no list at all":
        assert changes_of(Timeline.from_json(document)) == ()
    else:
        with pytest.raises(ActionError, match=words):
            changes_of(Timeline.from_json(document))


def test_a_stopped_render_changes_its_world_once(models: Models, start: World) -> None:
    track = rows(0).concat(rows(1)).concat(rows(2))
    picture = np.full((16, 16, 3), 40, np.uint8)
    changed: list[int] = []

    def change(world: World) -> World:
        changed.append(world.block)
        return change_world(models, plan_change(models, world, torch.from_numpy(picture).unsqueeze(0)))

    def going_on(world: World) -> ChangedRollout:
        rest = track.slice(rows_of_blocks(world.block))
        return ChangedRollout(models, world, rest, 3 - world.block, {1: change}, lambda _: None)

    run = going_on(start)
    made = [next(run), next(run)]
    before = run.world_before
    assert before is not None
    made.append(next(run))
    assert [block.index for block in made] == [0, 1, 2]
    assert np.array_equal(
        np.concatenate([block.frames[0].numpy() for block in made]),
        by_hand(models, start, {1: [(picture, 1.0, "start")]}, 3),
    )
    assert same(made[1:], list(going_on(before)))
    run = going_on(start)
    assert same(made[:2], [next(run), next(run)])
    assert run.step_back()
    assert (run.block, run.done) == (1, 1)
    assert same(made[1:], list(going_on(run.stop())))
    assert changed == [1, 1, 1, 1]


def test_render_makes_a_take_with_changes_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its last frame and its saved world, to the bit, also where the render was stopped on its way."""
    played = make_played_world(parser().parse_args(["play", "--seed", "5"]))
    assert isinstance(played, PlayedWorld)
    take = Take(played.variant, played.seed)
    for block in range(3):
        if block == 2:
            last = played.still()
            mask = np.linspace(0, 1, last[..., 0].size).reshape(last.shape[:2])  # more and more of it counts
            assert change_picture(played, take, encode_png(255 - last, mask), 1.0, "")
        held = ActionTrack.from_rows(played.variant, [{"w": 1.0, "yaw": 0.02}] * rows_of_blocks(1, block))
        played.make(held, lambda *_: None)
        take.add(held)
    take.go_back_to(2)  # the way to here has two blocks, and the branch three
    save_document(take.timeline(), tmp_path / "take.json")
    world = save_world(played.world, tmp_path / "played.safetensors")
    branch = ["render", "--actions", str(tmp_path / "take.json"), "--branch", "take 1", "--seed", "5"]
    made, still = tmp_path / "made.safetensors", tmp_path / "made.png"
    for blocks in ("1", "3"):
        more = ["--blocks", blocks, "--world", str(made), "--last-frame", str(still)]
        assert main([*branch, *more, "-o", str(tmp_path / "made.mp4")]) == 0
    assert np.array_equal(read_pixels(still), played.still())
    assert made.read_bytes() == world.read_bytes()
    assert capsys.readouterr().err.count("block 2: the picture is changed 1 time") == 1
    played.close()
