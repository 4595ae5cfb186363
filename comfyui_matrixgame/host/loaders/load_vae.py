"""Load Matrix-Game VAE."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import comfy.model_management as memory

from ...checkpoints import load_decoder as read_decoder
from ...checkpoints import load_vae as read_vae
from ...checkpoints.builtin import NAME as DEMO_WORLD
from ...checkpoints.builtin import demo_world
from ...checkpoints.load import compute_dtype, generator_bytes
from ...media.fitting import HEIGHT, WIDTH
from ...networks.generator import GeneratorConfig
from ..choices import FULL_DECODER
from ..models.core_values import HostVae
from ..models.layers import HostOperations
from ..models.residency import bytes_to_stay, patcher_for
from ..running.folders import model_path


def load_vae(file: str, decoder: str, dtype: str) -> HostVae:
    """A VAE, with the decoder that was chosen; raises CheckpointError."""
    is_demo = file == DEMO_WORLD
    path = demo_world().vae if is_demo else model_path("vae", file)
    vae: Any = read_vae(path, dtype, memory.vae_offload_device(), HostOperations)
    modules = [vae]
    if decoder != FULL_DECODER:
        path = model_path("vae_approx", decoder)
        modules.append(read_decoder(path, dtype, memory.vae_offload_device(), HostOperations))
    for module in modules:
        module.lay_weights(memory.get_torch_device())
        module.compute_dtype = compute_dtype(next(module.parameters()).dtype, memory.get_torch_device())
    published = GeneratorConfig()

    def needed() -> int:
        dtype = vae.compute_dtype
        return bytes_to_stay(published, HEIGHT, WIDTH, dtype, generator_bytes(published, dtype)[0])

    return HostVae(vae, modules[-1], tuple(patcher_for(module, needed) for module in modules), is_demo)
