"""Where core keeps our networks' weights while they compute: on the device as a whole, or brought layer by layer.

With dynamic VRAM, core's default on NVIDIA, a model's parameters stay in main memory. Each layer that runs asks for its
weights at a place on the device, and whatever needs memory there may take them away between two layers (core's
ModelPatcherDynamic and cast_modules_with_vbar; pages and pins in comfy-aimdo's model-vbar.c). That is right for models
larger than the card. A generator of 3.3 GB runs 1,400 kernels a pass: asked layer by layer, passes cannot be recorded
as CUDA graphs, and the host is slower than the device.

So where the card has room for weights and a rollout, our networks are behind core's plain ModelPatcher. Core mixes both
kinds: to load a plain one it takes others off the device first, and when another model needs the room it takes ours,
in part or whole. Elsewhere, and where the user asked for little memory (--lowvram, --novram), core's own choice stays.

Not chosen: to pin all pages of a dynamic model for a rollout. It would save no memory, since the pages must stay, and
under pressure comfy-aimdo waits for the device inside an allocation, which ends a capture.

What only a card with its driver can show is listed in CONTRIBUTING.md, "First to try on a real NVIDIA card".
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakSet

import comfy.model_management as memory
import comfy.model_patcher
import torch
from torch import nn

from ...memory import RESERVE, estimate_memory
from ...networks.generator import GeneratorConfig
from ...networks.vae import WanVAE

log = logging.getLogger(__name__)
SPARE = 1.1  # of the weights, that core wants free before it loads them
_told: WeakSet[nn.Module] = WeakSet()


def bytes_to_stay(config: GeneratorConfig, height: int, width: int, dtype: torch.dtype, weights: int) -> int:
    """Bytes of a device on which all weights stay beside a rollout at this size, with the VAE's own decoder.

    dtype: of the activations. weights: bytes of the generator's.
    """
    device = memory.get_torch_device()
    rest = estimate_memory(
        config, height, width, weights=0, cache_dtype=dtype, compute_dtype=dtype, device=device, kept=False
    )
    with torch.device("meta"):
        vae = sum(parameter.numel() for parameter in WanVAE().parameters()) * dtype.itemsize
    return int(SPARE * (weights + vae)) + rest.total + RESERVE + int(memory.extra_reserved_memory())


def patcher_for(module: nn.Module, needed: Callable[[], int]) -> comfy.model_patcher.ModelPatcher:
    """The module behind core's ModelPatcher: the plain one where the device has as many bytes as `needed` says."""
    device, plain = memory.get_torch_device(), comfy.model_patcher.ModelPatcher
    kind = comfy.model_patcher.CoreModelPatcher
    sparing = memory.vram_state in (memory.VRAMState.LOW_VRAM, memory.VRAMState.NO_VRAM)
    if kind is not plain and not sparing and memory.get_total_memory(device) >= needed():
        kind = plain
    return kind(module, load_device=device, offload_device=memory.unet_offload_device())


def how_it_runs(generator: nn.Module, device: torch.device) -> str:
    """A clause for the node where the generator's weights do not lie on the device they are used on, else nothing; the
    log says it once for each generator."""
    away = sum(parameter.nbytes for parameter in generator.parameters() if parameter.device != device)
    if not away or device.type == "cpu":
        return ""
    why = (
        "ComfyUI brings the generator's weights layer by layer (the card has no room for all of them), so passes are "
        "not recorded as CUDA graphs and run slower"
    )
    if generator not in _told:
        _told.add(generator)
        log.warning("Matrix-Game: %s.", why)
    return why
