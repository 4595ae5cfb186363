"""Another seed from a block on: that block and all after it are made anew, the ones before it and all other rollouts
keep their noise, names and keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.actions import MAX_SEED
from comfyui_matrixgame.actions.check_document import MAX_SEEDS
from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.actions.script.lexer import ScriptError
from comfyui_matrixgame.actions.script.printer import print_script
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack, row_of_seed, rows_of_blocks
from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.terminal.shared.inputs import with_seeds_at
from comfyui_matrixgame.variants import SAME_VIEW, UNIVERSAL, Tried, block_of_input
from comfyui_matrixgame.world import Models, World, load_world, rollout, save_world, stack_worlds, start_world
from comfyui_matrixgame.world.block.noise import named_noise
from comfyui_matrixgame.world.world import next_name

from ..cache.blocks import cached, edited, plain, same, without_snapshots
from ..support.networks import random_track, small_image, small_models
from .ways import trying

BLOCKS, K = 6, 3


@pytest.fixture(scope="module")
def track() -> ActionTrack:
    return random_track(UNIVERSAL, rows_of_blocks(BLOCKS))


def reroll(track: ActionTrack, *changes: tuple[int, int]) -> ActionTrack:
    return track.with_seeds((row_of_seed(block), seed) for block, seed in changes)


def test_the_noise_of_each_block_is_that_of_its_seed(models: Models, world: World, track: ActionTrack) -> None:
    asked = []

    def noise(seed: int, block: int, step: int, shape: tuple[int, ...]):
        asked.append((block, seed, step))
        return named_noise(seed, block, step, shape)

    run = rollout(models, world, reroll(track, (K, 7), (5, 2**40)), noise=noise)
    made = list(run)
    steps = range(len(UNIVERSAL.steps))
    assert asked == [(b, s, step) for b, s in enumerate((3, 3, 3, 7, 7, 2**40)) for step in steps]
    assert run.world.seeds == (2**40,)
    before, after = plain(models, world, track), plain(models, world, reroll(track, (0, 3), (K, 7), (5, 2**40)))
    assert same(made[:K], before[:K])
    assert not any(same([a], [b]) for a, b in zip(made[K:], before[K:], strict=True))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(made, after, strict=True)), "by whichever way"


def test_names_of_before_are_names_of_now(track: ActionTrack) -> None:
    """What was stored before is found again: without a change of the seed nothing else is hashed."""
    rows = ActionTrack.idle(UNIVERSAL, 12)
    assert next_name("name", rows) == "30e5a6adcc5a45ff4391807315c74daf10fe087680ab1e1c6f7ca6d92ccd8a2d"
    assert next_name("name", rows.with_seeds([(4, 7)])) != next_name("name", rows)
    assert next_name("name", rows.with_seeds([(4, 7)])) == next_name("name", rows.with_seeds([(0, 1), (9, 7)]))


def test_in_pieces_in_a_batch_and_from_a_file(models: Models, world: World, track: ActionTrack, tmp_path: Path) -> None:
    other = reroll(track, (1, 5), (K, 7))
    whole = plain(models, world, other)
    for stop in (2, K, 4):  # before the change, at it and behind it
        cut = rows_of_blocks(stop)
        first = rollout(models, world, other.slice(0, cut))
        blocks = list(first)
        saved = load_world(save_world(first.world, tmp_path / "w.safetensors"))
        assert saved.seeds == ((5,) if stop <= K else (7,))
        assert all(not tail.seeds for tail in (*(first.world.tail or ()), *(saved.tail or ())))
        assert same(whole, blocks + plain(models, saved, other.slice(cut)))
    together = stack_worlds([world, world])
    run = rollout(models, together, [track, other])
    assert [block.names for block in run] == [
        (a.names[0], b.names[0]) for a, b in zip(plain(models, world, track), whole, strict=True)
    ]
    assert run.world.seeds == (3, 7)


def test_a_cache_keeps_the_blocks_before(models: Models, world: World, track: ActionTrack, tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p")
    before, _ = cached(models, world, track, cache)
    other = reroll(track, (K, 7))
    blocks, run = cached(models, world, other, cache)
    assert (run.counts.made, run.counts.reused) == (BLOCKS - K, K)
    assert same(blocks, plain(models, world, other))
    assert run.world.seeds == (7,)
    again, run = cached(models, world, track, cache)
    assert (run.counts.made, run.counts.reused) == (0, BLOCKS)
    assert same(again, before)
    # on from latents alone: the state behind the change is made again, and goes on with its seed
    late = edited(other, 5).with_seeds(other.seeds)
    blocks, run = cached(models, world, late, without_snapshots(tmp_path, "p"))
    assert (run.counts.made, run.counts.reused) == (1, 5)
    assert same(blocks, plain(models, world, late))
    assert run.world.seeds == (7,)


def test_noise_that_was_made_ahead_is_of_the_right_seed(world: World, track: ActionTrack) -> None:
    """Where the next block waits for this one's latents, or for its inputs, its noise alone is there before."""
    other = reroll(track, (K, 7)).slice(0, rows_of_blocks(4))
    waits = trying(Tried(window=9, keeps=SAME_VIEW))
    start = start_world(waits, small_image(16, 16), seed=3)
    alone = rollout(waits, rollout_of(waits, start, other.slice(0, rows_of_blocks(K))), other.slice(rows_of_blocks(K)))
    assert same([next(alone)], plain(waits, start, other)[K:])
    models = small_models(tiny=True)
    parts = [other.slice(rows_of_blocks(k), rows_of_blocks(k + 1)) for k in range(4)]
    run = rollout(models, world, parts[0], 1, open_ended=True)
    blocks = [next(run)]
    for part in parts[1:]:
        run.extend(part)
        blocks.append(next(run))
    assert same(blocks, plain(models, world, other))
    run.step_back()
    run.extend(parts[3].with_seeds([(0, 8)]))
    assert run.world.seeds == (3,)


