"""LoRAs on core's MODEL: the denoising steps that they bring along, and their names where these are known.

Core's own loaders attach a file's metadata to the model, that of the last one alone. What our loader knows is attached
under another name, and what core has attached is kept whenever core clones the model for what comes next.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import comfy.model_patcher
from comfy.patcher_extension import CallbacksMP

from ...checkpoints.lora.described import Steps, steps_of_metadata
from ...checkpoints.lora.merging import Lora, common_steps
from ...variants import Tried, Variant

_OF_CORE = "lora_metadata"  # core's name of it
_BEFORE = "matrixgame_lora_metadata"  # of the LoRAs of core's loaders before the last one
_OURS = "matrixgame_loras"


def watch_loras(model: comfy.model_patcher.ModelPatcher) -> None:
    """Have the model, and all that core makes of it, keep what every LoRA says."""
    model.add_callback(CallbacksMP.ON_CLONE, _keep_metadata)


def attach_lora(model: comfy.model_patcher.ModelPatcher, lora: Lora) -> None:
    """Note a LoRA of our loader on the model that it patches."""
    model.set_attachments(_OURS, (*model.attachments.get(_OURS, ()), (lora.name, lora.steps)))


def lora_names(model: comfy.model_patcher.ModelPatcher) -> tuple[str, ...]:
    """The names of the LoRAs of our loader; core's leaves none."""
    return tuple(name for name, _ in model.attachments.get(_OURS, ()))


def variant_with_loras(model: comfy.model_patcher.ModelPatcher) -> Variant | None:
    """The variant that a generator runs as with the LoRAs on it: the user's own steps, else those that LoRAs bring
    along, else its own. Raises VariantError where LoRAs bring different ones, or a description that is none."""
    variant: Variant | None = model.model.diffusion_model.variant  # type: ignore[union-attr, assignment]
    if variant is None or model.model.steps_are_the_users:  # type: ignore[union-attr]
        return variant
    steps = common_steps(_brought(model))
    return variant if steps is None else Tried(steps, variant.window, variant.sink, variant.keeps).of(variant)


def _brought(model: comfy.model_patcher.ModelPatcher) -> Iterator[tuple[str, Steps | None]]:
    """Name and steps of every LoRA that says something."""
    yield from model.attachments.get(_OURS, ())
    for metadata in _metadata(model):
        yield (
            str(metadata.get("modelspec.title") or metadata.get("ss_output_name") or "a LoRA"),
            steps_of_metadata(metadata),
        )


def _metadata(model: comfy.model_patcher.ModelPatcher) -> tuple[Mapping[str, Any], ...]:
    """The metadata of all LoRAs of core's loaders, each once."""
    before, last = model.attachments.get(_BEFORE, ()), model.attachments.get(_OF_CORE)
    is_new = isinstance(last, Mapping) and not any(one is last for one in before)
    return (*before, last) if is_new else before


def _keep_metadata(model: comfy.model_patcher.ModelPatcher, clone: comfy.model_patcher.ModelPatcher) -> None:
    if found := _metadata(model):
        clone.set_attachments(_BEFORE, found)
