"""Weights for measures of a film: what core's Load CLIP Vision holds, and files in models/scores."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import torch
from torch import Tensor

from ...checkpoints.sizes import HEAD_DIM_OF_H
from ...errors import CheckpointError
from ...networks.vision import ImageEncoder
from ...scores.weighted.clip import Clip, held_clip
from ...scores.weighted.fetched import LICENCE_OF_INVERSE_DYNAMICS
from ...scores.weighted.filled import HeldWeights
from ...scores.weighted.inverse_dynamics import load_inverse_dynamics
from ...scores.weighted.predicted import MEASURES
from ...scores.weighted.weights import Weights, about_file, load_head
from .vision import ROOM, vision_from_state

FLOAT32 = 4  # bytes of a number
_LICENCE = "see the file that Load CLIP Vision names"


def score_weights(clip_vision: Any, head: Path | None, inverse_dynamics: Path | None) -> Weights:
    """What measures are computed with. clip_vision: core's CLIP_VISION or None. An image tower like the model's own is
    used as `matrixgame score --tower` does, any other CLIP as `--clip` does. head: LAION's, which needs CLIP ViT-L/14.
    Raises CheckpointError where one of them cannot be used."""
    device = memory.get_torch_device()
    files: dict[str, list[dict[str, Any]]] = {}
    seen = None if clip_vision is None else _seen_by(clip_vision, device)
    tower = seen if isinstance(seen, ImageEncoder) else None
    clip = seen if isinstance(seen, Clip) else None
    if seen is not None:
        files["temporal_consistency_tower"] = [_about_held(clip_vision)]
    linear = None
    if head is not None:
        linear = load_head(head)
        if clip is None or clip.dim != linear[0].shape[1]:
            raise CheckpointError(
                f"{head.name} takes vectors of {linear[0].shape[1]} numbers, and clip_vision gives "
                f"{'none' if clip is None else f'those of {clip.dim}'}; load CLIP ViT-L/14 with Load CLIP Vision, or "
                "choose no aesthetic_head."
            )
        files["aesthetic_quality"] = [*files["temporal_consistency_tower"], about_file(head)]
    watching = None
    if inverse_dynamics is not None:
        memory.free_memory(inverse_dynamics.stat().st_size * ROOM, device)
        watching = load_inverse_dynamics(inverse_dynamics, device)
        files |= {name: [about_file(inverse_dynamics, LICENCE_OF_INVERSE_DYNAMICS)] for name in MEASURES}
    return Weights(None, clip, None, clip if linear else None, tower, linear, watching, files)


def _seen_by(clip_vision: Any, device: torch.device) -> ImageEncoder | Clip:
    """Core's weights in a network that sees frames as the protocol of scores says, which core's preprocessing does
    not."""
    state: dict[str, Tensor] = clip_vision.get_sd()
    sizes: Mapping[str, Any] = clip_vision.config
    if "vision_model.embeddings.class_embedding" not in state:
        raise CheckpointError(
            "The image encoder on clip_vision is not a CLIP one; load clip_vision_h.safetensors or CLIP ViT-L/14."
        )
    if sizes["hidden_act"] == "gelu" and sizes["num_attention_heads"] * HEAD_DIM_OF_H == sizes["hidden_size"]:
        memory.free_memory(sum(tensor.nbytes for tensor in state.values()) * ROOM, device)
        return vision_from_state(state, device)
    memory.free_memory(sum(tensor.numel() for tensor in state.values()) * FLOAT32 * ROOM, device)
    return held_clip(HeldWeights("The image encoder on clip_vision", state), sizes, device)


def _about_held(clip_vision: Any) -> dict[str, Any]:
    """Weights that core holds, for a report; the checksum is that of their values, and not of a file."""
    state, digest = clip_vision.get_sd(), hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    kinds = sorted(
        {str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()}
    )
    what = f"clip_vision, as ComfyUI holds it: width {clip_vision.config['hidden_size']}, {' and '.join(kinds)}"
    return {"file": what, "sha256": digest.hexdigest(), "licence": _LICENCE}
