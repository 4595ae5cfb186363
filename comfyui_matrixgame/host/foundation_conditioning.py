"""Foundation Conditioning: what the foundation model is told of a clip, and the empty latent of it."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import comfy.model_management as memory
import comfy.model_patcher
import torch
from torch import Tensor

from ..actions.track import ActionTrack
from ..errors import CheckpointError, ImageError
from ..media.fitting import fit_image
from ..memory import estimate_memory
from ..networks.generator import GeneratorConfig
from ..networks.vae.base import LATENT_CHANNELS, SPATIAL_STRIDE
from ..variants import LATENTS_PER_BLOCK
from ..world.start import check_features
from ..world.whole_clip import clip_condition, clip_inputs
from .models.core_values import HostVae
from .models.foundation import CONDITION, KEYBOARD, MOUSE, check_foundation
from .models.on_device import VaeOnDevice
from .models.vision import image_features
from .running.images import pixels_of
from .running.notes import say_notes_once


def foundation_conditioning(
    model: comfy.model_patcher.ModelPatcher,
    vae: HostVae,
    actions: ActionTrack,
    size: tuple[int, int],
    blocks: int,
    clip_vision: Any,
    image: Tensor,
) -> tuple[list[Any], dict[str, Tensor]]:
    """Core's CONDITIONING and LATENT of a clip of so many blocks; raises MatrixGameError for what does not fit.

    size: height and width of the frames, multiples of 16; 0 for what the model was trained at.
    """
    check_foundation(model)
    if vae.is_demo:
        raise CheckpointError("The demo world's VAE is for its own generator; choose wan_2.1_vae.safetensors.")
    if len(image) != 1:
        raise ImageError(f"Foundation Conditioning takes one image, got {len(image)}; pick one.")
    if actions.seeds:
        say_notes_once(("changes of the seed have no effect on a clip whose noise is drawn by core's sampler",))
    generator = model.model.diffusion_model
    size = (size[0] or model.model.size[0], size[1] or model.model.size[1])  # type: ignore[index, union-attr]
    pixels = fit_image(pixels_of(image), *size)  # [1, 3, H, W]
    inputs = clip_inputs(generator.variant, actions, blocks, torch.device("cpu"))  # type: ignore[union-attr, arg-type]
    features = image_features(clip_vision, pixels)
    check_features(generator.config, features)  # type: ignore[union-attr, arg-type]
    condition = clip_condition(_encoder(generator.config, vae, size), pixels, blocks).cpu()  # type: ignore[union-attr, arg-type]
    told = {CONDITION: condition, KEYBOARD: inputs.keyboard}
    if inputs.mouse is not None:
        told[MOUSE] = inputs.mouse
    rows, columns = (side // SPATIAL_STRIDE for side in size)
    latent = torch.zeros(1, LATENT_CHANNELS, LATENTS_PER_BLOCK * blocks, rows, columns)
    return [[features, told]], {"samples": latent.to(memory.intermediate_device())}


def _encoder(config: GeneratorConfig, vae: HostVae, size: tuple[int, int]) -> VaeOnDevice:
    """The VAE, loaded by core with room to encode."""
    patcher, compute = vae.patchers[0], vae.vae.compute_dtype
    known = {"weights": 0, "cache_dtype": compute, "compute_dtype": compute, "vae_width": vae.vae.base_dim}
    needed = estimate_memory(config, *size, **known, device=patcher.load_device, kept=False)
    memory.load_models_gpu([patcher], memory_required=needed.encoder_state + needed.working)
    return VaeOnDevice(vae.vae, patcher.load_device)
