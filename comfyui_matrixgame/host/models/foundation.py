"""The foundation model as core's MODEL: core's own samplers and schedulers do its many steps, along a flow."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.supported_models_base
import torch
from torch import Tensor

from ...errors import CheckpointError, MatrixGameError, WorldError
from ...networks.generator.action_module import ActionInputs
from ...networks.generator.bidirectional import FoundationGenerator
from .layers import let_numbers_find_layers

CONDITION, KEYBOARD, MOUSE = "matrixgame_condition", "matrixgame_keyboard", "matrixgame_mouse"
"""What a conditioning holds beside the picture's features, which stand where text stands with other models."""
_WIDTH = 2222  # of a Wan model for which core reckons with a factor of 1


class _Config(comfy.supported_models_base.BASE):
    unet_extra_config = {}  # noqa: RUF012 (core's)
    latent_format = comfy.latent_formats.Wan21


class FoundationModel(comfy.model_base.BaseModel):
    """The bidirectional network with what core asks of a model: flow sampling with the variant's shift, and Wan 2.1's
    latents. size: height and width it was trained at, in pixels."""

    def __init__(self, generator: FoundationGenerator, size: tuple[int, int], shift: float) -> None:
        config = _Config({"disable_unet_model_creation": True})
        config.sampling_settings["shift"] = shift
        config.manual_cast_dtype = generator.compute_dtype
        config.memory_usage_factor = 1.5 * generator.config.dim / _WIDTH  # half as much again for the inputs
        super().__init__(config, comfy.model_base.ModelType.FLOW)
        self.diffusion_model = generator
        self.size = size
        let_numbers_find_layers(generator)

    def get_dtype(self) -> torch.dtype:
        """What the activations are in; core moves patches to it."""
        return self.diffusion_model.compute_dtype

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """What of a conditioning goes into each pass. Raises WorldError where it is none of ours, or another clip's."""
        features, condition, noise = kwargs.get("cross_attn"), kwargs.get(CONDITION), kwargs["noise"]
        if features is None or condition is None:
            raise WorldError(
                "The foundation model needs the conditioning and the latent of Foundation Conditioning; connect them "
                "to the sampler."
            )
        if condition.shape[2:] != noise.shape[2:]:
            has, needs = (
                f"{t.shape[-1] * 8}x{t.shape[-2] * 8}, {t.shape[2]} latent frames" for t in (noise, condition)
            )
            raise WorldError(
                f"The latent is of {has}, and the conditioning of {needs}; connect both from one Foundation "
                "Conditioning."
            )
        given = {"features": features, **{name: kwargs.get(name) for name in (CONDITION, KEYBOARD, MOUSE)}}
        return {name: comfy.conds.CONDRegular(value) for name, value in given.items() if value is not None}

    def _apply_model(self, x: Tensor, t: Tensor, *_: Any, transformer_options: Any = None, **given: Any) -> Tensor:
        """Called by core's samplers: the clean latents as they are seen from noisy ones x at a sigma t."""
        parts = {name: value.to(x.device) for name, value in given.items() if isinstance(value, Tensor)}
        inputs = ActionInputs(parts[KEYBOARD], parts.get(MOUSE))
        timestep = float(self.model_sampling.timestep(t).flatten()[0])
        velocity = self.diffusion_model.velocity(x, parts[CONDITION], parts["features"], inputs, timestep)
        return self.model_sampling.calculate_denoised(t, velocity.float(), x)

    def state_dict_for_saving(self, unet_state_dict: dict[str, Any], *others: Any, **named: Any) -> dict[str, Any]:
        """The tensors that core's Save Model writes, under core's names."""
        if any(other is not None for other in (*others, *named.values())):
            raise MatrixGameError("The foundation model is saved alone; use core's Save Model, not Save Checkpoint.")
        return {f"model.diffusion_model.{name}": tensor for name, tensor in unet_state_dict.items()}


def check_foundation(model: Any) -> None:
    """Raise CheckpointError where a model is another one."""
    if not isinstance(getattr(model, "model", None), FoundationModel):
        raise CheckpointError(
            "Foundation Conditioning is for the foundation model, which Load Matrix-Game Generator loads from its own "
            "file; a distilled generator goes to Start World."
        )
