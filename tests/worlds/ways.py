"""The small models with other steps, windows and sinks."""

from __future__ import annotations

import copy

from comfyui_matrixgame.variants import Tried
from comfyui_matrixgame.world import Models

from ..support.networks import small_models

AT_TIMES = 0.45


def trying(tried: Tried) -> Models:
    """The small models with these steps, window and sink."""
    small = small_models()
    generator = copy.copy(small.generator)
    generator.run_as(tried.of(small.variant))
    return Models(generator, small.vae, small.decoder, small.vision)
