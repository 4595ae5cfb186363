"""Load Matrix-Game LoRA."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import comfy.sd

from ...checkpoints.lora.merging import open_lora
from ...errors import CheckpointError
from ..models.core_values import check_generator
from ..models.loras import attach_lora, lora_names, variant_with_loras
from ..running.folders import model_path, states_of

_BYPASSED = "bypass_lora"  # core's name of what it puts into layers


def lora_state(file: str) -> str:
    """When a LoRA, and what describes it beside it, were changed last."""
    return states_of(model_path("loras", file))


def load_lora(
    model: comfy.model_patcher.ModelPatcher, file: str, strength: float, bypass: bool
) -> comfy.model_patcher.ModelPatcher:
    """The generator with a LoRA, patched by core's own functions, and the steps that the LoRA brings along; itself at a
    strength of 0. Raises CheckpointError where it is not for this generator, and VariantError for steps that do not go
    together with those of another one."""
    check_generator(model)
    if strength == 0:
        return model
    if bypass and _BYPASSED in model.injections:
        raise CheckpointError(
            "This model has a bypassed LoRA already, and ComfyUI keeps one alone; turn bypass off in one of them."
        )
    generator = model.model.diffusion_model
    shapes = {name: tuple(parameter.shape) for name, parameter in generator.named_parameters()}  # type: ignore[union-attr]
    lora = open_lora(model_path("loras", file), strength, shapes)
    load = comfy.sd.load_bypass_lora_for_models if bypass else comfy.sd.load_lora_for_models
    patched, _ = load(model, None, lora.tensors(), strength, 0.0)
    attach_lora(patched, lora)
    variant_with_loras(patched)
    return patched


def lora_note(model: comfy.model_patcher.ModelPatcher) -> dict[str, Any] | None:
    """What the node shows: the steps that the model runs with where LoRAs brought them."""
    variant = variant_with_loras(model)
    if not lora_names(model) or variant is None or variant is model.model.diffusion_model.variant:  # type: ignore[union-attr]
        return None
    return {"text": [f"{lora_names(model)[-1]}: running with {variant.settings}"]}
