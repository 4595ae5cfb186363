"""A block whose frames were shown is made to its end, whatever stops the session meanwhile."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from comfyui_matrixgame.compute.attention import Attention
from comfyui_matrixgame.errors import Interrupted
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.world import Models, start_world

from ..support.networks import random_track, small_image, small_models


@pytest.mark.parametrize("error", [Interrupted("stop"), KeyboardInterrupt()])
def test_what_comes_after_the_first_frames_waits_for_the_block(error: BaseException) -> None:
    plain = small_models()
    generator = copy.deepcopy(plain.generator)
    own, shown, stops, seen = generator.attention, [], [], [0]

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if len(shown) > seen[0] and stops:
            raise stops.pop()
        return own(q, k, v)

    def show(frames: Any, _: float) -> None:
        shown.append(frames)

    generator.attention = Attention("stops", attention)
    models = Models(generator, plain.vae)
    world, track = start_world(plain, small_image(16, 16), 3), random_track(plain.variant, 32)
    rows = track.slice(0, 8), track.slice(8, 20), track.slice(20, 32)
    expected: list[Any] = []
    other = PlayedWorld(models, world)  # the same attention, which nothing stops
    for part in rows:
        other.make(part, lambda frames, _: expected.append(frames))
    played = PlayedWorld(models, world)
    played.make(rows[0], show)
    seen[0] = len(shown)
    stops.append(error)
    played.make(rows[1], show)
    assert played.block == 2  # all of it is there, and each frame was shown once
    assert not stops
    with pytest.raises(type(error)):
        played.make(rows[2], show)
    assert played.block == 2
    played.make(rows[2], show)
    assert np.array_equal(np.concatenate(shown), np.concatenate(expected))


def test_what_comes_before_any_frame_stops_the_block() -> None:
    models = small_models()
    played = PlayedWorld(models, start_world(models, small_image(16, 16), 3))
    shown: list[Any] = []

    def on_pass() -> None:
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        played.make(random_track(models.variant, 8), lambda frames, _: shown.append(frames), on_pass)
    assert (played.block, shown) == (0, [])
