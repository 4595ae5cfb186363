"""Played blocks and the World Cache: each knows what the other made, and the files of a session go with it."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.cache import BlockCache, CachedRollout
from comfyui_matrixgame.errors import Interrupted, WorldError
from comfyui_matrixgame.play.played_blocks import PlayedBlocks
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.world import rollout, start_world

from ..support.networks import small_image, small_models
from .stored import play, rows, whole


def played_world(cache: BlockCache | None = None, tiny: bool = False) -> PlayedWorld:
    models = small_models(tiny=tiny)
    return PlayedWorld(models, start_world(models, small_image(16, 32), seed=5), cache=cache, keep_frames=True)


def fresh(letters: str, tiny: bool = False) -> np.ndarray:
    return np.concatenate(play(played_world(tiny=tiny), letters))


def test_what_was_played_is_in_the_cache_and_what_is_in_it_is_not_made(tmp_path: Path) -> None:
    for letters, counts in (("wsad", "4 blocks made, 0 reused"), ("wsdw", "2 blocks made, 2 reused")):
        played = played_world(BlockCache(tmp_path, "played", memory_bytes=0))
        shown = play(played, letters)
        models, start, names = played.models, played.start, played.world.names
        played.close()
        assert str(played.counts) == counts
        assert [len(frames) for frames in shown] == [1, *[4] * 11]
        assert np.array_equal(np.concatenate(shown), fresh(letters))
    with CachedRollout(models, start, whole("wsdw"), None, BlockCache(tmp_path, "played")) as run:
        frames = np.concatenate([block.frames[0].numpy() for block in run])
        assert run.world.names == names
    assert str(run.counts) == "0 blocks made, 4 reused"  # and nothing replayed: where the session ended is stored
    assert np.array_equal(frames, np.concatenate(shown))


@pytest.mark.parametrize(
    ("tiny", "letters", "counts"),
    [(False, "wws", "1 block made, 2 reused"), (True, "wwa", "1 block made, 0 reused, 2 only decoded")],
)
def test_a_rollout_is_played_on_also_with_another_decoder(
    tmp_path: Path, tiny: bool, letters: str, counts: str
) -> None:
    models = small_models()
    cache = BlockCache(tmp_path, "rolled")
    list(CachedRollout(models, start_world(models, small_image(16, 32), seed=5), whole("ww"), None, cache))
    played = played_world(BlockCache(tmp_path, "rolled"), tiny)
    assert np.array_equal(np.concatenate(play(played, letters)), fresh(letters, tiny))
    assert str(played.counts) == counts


def test_going_back_over_stored_blocks_and_a_pass_that_is_cancelled(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "back")
    for _ in range(2):  # the second time all of it is known
        played = played_world(cache)
        play(played, "wsa")
        played.go_to(1)
        play(played, "dd")
        with pytest.raises(Interrupted):
            played.make(rows(3, "w"), lambda *_: None, cancel)
        assert np.array_equal(np.concatenate(list(played.frames())), fresh("wdd"))
        expected = list(rollout(played.models, played.start, whole("wdd")))[-1]
        assert played.world.names == expected.names
        played.close()
    assert played.counts.made == 0
    assert played.counts.reused == 5


def cancel() -> None:
    raise Interrupted("stop")


def test_the_files_of_a_session_go_with_it_and_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    blocks = PlayedBlocks(tmp_path)
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    latents = played_world().start.image
    blocks.add(latents, frames)
    blocks.add(latents, frames + 1)
    blocks.keep_first(1)
    assert len(blocks) == 1
    assert np.array_equal(blocks.frames(0), frames)
    assert len(list(tmp_path.glob("*/*.npy"))) == 2
    blocks.close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(WorldError, match="free some space"):
        blocks.add(latents, frames)
    with pytest.raises(WorldError, match="free some space"):
        PlayedBlocks(tmp_path / "missing")


PLAYS = """
import sys, numpy, torch
from pathlib import Path
from comfyui_matrixgame.play.played_blocks import PlayedBlocks
blocks = PlayedBlocks(Path(sys.argv[1]))
blocks.add(torch.zeros(1), numpy.zeros((1, 2, 2, 3), numpy.uint8))
print("plays", flush=True)
sys.stdin.read()
"""


def test_the_files_of_a_session_that_was_killed_go_with_the_next(tmp_path: Path) -> None:
    """And those of one that lives stay."""
    command = [sys.executable, "-c", PLAYS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "plays\n"
        (left,) = tmp_path.iterdir()
        assert stat.S_IMODE(left.stat().st_mode) & 0o077 == 0  # nobody else's to look at
        PlayedBlocks(tmp_path).close()
        assert list(tmp_path.iterdir()) == [left]
        process.kill()
        process.wait()
        assert list(tmp_path.iterdir()) == [left]
        blocks = PlayedBlocks(tmp_path)
        assert not left.exists()
        blocks.close()
    assert not list(tmp_path.iterdir())
