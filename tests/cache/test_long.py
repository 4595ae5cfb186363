"""Long rollouts: memory is flat, and a kill costs only the block in progress; the file is that of a quiet run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.cache import cached_video as film_module
from comfyui_matrixgame.cache.cached_video import CachedVideo
from comfyui_matrixgame.cache.projects import FILM, FRAMES, LATENTS, list_projects
from comfyui_matrixgame.media.video import part_of, playable_frames, read_video
from comfyui_matrixgame.variants import UNIVERSAL, frames_of_blocks
from comfyui_matrixgame.world import rollout, start_world

from ..support.networks import random_track, small_image, small_models

ROOT = Path(__file__).resolve().parents[2]
LONG = int(os.environ.get("CACHE_LONG_BLOCKS", "52"))  # 2,500 were run once, see bench/results
MINUTE = min(125, LONG // 2)  # blocks
DISK = 0.6 + LONG / 125  # megabytes: the unfinished film, which is large for small frames, and some blocks


def rolled(folder: Path, blocks: int, disk_megabytes: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.cache.film", str(folder), str(blocks), str(disk_megabytes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if (yield line.strip()) == "kill":
                process.send_signal(signal.SIGKILL)
                yield ""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_memory_is_flat_and_a_kill_costs_one_block(tmp_path: Path) -> None:
    """The disk's limit holds a part of the blocks only, so the early ones are gone when the run is killed."""
    memory: dict[int, int] = {}
    killed_at = LONG * 2 // 3 // 25 * 25 + 24
    run = rolled(tmp_path, LONG, DISK)
    for line in run:
        if line.startswith("block"):
            memory[int(line.split()[1])] = int(line.split()[3])
            if int(line.split()[1]) == killed_at:
                run.send("kill")
    after_a_minute = max(size for block, size in memory.items() if block < MINUTE)
    print(f"{after_a_minute / 1e6:.1f} MB in the first {MINUTE} blocks, {max(memory.values()) / 1e6:.1f} MB in all")
    film = next((tmp_path / "p").glob("*.unfinished.mp4"))
    plays = playable_frames(film)
    assert plays >= frames_of_blocks(killed_at) - 1
    lines = list(rolled(tmp_path, LONG, DISK))
    began, made = int(lines[0].split()[1]), int(lines[-1].split()[1])
    assert frames_of_blocks(began) <= plays < frames_of_blocks(began + film_module.SEGMENT)
    assert made <= LONG - killed_at - 1
    frames = sum(1 for _ in read_video(next((tmp_path / "p").glob("*.mp4"))))
    assert frames == frames_of_blocks(LONG)
    assert sum(path.stat().st_size for path in (tmp_path / "p").iterdir()) < 1.1e6 * DISK
    assert max(memory.values()) < 1.05 * after_a_minute


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_module, "SEGMENT", 2)


@pytest.mark.usefixtures("short_segments")
def test_a_resumed_film_is_the_undisturbed_one(tmp_path: Path) -> None:
    """Stopped in its third segment, with the file cut short as a kill would, and without the early blocks."""
    models = small_models(tiny=True)
    world = start_world(models, small_image(32, 48), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(7))

    def roll(folder: Path, stop: int | None = None) -> tuple[CachedRollout, CachedVideo]:
        cache = BlockCache(folder, "p")
        with CachedRollout(models, world, track, None, cache) as run, CachedVideo(cache, run.block_keys) as film:
            run.skip_to(film.first)
            for block in run:
                if block.index == stop:
                    return run, film
                film.write(block.index, block.frames[0])
            film.finish_video()
        return run, film

    _, quiet = roll(tmp_path / "quiet")
    run, _ = roll(tmp_path / "killed", stop=5)
    partial = next((tmp_path / "killed" / "p").glob("*.unfinished.mp4"))
    assert playable_frames(partial) >= frames_of_blocks(5) - 1
    partial.write_bytes(partial.read_bytes()[:-10])
    cache = BlockCache(tmp_path / "killed", "p")
    for block in range(3):
        cache.drop(LATENTS, run.block_keys.latents_key(block))
        cache.drop(FRAMES, run.block_keys.frames_key(block))
    again, film = roll(tmp_path / "killed")
    assert (again.counts.made, again.counts.reused) == (1, 6)
    ours, theirs = (np.stack(list(read_video(found.path))) for found in (film, quiet))
    assert len(ours) == frames_of_blocks(7)
    np.testing.assert_array_equal(ours, theirs)
    assert [path.name for path in cache.folder.glob("*unfinished*")] == []
    run, film = roll(tmp_path / "killed")
    assert (run.counts.made, run.counts.reused, film.finished) == (0, 7, True)


