"""Image features from core's CLIP_VISION."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_management as memory
import torch
from torch import Tensor, nn

from ...checkpoints.builtin import demo_world, start_images
from ...checkpoints.formats import vision_sizes
from ...checkpoints.load import compute_dtype, load_vision
from ...errors import CheckpointError
from ...media.images import read_pixels
from ...networks.vision import ImageEncoder
from ...system.resources import give_back

ROOM = 1.3  # times the weights, for what is computed with them
# the last features of each tower that core holds, by the image's digest: another seed, size or world of the same image
# needs no pass through a network of 1.3 GB, which may have to be brought onto the device first
_last: WeakKeyDictionary[Any, tuple[bytes, Tensor]] = WeakKeyDictionary()


def image_features(clip_vision: Any, image: Tensor, beside: bool = False) -> Tensor:
    """Image features [1, 257, dim]: core's weights in the engine's image tower, whose preprocessing the generator
    was trained with and core's differs from. image: [1, 3, H, W] in [-1, 1]. beside: the models on the device are in
    use, so none of them makes room, and without room beside them the tower runs in main memory. Raises
    CheckpointError."""
    if clip_vision is None:
        raise CheckpointError(
            "The picture is seen through clip_vision: connect core's Load CLIP Vision with clip_vision_h.safetensors."
        )
    digest = hashlib.sha256(f"{image.shape}".encode() + image.cpu().contiguous().numpy().tobytes()).digest()
    last = _last.get(clip_vision)
    if last is not None and last[0] == digest:
        return last[1]
    state = clip_vision.get_sd()
    if "vision_model.embeddings.class_embedding" not in state:
        raise CheckpointError("This image encoder is not a CLIP one; load clip_vision_h.safetensors.")
    device = memory.get_torch_device()
    needed = sum(tensor.nbytes for tensor in state.values()) * ROOM
    if not beside:
        memory.free_memory(needed, device)
    elif memory.get_free_memory(device) < needed:
        device = torch.device("cpu")
    with torch.inference_mode():
        features = vision_from_state(state, device)(image.to(device)).cpu()
    give_back(device)  # the tower in the dtype that it was computed in
    _last[clip_vision] = digest, features
    return features


def demo_features(image: Tensor) -> Tensor:
    """Image features [1, tokens, dim] from the demo world's own tower, which is too small to be worth a device."""
    tower = load_vision(demo_world().vision, "float32")
    with torch.inference_mode():
        return tower(image)


def demo_image(seed: int) -> Tensor:
    """A start image of the demo world as IMAGE [1, H, W, 3]; which one depends on the seed."""
    pictures = start_images()
    return torch.from_numpy(read_pixels(pictures[seed % len(pictures)]).copy()).unsqueeze(0).float() / 255


def vision_from_state(state: dict[str, Tensor], device: torch.device) -> ImageEncoder:
    """The engine's image tower with the tensors of core's, on `device`."""
    shapes = {name.removeprefix("vision_model."): tuple(tensor.shape) for name, tensor in state.items()}
    sizes = vision_sizes(shapes)
    dtype = compute_dtype(state["vision_model.embeddings.patch_embedding.weight"].dtype, device)
    with torch.device("meta"):
        tower = ImageEncoder(**sizes)
    for name, parameter in list(tower.model.named_parameters()):
        tensor = state["vision_model." + name.removeprefix("vision_model.")].reshape(parameter.shape)
        owner = tower.model.get_submodule(name.rpartition(".")[0])
        setattr(owner, name.rpartition(".")[2], nn.Parameter(tensor.to(device, dtype), requires_grad=False))
    for module in tower.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:  # position ids, which are in no file
                module.register_buffer(
                    name, torch.arange(buffer.shape[-1], device=device).expand(1, -1), persistent=False
                )
    return tower.eval()
