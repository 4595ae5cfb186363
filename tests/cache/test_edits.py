"""Edits, undos, branches, restarts: only what an edit can reach is made again, and always what a fresh render makes."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.cache.projects import CONDITION, PINNED, SNAPSHOT
from comfyui_matrixgame.cache.rollout.progress import DECODED, MADE, MAKING, REUSED
from comfyui_matrixgame.cache.rollout.records import SPARE_EVERY
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.variants import UNIVERSAL, first_input_of_block
from comfyui_matrixgame.world import Block, Models, World, rollout, start_world

from ..support.networks import random_track, small_image, small_models
from .blocks import cached, edited, plain, same, without_snapshots

OPERATIONS = int(os.environ.get("CACHE_OPERATIONS", "24"))  # 200 were run once, see bench/results
BLOCKS = 6


def test_an_edit_makes_the_blocks_behind_it(models: Models, world: World, tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    cache = BlockCache(tmp_path, "p")
    _, run = cached(models, world, track, cache)
    assert (run.counts.made, run.counts.reused) == (BLOCKS, 0)
    for k in (1, 3, 5):
        other = edited(track, k, column=k % 4)
        passes: list[int] = []
        blocks, run = cached(models, world, other, cache, on_pass=lambda at, seen=passes: seen.append(at.step))
        assert (run.counts.made, run.counts.reused) == (BLOCKS - k, k)
        full_passes = (BLOCKS - k) * (len(UNIVERSAL.steps) + 1)
        assert full_passes <= len(passes) <= full_passes + 2 * (SPARE_EVERY - 1)
        assert same(blocks, plain(models, world, other))


def test_an_undo_makes_nothing(models: Models, world: World, tmp_path: Path) -> None:
    """No pass, no decoding, not even the models are woken; the frames are there."""
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    cache = BlockCache(tmp_path, "p")
    before, _ = cached(models, world, track, cache)
    cached(models, world, edited(track, 3), cache)
    told: list[tuple[int, str]] = []
    work: list[object] = []
    again, run = cached(
        models, world, track, BlockCache(tmp_path, "p"),
        on_pass=work.append, wake=lambda: work.append("woken"), on_block=lambda *what: told.append(what),
    )  # fmt: skip
    assert (run.counts.made, run.counts.decoded, run.counts.replayed, work) == (0, 0, 0, [])
    assert told == [(k, REUSED) for k in range(BLOCKS)]
    assert same(again, before)


def test_what_becomes_of_each_block_is_told(models: Models, world: World, tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(3))
    cache = BlockCache(tmp_path, "p", memory_bytes=0)
    cached(models, world, track.slice(0, rows_of_blocks(2)), cache)
    with CachedRollout(models, world, track, None, cache) as run:
        assert [run.stored(k) for k in range(3)] == [True, True, False]
        assert [run.resumable(k) for k in range(4)] == [True, False, True, False]
        cache.drop("frames", run.block_keys.frames_key(0))
    told: list[tuple[int, str]] = []
    woken: list[bool] = []
    cached(models, world, track, cache, on_block=lambda *what: told.append(what), wake=lambda: woken.append(True))
    assert told == [(0, DECODED), (1, REUSED), (2, MAKING), (2, MADE)]
    assert woken == [True]


def test_a_longer_rollout_reuses_the_shorter(models: Models, world: World, tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(4))
    cache = BlockCache(tmp_path, "p")
    cached(models, world, track.slice(0, rows_of_blocks(3)), cache)
    _, run = cached(models, world, track, cache)
    assert (run.counts.made, run.counts.reused, run.counts.replayed) == (1, 3, 0)


def test_other_seeds_and_pictures_share_nothing(models: Models, tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p")
    track = random_track(UNIVERSAL, rows_of_blocks(1))
    for image, seed in (("image", 1), ("image", 2), ("other", 1)):
        start = start_world(models, small_image(16, 16, image), seed=seed)
        _, run = cached(models, start, track, cache)
        assert run.counts.made == 1


def test_stopping_keeps_what_was_made(models: Models, world: World, tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(4))

    class Stop(Exception):
        pass

    def stop(progress: object) -> None:
        if (progress.done, progress.step) == (2, 2):  # type: ignore[attr-defined]
            raise Stop

    cache = BlockCache(tmp_path, "p")
    with pytest.raises(Stop):
        cached(models, world, track, cache, on_pass=stop)
    blocks, run = cached(models, world, track, BlockCache(tmp_path, "p"))
    assert (run.counts.made, run.counts.reused, run.counts.replayed) == (2, 2, 0)
    assert same(blocks, plain(models, world, track))


def test_pinned_states_are_kept(models: Models, world: World, tmp_path: Path) -> None:
    """Before a pinned block the state is stored, whether the block before it was made or reused."""
    track = random_track(UNIVERSAL, rows_of_blocks(5))
    cache = BlockCache(tmp_path, "p", memory_bytes=0)
    cached(models, world, track, cache, pins=[2])
    cached(models, world, track, cache, pins=[4, 9])
    assert [file.kind for file in cache.files()].count(PINNED) == 2
    _, run = cached(models, world, edited(track, 4), without_snapshots(tmp_path, "p"))
    assert (run.counts.made, run.counts.replayed) == (1, 0)


def test_a_pin_in_what_is_passed_over_is_kept(models: Models, world: World, tmp_path: Path) -> None:
    """As when the film of a rollout exists already, and a marker is pinned afterwards."""
    track = random_track(UNIVERSAL, rows_of_blocks(5))
    cached(models, world, track, BlockCache(tmp_path, "p", memory_bytes=0))
    cache = BlockCache(tmp_path, "p", memory_bytes=0)
    with CachedRollout(models, world, track, None, cache, pins=[2, 4]) as run:
        run.skip_to(5)
        assert list(run) == []
    assert (run.counts.made, run.counts.reused) == (0, 5)
    assert [file.kind for file in cache.files()].count(PINNED) == 2
    blocks, again = cached(models, world, edited(track, 4), without_snapshots(tmp_path, "p"))
    assert (again.counts.made, again.counts.replayed) == (1, 0)
    assert same(blocks, plain(models, world, edited(track, 4)))


def test_a_fork_is_kept(models: Models, world: World, tmp_path: Path) -> None:
    """Where an edit was, the next one often is: its state is stored, so that it needs no replay."""
    track = random_track(UNIVERSAL, rows_of_blocks(5))
    cached(models, world, track, BlockCache(tmp_path, "p", memory_bytes=0))
    cache = BlockCache(tmp_path, "p", memory_bytes=0)
    _, run = cached(models, world, edited(track, 3), cache)
    assert run.counts.replayed == 3
    _, run = cached(models, world, edited(track, 3, column=1), cache)
    assert (run.counts.made, run.counts.replayed) == (2, 0)


def test_the_newest_state_outlives_the_process(models: Models, world: World, tmp_path: Path) -> None:
    """Also where it is in memory as a state on the way; and the condition, so that nothing is encoded again."""
    track = random_track(UNIVERSAL, rows_of_blocks(SPARE_EVERY + 1))
    cached(models, world, track.slice(0, rows_of_blocks(SPARE_EVERY)), BlockCache(tmp_path, "p", memory_bytes=1e9))
    restarted = BlockCache(tmp_path, "p")
    kinds = {file.kind for file in restarted.files()}
    assert {SNAPSHOT, CONDITION} <= kinds
    _, run = cached(models, world, track, restarted)
    assert (run.counts.made, run.counts.replayed) == (1, 0)


def test_a_cache_takes_one_world_at_a_time(models: Models, tmp_path: Path) -> None:
    worlds = start_world(models, small_image(16, 16), seed=(1, 2))
    with pytest.raises(WorldError, match="one world at a time"):
        CachedRollout(models, worlds, ActionTrack.idle(UNIVERSAL, 8), None, BlockCache(tmp_path, "p"))
    single = start_world(models, small_image(16, 16))
    with pytest.raises(WorldError, match="zero blocks"):
        CachedRollout(models, single, ActionTrack.idle(UNIVERSAL, 8), 0, BlockCache(tmp_path, "p"))


class Fresh:
    """Blocks as rollouts without a cache make them; each prefix is rendered once."""

    def __init__(self) -> None:
        self.models = small_models(tiny=True)
        self.start = start_world(self.models, small_image(16, 16), seed=3)
        self._known: dict[str, tuple[Block, World]] = {}

    def blocks(self, track: ActionTrack) -> list[Block]:
        blocks, world, name = [], self.start, ""
        for k in range(BLOCKS):
            rows = track.slice(first_input_of_block(k), first_input_of_block(k + 1))
            name += rows.keyboard.tobytes().hex()
            if name not in self._known:
                run = rollout(self.models, world, rows)
                self._known[name] = next(run), run.world
            block, world = self._known[name]
            blocks.append(block)
        return blocks


FRESH: list[Fresh] = []


class Editing(RuleBasedStateMachine):
    """A person at a timeline, and machines that lose power, memory and files."""

    def __init__(self) -> None:
        super().__init__()
        if not FRESH:
            FRESH.append(Fresh())
        self.fresh = FRESH[0]
        self.folder = Path(tempfile.mkdtemp(prefix="cache_"))
        self.cache = BlockCache(self.folder, "p")
        self.seen: set[str] = set()
        self.damaged = False

    @initialize()
    def first_render(self) -> None:
        track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
        self.track = ActionTrack(UNIVERSAL, track.keyboard, None)
        self.past: list[ActionTrack] = []
        self.branches = [self.track]

    @rule(row=st.integers(0, rows_of_blocks(BLOCKS) - 1), key=st.integers(0, 3))
    def edit(self, row: int, key: int) -> None:
        self.past.append(self.track)
        keyboard = self.track.keyboard.copy()
        keyboard[row, key] = 1 - keyboard[row, key]
        self.track = ActionTrack(UNIVERSAL, keyboard, None)

    @precondition(lambda self: self.past)
    @rule()
    def undo(self) -> None:
        self.track = self.past.pop()

    @rule()
    def fork(self) -> None:
        self.branches.append(self.track)

    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        self.past.append(self.track)
        self.track = data.draw(st.sampled_from(self.branches))

    @rule(memory=st.sampled_from([0, 50_000, 5_000_000]), snapshots=st.booleans())
    def restart(self, memory: int, snapshots: bool) -> None:
        self.cache = BlockCache(self.folder, "p", memory)
        for file in self.cache.files():
            if file.kind == SNAPSHOT and not snapshots:
                file.path.unlink()

    @rule(seed=st.integers(0, 1_000))
    def lose_or_damage_a_file(self, seed: int) -> None:
        files = self.cache.files()
        if files:
            chance = random.Random(seed)
            path = chance.choice(sorted(file.path for file in files))
            data = bytearray(path.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data) if chance.random() < 0.5 else path.unlink()
            self.damaged = True

    @invariant()
    def always_a_fresh_full_render(self) -> None:
        if not hasattr(self, "track"):
            return
        blocks, run = cached(self.fresh.models, self.fresh.start, self.track, self.cache)
        assert same(blocks, self.fresh.blocks(self.track))
        names = {block.names[0] for block in blocks}
        assert run.counts.made >= len(names - self.seen)
        if not self.damaged:
            assert run.counts.made == len(names - self.seen)
        self.seen |= names

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


STEPS = 12
Editing.TestCase.settings = settings(
    max_examples=max(1, OPERATIONS // STEPS),
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestEditing = Editing.TestCase
