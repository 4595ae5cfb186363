"""Load Matrix-Game VAE."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import comfy.model_management as memory
import folder_paths

from ...checkpoints import load_decoder as read_decoder
from ...checkpoints import load_vae as read_vae
from ...checkpoints.builtin import NAME as DEMO_WORLD
from ...checkpoints.builtin import demo_world
from ...checkpoints.load import DTYPES, compute_dtype, generator_bytes
from ...media.fitting import HEIGHT, WIDTH
from ...networks.generator import GeneratorConfig
from ..models.core_values import HostVae
from ..models.layers import HostOperations
from ..models.residency import bytes_to_stay, patcher_for
from ..running.folders import demo_choice, model_path

DTYPE_CHOICES = ("auto", *DTYPES)[:-1]  # no float8
FULL_DECODER = "full"


def vae_choices() -> list[str]:
    """Entries of the VAE loader: what is in models/vae, and the demo world's."""
    return [*folder_paths.get_filename_list("vae"), *demo_choice()]


def decoder_choices() -> list[str]:
    """Entries for the decoder: the VAE's own, or a tiny one in models/vae_approx."""
    return [FULL_DECODER, *folder_paths.get_filename_list("vae_approx")]


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
