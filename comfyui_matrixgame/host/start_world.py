"""Start World: a new world from an image, or from a clip with its inputs."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from typing import Any

import comfy.model_patcher
import numpy as np
from torch import Tensor

from .. import world as engine
from ..actions.resample import resample_held
from ..actions.track import ActionTrack
from ..errors import ActionError, CheckpointError, ImageError
from ..media.clips import Clip
from ..media.fitting import fit_image
from ..system.words import counted
from ..variants import FPS, blocks_of_frames, frames_of_blocks
from .models.core_values import HostVae, check_generator
from .models.ready import ready
from .models.vision import demo_features, demo_image, image_features
from .running.images import pixels_of
from .running.live_world import LiveWorld, as_live_world

log = logging.getLogger(__name__)


def start_world(
    model: comfy.model_patcher.ModelPatcher,
    vae: HostVae,
    seed: int,
    size: tuple[int, int],
    clip_vision: Any,
    image: Tensor | None,
    clip: Any,
    clip_actions: ActionTrack | None,
) -> LiveWorld:
    """A new world from an image, or from a clip with its inputs; raises MatrixGameError for what does not fit.

    size: height and width of the frames, multiples of 16; 0 for what the generator was trained at.
    """
    check_generator(model)
    demo = model.model.is_demo  # type: ignore[union-attr]
    if demo != vae.is_demo:
        raise CheckpointError(
            "The demo world's generator and VAE belong together; choose the demo world in both loaders, or in none."
        )
    size = (size[0] or model.model.size[0], size[1] or model.model.size[1])  # type: ignore[index, union-attr]
    if image is None and clip is None and demo:
        image = demo_image(seed)
    if (image is None) == (clip is None):
        raise ImageError("Connect either an image or a clip to Start World, to say what the world begins with.")
    if clip is not None and clip_actions is None:
        raise ActionError("A clip needs clip_actions: what the player did in it, one input row per frame.")
    frames, rate = _clip_frames(clip) if image is None else (image, float(FPS))
    if image is not None and len(frames) != 1:
        raise ImageError(f"Start World takes one image, got {len(frames)}; pick one, or connect them as clip.")
    own, exact = len(frames), True
    if image is None:
        exact = abs(rate - FPS) * own / FPS < 0.5  # no frame is shown at another one's time
        frames = _whole_blocks(frames if exact else frames[resample_held(np.arange(own), rate)])
    pixels = fit_image(pixels_of(frames), *size)  # [N, 3, H, W]
    features = demo_features(pixels[:1]) if demo else image_features(clip_vision, pixels[:1])
    with ready(model, vae, *size) as models:
        if image is not None:
            world = engine.start_world(models, pixels[0], seed, features=features)
        else:
            assert clip_actions is not None
            footage = Clip(pixels.transpose(0, 1), "the clip", own, rate, exact)
            rows = footage.rows(clip_actions, lambda text: log.info("%s", text))
            world = engine.start_world_from_clip(models, footage.pixels, rows, seed, features=features)
    return as_live_world(world, model, vae)


def _whole_blocks(frames: Tensor) -> Tensor:
    kept = frames_of_blocks(blocks_of_frames(len(frames)))
    if not kept:
        raise ImageError(
            f"The clip has {counted(len(frames), 'frame')}; Start World needs 9 frames at least, and 12 for every "
            "block more."
        )
    return frames[:kept]


def _clip_frames(clip: Any) -> tuple[Tensor, float]:
    """Frames [N, H, W, C] of an IMAGE or VIDEO, and how many there are in a second."""
    if isinstance(clip, Tensor):
        return clip, float(FPS)
    components = clip.get_components()
    return components.images, float(components.frame_rate)