def rollout_of(models: Models, world: World, track: ActionTrack) -> World:
    run = rollout(models, world, track)
    list(run)
    return run.world


def test_scripts_and_timelines_say_it() -> None:
    script = parse_script("w 2b; seed 7\nd 1b; seed 8 at 1b; repeat 2 { seed 9; w 6 }")
    assert script.track.seeds == ((12, 8), (24, 7), (36, 9), (42, 9))
    assert [block_of_input(row) for row, _ in script.track.seeds] == [1, 2, 3, 3]
    assert read_text(print_script(script.document)).track.seeds == script.track.seeds
    assert Timeline.from_text(script.document.to_text()).track() == script.document.track()
    assert "seeds" not in parse_script("w 2b").document.to_json()
    for text, column in (("seed", 5), ("seed x", 6), ("seed 1.5", 6), (f"seed {MAX_SEED + 1}", 6), ("seed 7 w", 8)):
        with pytest.raises(ScriptError) as error:
            parse_script(text + "\nw 1b")
        assert error.value.column == column, text
    with pytest.raises(ScriptError, match="'at' cannot be used inside repeat"):
        parse_script("repeat 2 { seed 7 at 1b; w }")
    with pytest.raises(ScriptError, match=f"more than {MAX_SEEDS} times"):
        parse_script(f"repeat {MAX_SEEDS + 1} {{ seed 7; w 1 }}")
    late = parse_script("w 2b; seed 7")
    assert [w.code for w in late.warnings] == ["seed-unused"]
    assert late.track.seeds == ()


def test_a_branch_has_its_own() -> None:
    data = parse_script("w 2b").document.to_json()
    own = {"id": "b", "name": "b", "fork": 12, "tracks": {}, "seeds": [[12, 7]]}
    none = {"id": "n", "name": "n", "fork": 12, "tracks": {}, "seeds": []}
    shared = {"id": "s", "name": "s", "fork": 12, "tracks": {}}
    timeline = Timeline.from_json({**data, "seeds": [[0, 1]], "branches": [own, none, shared], "source": None})
    of_branches = {name: timeline.with_branch(name).track().seeds for name in ("main", "b", "n", "s")}
    assert of_branches == {"main": ((0, 1),), "b": ((12, 7),), "n": (), "s": ((0, 1),)}
    assert timeline.to_json()["seeds"] == [[0, 1]]
    source = {"kind": "script", "text": "w 2b; seed 7 at 1b"}
    with pytest.raises(ActionError, match="seeds are not those of the script"):
        read_text(Timeline.from_json({**data, "source": source}).to_text())
    assert read_text(Timeline.from_json({**data, "source": source, "seeds": [[12, 7]]}).to_text()).track.seeds


def test_the_terminal_says_it_by_block(track: ActionTrack) -> None:
    short = track.slice(0, 20).with_seeds([(12, 1)])
    assert with_seeds_at(short, [(1, 4), (4, 7)], 5).seeds == ((12, 4), (48, 7))
    assert with_seeds_at(short, [], 5) is short
    with pytest.raises(ActionError, match="--seed-at 5:7: this render has blocks 0 to 4"):
        with_seeds_at(short, [(5, 7)], 5)
    with pytest.raises(ActionError, match="--seed-at names block 1 twice"):
        with_seeds_at(short, [(1, 7), (1, 8)], 5)


def test_parts_of_a_track_have_their_part() -> None:
    track = ActionTrack.idle(UNIVERSAL, 24).with_seeds([(0, 1), (12, 2), (20, 3)])
    assert [track.slice(a, b).seeds for a, b in ((0, 12), (1, 12), (12, 24), (13, None))] == [
        ((0, 1),), (), ((0, 2), (8, 3)), ((7, 3),)
    ]  # fmt: skip
    assert track.slice(0, 12).concat(track.slice(12)) == track
    assert track.padded(30).seeds == track.seeds
    assert track != track.with_seeds([(0, 1)])
    for wrong in ([(24, 1)], [(-1, 1)], [(3, 1), (3, 2)], [(0, -1)], [(0, 2**53)]):
        with pytest.raises(ActionError):
            track.with_seeds(wrong)
