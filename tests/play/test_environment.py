"""A world as a Gymnasium environment: its own checker passes, and what is seen follows from what is held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import CheckpointError, MatrixGameError
from comfyui_matrixgame.play.pattern import CELL, TestPattern
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.terminal.main import parser
from comfyui_matrixgame.terminal.play import world_starter
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL, Variant
from comfyui_matrixgame.world import rollout

from .paintable import Paintable
from .served import numbers

gymnasium = pytest.importorskip("gymnasium", reason="Gymnasium is not installed: pip install gymnasium")

NAME = "comfyui_matrixgame.play.programs.environment:MatrixGame/World-v0"
W = {"keys": np.array([1, 0, 0, 0], np.int8), "camera": np.zeros(2, np.float32)}
STILL = {"keys": np.zeros(4, np.int8), "camera": np.zeros(2, np.float32)}


def pattern(variant: Variant = UNIVERSAL) -> Any:
    return lambda picture, seed: TestPattern(variant, size=(32, 64), seed=seed)


def made(**options: Any) -> Any:
    return gymnasium.make(NAME, **{"start": pattern(), **options}).unwrapped


@pytest.mark.parametrize("variant", [UNIVERSAL, GTA_DRIVE, TEMPLERUN])
@pytest.mark.parametrize("step", ["block", "frame"])
def test_the_checker_of_gymnasium_passes(variant: Variant, step: str) -> None:
    from gymnasium.utils.env_checker import check_env

    env = made(start=pattern(variant), step=step, render_mode="rgb_array")
    check_env(env)
    env.close()


def test_the_picture_is_changed_between_two_blocks() -> None:
    world = Paintable()
    env = made(start=lambda *_: world)
    env.reset(seed=3)
    seen, *_ = env.step(W)
    assert np.array_equal(env.change(seen // 2, strength=0.5), seen // 2)
    assert world.asked == [(0.5, "changed")]
    left = np.arange(seen.shape[1]) < 9
    mask = np.broadcast_to(left, seen.shape[:2])
    half = np.where(left[:, None], 255 - seen, seen // 2)
    assert np.array_equal(env.change(255 - seen, mask=mask), half)
    assert env.step(W)[4]["frame"] == 20
    with pytest.raises(MatrixGameError, match="shape"):
        env.change(seen[:8])
    with pytest.raises(MatrixGameError, match="no image tower here"):
        made(start=lambda *_: Paintable(sees=("start",))).change(seen, seen="changed")
    with pytest.raises(MatrixGameError, match="test picture"):
        made().change(seen)
    with pytest.raises(MatrixGameError, match='step="block"'):
        made(step="frame").change(seen)


def test_an_episode_of_the_demo_world_is_a_rollout_of_its_seed() -> None:
    from gymnasium.utils.env_checker import check_env

    try:
        start = world_starter(parser().parse_args(["play"]))
        env = made(start=start, render_mode="rgb_array")
    except CheckpointError as error:
        pytest.skip(str(error))
    check_env(env, skip_render_check=True)  # it makes an environment for each mode, which the test pattern's does
    seen, info = env.reset(seed=3)
    assert (info["seed"], info["block"], info["frame"]) == (3, 0, -1)
    assert np.array_equal(seen, env.render())
    played = env._played
    assert isinstance(played, PlayedWorld)
    world, models, frames = played.start, played.models, []
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(2)]
    for action in actions:
        seen, _, _, _, info = env.step(action)
        frames.append(info["frames"])
        assert np.array_equal(seen, info["frames"][-1])
    rows = [env._row(actions[0])] * 8 + [env._row(actions[1])] * 12
    track = ActionTrack.from_rows(models.variant, rows)
    again = [block.frames[0].numpy() for block in rollout(models, world, track)]
    assert np.array_equal(np.concatenate(frames), np.concatenate(again))
    env.close()


def test_a_frame_a_step_is_eleven_frames_late() -> None:
    env = made(step="frame")
    start, _ = env.reset(seed=0)
    seen, infos = [], []
    for step in range(1, 60):
        frame, _, _, _, info = env.step(W if step == 20 else STILL)
        seen.append(frame)
        infos.append(info["frame"])
    assert env.lag == 11
    assert infos == [-1] * 10 + list(range(59 - 10))
    assert all(np.array_equal(frame, start) for frame in seen[:10])
    assert numbers(np.stack(seen[10:])) == [frame % 16 for frame in range(49)]  # it has four lamps
    lit = [frame[-CELL // 2, CELL // 2, 0] > 128 for frame in seen]
    assert lit.index(True) + 1 == 20 + env.lag  # the row of step 20, row 19, acts on frame 20
    assert sum(lit) == 1


def test_seeds_are_those_of_gymnasium() -> None:
    env = made()
    seeds = [env.reset(seed=seed)[1]["seed"] for seed in (5, None, None, 5, None)]
    assert seeds[0] == seeds[3] == 5
    assert seeds[1] == seeds[4] != seeds[2]
    assert env.reset(seed=1, options={"seed": 9})[1]["seed"] == 9
    with pytest.raises(MatrixGameError, match="not 'world'"):
        env.reset(options={"world": 1})


def test_a_closed_environment_says_so_and_a_reset_begins_another() -> None:
    env = made()
    env.reset()
    env.close()
    with pytest.raises(MatrixGameError, match="was closed"):
        env.step(STILL)
    env.reset()
    assert env.step(STILL)[0].shape == (32, 64, 3)
    with pytest.raises(MatrixGameError, match="'block' or a 'frame'"):
        made(step="second")
