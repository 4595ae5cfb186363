"""The small models with a tiny decoder, and a world of theirs, as fixtures."""

from __future__ import annotations

import pytest

from comfyui_matrixgame.world import Models, World, start_world

from .networks import small_image, small_models


@pytest.fixture(scope="module")
def models() -> Models:
    return small_models(tiny=True)


@pytest.fixture(scope="module")
def world(models: Models) -> World:
    return start_world(models, small_image(16, 16), seed=3)
