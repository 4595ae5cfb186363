"""Load Matrix-Game Generator with the foundation model."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import comfy.model_management as memory
import comfy.model_patcher

from ...checkpoints.load import compute_dtype
from ...checkpoints.load import load_foundation as read_foundation
from ..models.foundation import FoundationModel
from ..models.layers import HostOperations, attention_function


def load_foundation(path: Path, dtype: str, attention: str) -> comfy.model_patcher.ModelPatcher:
    """The foundation model as core's MODEL, for core's samplers. Raises CheckpointError, and BackendError for an
    attention that is not there."""
    function = attention_function(attention)
    generator = read_foundation(path, dtype, memory.unet_offload_device(), HostOperations)
    stored = generator.get_submodule("blocks.0.ffn.0").get_parameter("weight").dtype
    generator.compute_dtype = compute_dtype(stored, memory.get_torch_device())
    generator.attention = function
    variant = generator.variant
    assert variant is not None
    return comfy.model_patcher.CoreModelPatcher(
        FoundationModel(generator, variant.size, variant.shift),
        load_device=memory.get_torch_device(),
        offload_device=memory.unet_offload_device(),
    )
