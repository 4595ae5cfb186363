"""All that touches ComfyUI: models and memory, progress, interruption, files. `nodes.py` only translates.

Weights live behind core's ModelPatcher and are loaded with `load_models_gpu`, with core's cast-on-the-fly layers,
so that low memory modes, --reserve-vram, LoRA patches, "Unload models" and "Free" work as for core's own models.
Nothing else of the package imports this folder. What stands behind a node is imported when the node first runs.
"""

from typing import TYPE_CHECKING

from ..system.lazily import lazily

if TYPE_CHECKING:
    from . import (
        action_overlay,
        change_world,
        comparing,
        doctor,
        foundation_conditioning,
        inputs,
        live_play,
        loaders,
        roll_out,
        saved_worlds,
        score_video,
        start_world,
        world_cache,
    )

__all__ = [
    "action_overlay",
    "change_world",
    "comparing",
    "doctor",
    "foundation_conditioning",
    "inputs",
    "live_play",
    "loaders",
    "roll_out",
    "saved_worlds",
    "score_video",
    "start_world",
    "world_cache",
]
__getattr__ = lazily(__name__, **dict.fromkeys(__all__, ""))
