"""LoRAs for tests: drawn for a generator's modules, and named as training programs name them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from comfyui_matrixgame.checkpoints.names import to_layout

MODULES = (
    "blocks.0.self_attn.q",
    "blocks.1.ffn.2",
    "blocks.0.action_model.mouse_mlp.0",
    "patch_embedding",
    "head.head",
)
NAMINGS = {
    "comfyui": ("diffusion_model.{plain}", "lora_up.weight", "lora_down.weight"),
    "kohya": ("lora_unet_{_plain}", "lora_up.weight", "lora_down.weight"),
    "wan fun": ("lora_unet__{_plain}", "lora_up.weight", "lora_down.weight"),
    "peft": ("base_model.model.model.{plain}", "lora_B.default.weight", "lora_A.default.weight"),
    "peft, of FSDP": ("base_model.model._fsdp_wrapped_module.{plain}", "lora_B.weight", "lora_A.weight"),
    "diffusers": ("transformer.{diffusers}", "lora_B.weight", "lora_A.weight"),
    "diffusers, old": ("transformer.{diffusers}", "lora.up.weight", "lora.down.weight"),
    "fastvideo": ("{fastvideo}", "lora_B", "lora_A"),
    "simpletuner": ("lycoris_{_diffusers}", "lora_up.weight", "lora_down.weight"),
}
"""How some programs name a module, and both factors of its change."""


def named(naming: str, module: str) -> str:
    """A module's name in one of NAMINGS."""
    names = {layout: to_layout(module, layout) for layout in ("plain", "diffusers", "fastvideo")}
    return NAMINGS[naming][0].format(
        **names, **{f"_{layout}": name.replace(".", "_") for layout, name in names.items()}
    )


def factors(weights: Mapping[str, Tensor], module: str, rank: int = 2) -> tuple[Tensor, Tensor]:
    """Two factors, up and down, of a change about as large as a fifth of a module's weight."""
    weight, random = weights[f"{module}.weight"], torch.Generator().manual_seed(len(module))
    up, down = torch.randn(len(weight), rank, generator=random), torch.randn(rank, weight[0].numel(), generator=random)
    up *= 0.2 * weight.std() / (up @ down).std()
    inner = [1] * (weight.ndim - 2)
    return up.view(*up.shape, *inner), down.view(rank, *weight.shape[1:])


def lora(weights: Mapping[str, Tensor], naming: str = "comfyui", alpha: float | None = 4.0) -> dict[str, Tensor]:
    """A LoRA of MODULES, which also moves a bias and a norm."""
    made: dict[str, Tensor] = {}
    for module in MODULES:
        for end, tensor in zip(NAMINGS[naming][1:], factors(weights, module), strict=True):
            made[f"{named(naming, module)}.{end}"] = tensor
        if alpha is not None:
            made[f"{named(naming, module)}.alpha"] = torch.tensor(alpha)
    bias, norm = "blocks.0.cross_attn.o", "blocks.1.self_attn.norm_q"
    made[f"{named(naming, bias)}.diff_b"] = torch.full_like(weights[f"{bias}.bias"], 0.1)
    made[f"{named(naming, norm)}.diff"] = torch.full_like(weights[f"{norm}.weight"], 0.2)
    return made
