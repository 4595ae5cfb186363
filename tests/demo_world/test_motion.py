"""The estimate of the camera's motion, on the game's own frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.variants import UNIVERSAL
from demo_world.game import play
from demo_world.motion import estimate_motion

CASES = {
    "yaw": ({"yaw": 0.1}, {"yaw": -0.1}),
    "pitch": ({"pitch": 0.1}, {"pitch": -0.1}),
    "forward": ({"w": 1}, {"s": 1}),
    "right": ({"d": 1}, {"a": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_signs_are_those_of_the_inputs(name):
    for row, sign in zip(CASES[name], (1, -1), strict=True):
        right = 0
        for seed in (2, 6, 7):
            frames, poses = play(seed, ActionTrack.from_rows(UNIVERSAL, [row] * 8), 9, 64, 112)
            assert poses[-1] != poses[0]
            right += getattr(estimate_motion(frames), name) * sign > 0
        assert right == 3


def test_turning_is_measured_in_degrees():
    frames, _ = play(7, ActionTrack.from_rows(UNIVERSAL, [{"yaw": 0.1}] * 8), 9, 64, 112)
    assert estimate_motion(frames).yaw == pytest.approx(1.5, rel=0.15)


def test_nothing_moves_in_a_still_picture():
    frames = torch.from_numpy(np.repeat(play(7, ActionTrack.idle(UNIVERSAL, 1), 1, 64, 112)[0].numpy(), 5, axis=0))
    still = estimate_motion(frames)
    assert (still.yaw, still.pitch, still.forward, still.right) == pytest.approx((0, 0, 0, 0), abs=1e-6)
