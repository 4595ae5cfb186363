"""A World is a value: rollouts in one piece, in pieces, in a batch and from a file are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.errors import ImageError, MatrixGameError, WorldError
from comfyui_matrixgame.networks.generator.rope import action_table, rotate, video_table
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS, block_of_input, first_input_of_block, frames_of_blocks
from comfyui_matrixgame.world import (
    Block,
    Models,
    World,
    load_world,
    rollout,
    save_world,
    select_world,
    stack_worlds,
    start_world,
    start_world_from_clip,
)
from comfyui_matrixgame.world.start import fill_from_latents
from comfyui_matrixgame.world.world import first_name

from ..cache.blocks import same
from ..support.networks import SMALL, largest_difference, random_track, small_image, small_models


def make(models: Models, world: World, track: ActionTrack, blocks: int | None = None) -> tuple[list[Block], World]:
    run = rollout(models, world, track, blocks)
    made = list(run)
    return made, run.world


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("tiny", [False, True])
def test_in_pieces_and_from_a_file(name: str, tiny: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, name, SMALL[name])  # and forgotten again, though a world's file makes it known
    models = small_models(name, tiny)
    track = random_track(models.variant, rows_of_blocks(5))
    start = start_world(models, small_image(), seed=3)
    whole, end = make(models, start, track)
    assert [len(block.frames[0]) for block in whole] == [9, 12, 12, 12, 12]
    again = load_world(save_world(start, tmp_path / "start.safetensors"))
    assert again.caches == start.caches == []  # nothing to keep before the first block
    first, middle = make(models, again, track.slice(0, rows_of_blocks(2)))
    restored = load_world(save_world(middle, tmp_path / "world.safetensors"))
    second, last = make(models, restored, track.slice(rows_of_blocks(2)))
    assert same(whole, first + second)
    assert last.names == end.names
    assert last.block == 5


def test_past_the_constant_condition(tmp_path: Path) -> None:
    """Stopped before and after latent frame 30, where the encoder is done."""
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(13))
    start = start_world(models, small_image(), seed=1)
    whole, end = make(models, start, track)
    pieces: list[Block] = []
    world = start
    for stop in (4, 9, 11, 13):
        rows = track.slice(world.first_input, first_input_of_block(stop))
        made, world = make(models, world, rows)
        world = load_world(save_world(world, tmp_path / "w.safetensors"))
        pieces += made
    assert same(whole, pieces)
    assert end.condition.shape[2] == 30
    assert end.encoder_state is None


def test_a_sink_is_part_of_the_name() -> None:
    with_sink, without = SMALL["with_sink"], replace(SMALL["with_sink"], sink=0)
    assert first_name("m", with_sink, "p", 3, (1000,)) != first_name("m", without, "p", 3, (1000,))


def test_a_rollout_leaves_its_world_alone() -> None:
    models = small_models()
    start = start_world(models, small_image(), seed=3)
    _, world = make(models, start, random_track(UNIVERSAL, rows_of_blocks(2)))
    before = [ring.k.clone() for layer in world.caches for ring in layer.rings().values()]
    left, _ = make(models, world, random_track(UNIVERSAL, 24, "left"))
    right, _ = make(models, world, random_track(UNIVERSAL, 24, "right"))
    again, _ = make(models, world, random_track(UNIVERSAL, 24, "left"))
    assert same(left, again)
    assert not same(left, right)
    after = [ring.k for layer in world.caches for ring in layer.rings().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_stopping_in_a_block_keeps_the_blocks_before() -> None:
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(4))
    start = start_world(models, small_image(), seed=3)
    whole, _ = make(models, start, track)

    class Stop(Exception):
        pass

    def stop_in_third(progress: object) -> None:
        if progress.done == 2 and progress.step == 2:  # type: ignore[attr-defined]
            raise Stop

    run = rollout(models, start, track, on_pass=stop_in_third)
    made = [next(run), next(run)]
    with pytest.raises(Stop):
        next(run)
    kept = run.world
    assert kept.block == 2
    rest, _ = make(models, kept, track.slice(kept.first_input))
    assert same(whole, made + rest)


def test_a_world_taken_on_the_way_is_not_changed_later() -> None:
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(4))
    run = rollout(models, start_world(models, small_image(), seed=3), track)
    made = [next(run), next(run)]
    kept = run.world
    rest = list(run)
    again, _ = make(models, kept, track.slice(kept.first_input))
    assert same(rest, again)
    assert len(made) == 2


@pytest.mark.parametrize("name", SMALL)
def test_a_block_that_was_lost_is_made_again(name: str) -> None:
    """Also where the rings have come round; but no more than the last one."""
    models = small_models(name)
    track = random_track(models.variant, rows_of_blocks(8))
    whole, _ = make(models, start_world(models, small_image(), seed=3), track)
    run = rollout(models, start_world(models, small_image(), seed=3), track)
    for block in range(7):
        next(run)
        if block in (0, 3, 6):
            assert run.step_back()
            assert not run.step_back()
            kept = run.world
            assert (kept.block, run.done) == (block, block)
            rest, _ = make(models, kept, track.slice(kept.first_input))
            assert same(rest, whole[block:])
            next(run)
    assert same(list(run), whole[7:])


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_equals_its_members(name: str) -> None:
    models = small_models(name)
    images = [small_image(name=f"image{i}") for i in range(3)]
    tracks = [random_track(models.variant, rows_of_blocks(3), f"track{i}") for i in range(3)]
    alone = [make(models, start_world(models, image, seed=i), tracks[i]) for i, image in enumerate(images)]
    together = rollout(models, start_world(models, torch.stack(images), seed=(0, 1, 2)), tracks)
    for k, block in enumerate(together):
        for i in range(3):
            assert largest_difference(block.latents[i], alone[i][0][k].latents[0]) < 1e-4
            assert block.names[i] == alone[i][0][k].names[0]
    picked = select_world(together.world, 1)
    assert picked.names == alone[1][1].names
    stacked = stack_worlds([select_world(together.world, i) for i in (2, 0)])
    assert stacked.seeds == (2, 0)
    rows = [random_track(models.variant, 12, f"more{i}") for i in (2, 0)]
    after = next(rollout(models, stacked, rows))
    lone = next(rollout(models, alone[2][1], rows[0]))
    assert largest_difference(after.latents[0], lone.latents[0]) < 1e-4


def test_one_image_with_many_seeds() -> None:
    models = small_models()
    world = start_world(models, small_image(), seed=(1, 2))
    block = next(rollout(models, world, ActionTrack.idle(UNIVERSAL, 8)))
    assert not torch.equal(block.frames[0], block.frames[1])


def test_given_latents_fill_the_caches_as_the_rollout_did() -> None:
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(2))
    start = start_world(models, small_image(), seed=3)
    made, end = make(models, start, track)
    latents = torch.cat([block.latents for block in made], dim=2)
    filled = fill_from_latents(models, start_world(models, small_image(), seed=3), latents, [track])
    pairs = zip(end.caches, filled.caches, strict=True)
    assert all(torch.equal(a.video.k, b.video.k) and torch.equal(a.video.v, b.video.v) for a, b in pairs)
    assert all(torch.equal(a, b) for a, b in zip(end.decoder_state or (), filled.decoder_state or (), strict=True))


def test_continuing_footage() -> None:
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(2))
    world = start_world_from_clip(models, small_clip(21), track, seed=5)
    assert world.block == 2
    made, _ = make(models, world, random_track(UNIVERSAL, 12, "next"))
    assert made[0].index == 2
    assert made[0].frames.shape == (1, 12, 32, 48, 3)
    other = start_world_from_clip(models, small_clip(21), ActionTrack.idle(UNIVERSAL, 20), seed=5)
    assert not torch.equal(other.caches[1].video.k, world.caches[1].video.k)
    assert other.names != world.names


def small_clip(frames: int) -> Tensor:
    return torch.stack([small_image(name=f"clip{i}") for i in range(frames)], dim=1)


@pytest.mark.parametrize("frames", [1, 8, 10, 20])
def test_clips_of_other_lengths_are_refused(frames: int) -> None:
    models = small_models()
    with pytest.raises(ImageError, match="9 \\+ 12k"):
        start_world_from_clip(models, small_clip(frames), ActionTrack.idle(UNIVERSAL, 40))


def test_a_clip_needs_its_inputs() -> None:
    with pytest.raises(WorldError, match="20 input rows"):
        start_world_from_clip(small_models(), small_clip(21), ActionTrack.idle(UNIVERSAL, 19))


@pytest.fixture(scope="module")
def unedited() -> tuple[World, ActionTrack, list[Block]]:
    """A start, a track, and its four blocks."""
    track = random_track(UNIVERSAL, rows_of_blocks(4))
    start = start_world(small_models(), small_image(), seed=3)
    return start, track, make(small_models(), start, track)[0]


@pytest.mark.parametrize("t", [0, 1, 7, 8, 13, 19, 20, 31, 32, 43])  # both ends of every block, and some within
def test_an_edit_changes_its_block_and_no_earlier_one(unedited: tuple[World, ActionTrack, list[Block]], t: int) -> None:
    start, track, before = unedited
    keyboard = track.keyboard.copy()
    keyboard[t] = 1 - keyboard[t]
    after = make(small_models(), start, ActionTrack(UNIVERSAL, keyboard, track.mouse))[0]
    first = next(k for k in range(4) if not torch.equal(before[k].latents, after[k].latents))
    assert first == block_of_input(t)
    assert [a.names == b.names for a, b in zip(before, after, strict=True)] == [k < first for k in range(4)]


@pytest.mark.parametrize(("rows", "blocks", "repeated"), [(1, 1, 7), (8, 1, 0), (9, 1, 0), (10, 2, 10), (21, 2, 0)])
def test_short_tracks_repeat_their_last_row(rows: int, blocks: int, repeated: int) -> None:
    models = small_models()
    run = rollout(models, start_world(models, small_image()), ActionTrack.idle(UNIVERSAL, rows))
    assert (run.blocks, run.repeated) == (blocks, repeated)


def test_a_rollout_has_no_last_frame() -> None:
    """Far beyond latent frame 1024, where the published code ends, with the caches carried there."""
    models = small_models()
    _, world = make(models, start_world(models, small_image(), seed=2), random_track(UNIVERSAL, rows_of_blocks(12)))
    far = replace(world, block=120_000)
    made, _ = make(models, far, random_track(UNIVERSAL, 24))
    assert made[-1].index == 120_001
    assert torch.isfinite(made[-1].latents).all()


def test_shifting_time_changes_nothing() -> None:
    """Only relative positions count: the same caches and inputs 1,002 frames later give the same latents."""
    cpu = torch.device("cpu")
    models = small_models()
    _, world = make(models, start_world(models, small_image(), seed=2), random_track(UNIVERSAL, rows_of_blocks(12)))
    shift = 1_002  # a multiple of the window and of a block
    caches = [layer.copy() for layer in world.caches]
    for layer in caches:
        turn = video_table(shift, 1, 1, 1, 64, cpu)  # row and column 0 do not turn: time alone
        layer.video.k.copy_(rotate(layer.video.k, turn))
        if layer.mouse is not None and layer.keyboard is not None:
            table = action_table(shift, 1, cpu)
            layer.mouse.k.copy_(rotate(layer.mouse.k, table))
            layer.keyboard.k.copy_(rotate(layer.keyboard.k, table))
    noise = lambda seed, block, step, shape: torch.randn(shape, generator=torch.Generator().manual_seed(step))  # noqa: E731
    track = random_track(UNIVERSAL, 12)
    now = next(rollout(models, world, track, noise=noise))
    later = next(rollout(models, replace(world, caches=caches, block=world.block + shift // 3), track, noise=noise))
    assert largest_difference(now.latents, later.latents) < 1e-4


@pytest.mark.parametrize(
    ("make_error", "message"),
    [
        (lambda m, w: rollout(m, w, ActionTrack.idle(VARIANTS["templerun"], 8)), "templerun"),
        (lambda m, w: rollout(small_models("templerun"), w, ActionTrack.idle(UNIVERSAL, 8)), "templerun"),
        (lambda m, w: rollout(m, w, ActionTrack.idle(UNIVERSAL, 8), 0), "zero blocks"),
        (lambda m, w: rollout(m, w, [ActionTrack.idle(UNIVERSAL, 8)] * 2), "2 tracks"),
        (lambda m, w: start_world(Models(m.generator, m.vae), small_image()), "image tower"),
        (lambda m, w: start_world(m, small_image(33, 48)), "multiples of 16"),
        (lambda m, w: start_world(m, torch.full((3, 32, 48), torch.nan)), "not numbers"),
        (lambda m, w: start_world(m, torch.stack([small_image()] * 3), seed=(1, 2)), "2 seeds"),
        (lambda m, w: stack_worlds([w, start_world(m, small_image(48, 48))]), "size"),
        (lambda m, w: select_world(w, 1), "no world 1"),
    ],
)
def test_what_does_not_fit_is_said(make_error: object, message: str) -> None:
    models = small_models()
    world = start_world(models, small_image())
    with pytest.raises(MatrixGameError, match=message):
        make_error(models, world)  # type: ignore[operator]


def test_other_weights_are_refused() -> None:
    import copy

    models = small_models()
    world = start_world(models, small_image())
    other = Models(copy.deepcopy(models.generator), models.vae, vision=models.vision)
    other.generator.blocks[1].ffn["0"].weight.data.mul_(1.01)  # type: ignore[union-attr, index, operator]
    with pytest.raises(WorldError, match="other weights"):
        rollout(other, world, ActionTrack.idle(UNIVERSAL, 8))


def test_damaged_world_files(tmp_path: Path) -> None:
    models = small_models()
    path = save_world(start_world(models, small_image()), tmp_path / "w.safetensors")
    data = path.read_bytes()
    for name, content, message in (
        ("short", data[: len(data) // 2], "damaged"),
        ("empty", b"", "damaged"),
        ("text", b"hello" * 100, "damaged"),
    ):
        broken = tmp_path / name
        broken.write_bytes(content)
        with pytest.raises(WorldError, match=message):
            load_world(broken)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WorldError, match="not a world"):
        load_world(tmp_path / "other.safetensors")
    with pytest.raises(WorldError, match="no world file"):
        load_world(tmp_path / "none.safetensors")
    newer = data.replace(b'\\"version\\": 1', b'\\"version\\": 9')
    assert newer != data
    (tmp_path / "newer").write_bytes(newer)
    with pytest.raises(WorldError, match="another version"):
        load_world(tmp_path / "newer")


def test_frames_and_inputs_of_blocks() -> None:
    assert [frames_of_blocks(n) for n in range(4)] == [0, 9, 21, 33]
    assert [first_input_of_block(k) for k in range(4)] == [0, 8, 20, 32]
    for t in range(200):
        k = block_of_input(t)
        assert first_input_of_block(k) <= t < first_input_of_block(k + 1)
