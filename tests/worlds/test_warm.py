"""Warming up is for devices that need it."""

from __future__ import annotations

from comfyui_matrixgame.world.warm import passes_of_warm_up, warm_up

from ..support.networks import small_models


def test_a_cpu_needs_none() -> None:
    models = small_models()
    seen = []
    assert passes_of_warm_up(models, 32, 48) == 0
    warm_up(models, 32, 48, on_pass=seen.append)
    assert seen == []
