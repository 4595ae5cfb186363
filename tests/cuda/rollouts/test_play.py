"""Live play on a device: what is shown is what a rollout makes, also after going back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.play.early_frames import Frames
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.world import rollout
from comfyui_matrixgame.world.change import change_world, plan_change

from ...play.stored import play, rows, whole
from ...pretend_gpu import Machine
from ..networks import CUDA, begin, on_both, small_on


def fresh(device: torch.device, letters: str) -> np.ndarray:
    models = small_on(device, tiny=True)
    return np.concatenate([block.frames[0].numpy() for block in rollout(models, begin(models), whole(letters))])


def session(device: torch.device, cache: BlockCache | None = None) -> tuple[PlayedWorld, list[Frames]]:
    """Three blocks, one back, and two others."""
    models = small_on(device, tiny=True)
    played = PlayedWorld(models, begin(models).to("cpu"), cache=cache, keep_frames=True)
    shown = play(played, "wsa")
    played.go_to(1)
    return played, shown[: 1 + 2] + play(played, "dw")


@pytest.mark.parametrize("cached", [False, True])
def test_going_back(two_gpus: Machine, tmp_path: Path, cached: bool) -> None:
    def work(device: torch.device) -> np.ndarray:
        cache = BlockCache(tmp_path / str(device.index), "played") if cached else None
        played, shown = session(device, cache)
        frames = np.concatenate(list(played.frames()))
        assert np.array_equal(np.concatenate(shown), frames)
        played.close()
        return frames

    first, second = on_both(work)
    assert np.array_equal(first, second)
    assert np.array_equal(first, fresh(CUDA[0], "wdw"))


def test_worlds_on_the_way_that_were_let_go_are_made_again(gpus: Machine) -> None:
    models = small_on(CUDA[0], tiny=True)
    played = PlayedWorld(models, begin(models).to("cpu"), keep_frames=True, world_bytes=0)
    play(played, "wsad")
    played.go_to(2)
    play(played, "dw")
    frames = np.concatenate(list(played.frames()))
    assert played.counts.replayed
    played.close()
    assert np.array_equal(frames, fresh(CUDA[0], "wsdw"))


@pytest.mark.parametrize("device", CUDA, ids=str)
def test_a_session_continues_from_a_changed_picture_and_makes_it_again(two_gpus: Machine, device: torch.device) -> None:
    models = small_on(device, tiny=True)
    start = begin(models)
    played = PlayedWorld(models, start.to("cpu"), world_bytes=0, see=lambda _: start.features + 1)
    play(played, "w")
    picture = played.still() // 2
    assert played.change(picture, 1.0, "changed")
    assert played.world.image.device == device
    first = play(played, "sa")
    played.go_to(2)
    assert np.array_equal(np.concatenate(play(played, "a")), np.concatenate(first[3:]))
    assert played.counts.replayed
    played.close()
    run = rollout(models, start, whole("w"))
    list(run)
    world = change_world(models, plan_change(models, run.world, torch.from_numpy(picture)[None]), start.features + 1)
    wanted = [block.frames[0].numpy() for block in rollout(models, world, rows(1, "s").concat(rows(2, "a")))]
    assert np.array_equal(np.concatenate(first), np.concatenate(wanted))