@pytest.mark.usefixtures("short_segments")
def test_two_processes_may_write_one_video(tmp_path: Path) -> None:
    models = small_models(tiny=True)
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(3))
    cache = BlockCache(tmp_path, "p")
    with CachedRollout(models, world, track, None, cache) as run:
        blocks = list(run)
    with CachedVideo(cache, run.block_keys) as one, CachedVideo(cache, run.block_keys) as other:
        for block in blocks:
            one.write(block.index, block.frames[0])
            other.write(block.index, block.frames[0])
        assert one.finish_video() == other.finish_video()
        assert sum(1 for _ in read_video(one.path)) == frames_of_blocks(3)
    kinds = {path.name.partition(".")[2] for path in cache.folder.iterdir()}
    assert FILM in kinds
    assert not [path for path in cache.folder.iterdir() if "unfinished" in path.name or path.suffix == ".part"]


def test_a_film_that_is_being_written_outlives_forget(tmp_path: Path) -> None:
    models = small_models(tiny=True)
    world = start_world(models, small_image(16, 16), seed=3)
    cache = BlockCache(tmp_path, "p")
    track = random_track(UNIVERSAL, rows_of_blocks(3))
    with CachedRollout(models, world, track, None, cache) as run, CachedVideo(cache, run.block_keys) as film:
        for block in run:
            film.write(block.index, block.frames[0])
            cache.forget()
        assert list_projects(tmp_path) == ["p"]
        assert sum(1 for _ in read_video(film.finish_video())) == frames_of_blocks(3)
    cache.forget()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("short_segments")
def test_a_kill_while_frames_are_taken_over_loses_none(tmp_path: Path) -> None:
    models = small_models(tiny=True)
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(5))
    cache = BlockCache(tmp_path, "p")
    with CachedRollout(models, world, track, None, cache) as run, CachedVideo(cache, run.block_keys) as film:
        for block in run:
            film.write(block.index, block.frames[0])
    partial = next(cache.folder.glob("*.unfinished.mp4"))
    partial.rename(part_of(partial))
    partial.write_bytes(b"the beginning of a new file")
    BlockCache(tmp_path, "p")
    with CachedVideo(cache, run.block_keys) as film:
        assert film.first == 4


@pytest.mark.parametrize("halves_first", [False, True])
def test_rollouts_that_end_alike_and_begin_elsewhere_have_films_of_their_own(
    halves_first: bool, tmp_path: Path
) -> None:
    """Four blocks at once, and the same four as two and two."""
    models = small_models(tiny=True)
    start = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(4))
    half = rollout(models, start, track.slice(0, rows_of_blocks(2)))
    list(half)
    cache = BlockCache(tmp_path, "p")
    whole, rest = (start, track, 45), (half.world, track.slice(rows_of_blocks(2)), 24)
    for world, rows, frames in (rest, whole) if halves_first else (whole, rest):
        with CachedRollout(models, world, rows, None, cache) as run, CachedVideo(cache, run.block_keys) as film:
            run.skip_to(film.first)
            for block in run:
                film.write(block.index, block.frames[0])
            assert sum(1 for _ in read_video(film.finish_video())) == frames
