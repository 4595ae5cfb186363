"""Change World: a world that goes on from what its last frames should look like."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..compute.choices import SEEN_START
from ..errors import CheckpointError
from ..networks.vae.base import pixels_to_frames
from ..world.change import change_world, plan_change
from .models.ready import ready
from .models.vision import demo_features, image_features
from .running.images import pixels_of
from .running.live_world import LiveWorld, as_live_world


def changed_world(
    start: LiveWorld, images: Tensor, strength: float, seen: str, mask: Tensor | None, clip_vision: Any
) -> LiveWorld:
    """The world after a change, and the one that was given where nothing changes. images: IMAGE [N, H, W, C]. mask:
    MASK [N, H, W]. seen: "changed" or "start", the picture that the network is shown. Raises MatrixGameError."""
    world = start.world
    pictures = pixels_to_frames(pixels_of(images).transpose(0, 1).unsqueeze(0))[0]
    with ready(start.model, start.vae, *world.size) as models:
        change = plan_change(models, world, pictures, None if mask is None else mask.cpu(), strength)
    if change.is_none:
        return start
    if seen != SEEN_START and clip_vision is None and not start.model.model.is_demo:  # type: ignore[union-attr]
        raise CheckpointError(
            "The changed picture is seen through clip_vision: connect core's Load CLIP Vision with "
            "clip_vision_h.safetensors, or choose start as what is seen."
        )
    features = None if seen == SEEN_START else _features(start, clip_vision, change.picture.unsqueeze(0))
    with ready(start.model, start.vae, *world.size) as models:
        return as_live_world(change_world(models, change, features), start.model, start.vae)


def _features(start: LiveWorld, clip_vision: Any, picture: Tensor) -> Tensor:
    return demo_features(picture) if start.model.model.is_demo else image_features(clip_vision, picture)  # type: ignore[union-attr]
