"""Networks with random weights: speed does not depend on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn as nn

from ..checkpoints.load import compute_dtype, storage_dtype
from ..checkpoints.untrained import small_config
from ..compute.attention import get_attention
from ..compute.quantise import EXACT, check_precision, quantise
from ..networks.generator import GeneratorConfig
from ..networks.generator.model import Generator
from ..networks.vae import TinyDecoder, WanVAE
from ..networks.vision import ImageEncoder
from ..system.resources import give_back
from ..variants import Variant
from ..world import Models

SIZES = {"least": (32, 48), "tiny": (96, 160), "full": (352, 640)}  # height and width; least: to try whether it runs
VIT_H = {"hidden": 1280, "mlp": 5120, "layers": 32, "heads": 16, "image_size": 224, "patch_size": 14}


def random_models(
    variant: Variant,
    size: str,
    dtype: str,
    device: torch.device,
    decoder: str,
    layers: int | None = None,
    attention: str = "sdpa",
    precision: str = EXACT,
) -> Models:
    """Networks of the published sizes (`full`) or small ones (`tiny`), with random weights.

    dtype: what weights are stored in. decoder: `wan`, or `tiny` for one of taew2_1's layout. layers: a network cut to
    this many, for machines on which all of them take too long. precision: of the large linears. Raises BackendError.
    """
    full = GeneratorConfig(
        keyboard_dim=len(variant.keys),
        mouse=variant.mouse,
        window=variant.window,
        sink=variant.sink,
        action_layers=variant.action_layers,
    )
    config = full if size == "full" else small_config(variant)
    if layers is not None:
        config = replace(config, layers=layers, action_layers=tuple(range((layers + 1) // 2)))
    storage = storage_dtype(dtype, "float32")
    with torch.device("meta"):
        networks: list[Any] = [Generator(config), WanVAE(96 if size == "full" else 8)]
        networks += [TinyDecoder()] if decoder == "tiny" else []
    for network in networks:
        fill_randomly(network, storage, device)
        network.compute_dtype = compute_dtype(storage, device)
    networks[0].attention = get_attention(attention)
    check_precision(precision, device)
    quantise(networks[0], precision)
    for network in networks:
        network.lay_weights(device)
    return Models(*networks, generator_id="random")


def image_tower(dtype: torch.dtype, device: torch.device) -> ImageEncoder:
    """The image tower of the published size."""
    with torch.device("meta"):
        tower = ImageEncoder(**VIT_H)
    fill_randomly(tower, dtype, device)
    for module in tower.modules():  # what its layers hold beside weights: positions
        for name, buffer in module.named_buffers(recurse=False):
            positions = torch.arange(buffer.shape[-1], device=device).expand(1, -1)
            module.register_buffer(name, positions, persistent=False)
    return tower


def fill_randomly(network: nn.Module, storage: torch.dtype, device: torch.device) -> None:
    """Random weights, one tensor at a time, in the wanted dtype."""
    torch.manual_seed(0)
    for name, parameter in list(network.named_parameters()):
        fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
        value = torch.empty(parameter.shape, device=device).uniform_(-1, 1).mul_(fan_in**-0.5)
        if (parameter.ndim == 1 and name.endswith("weight")) or name.endswith("gamma"):
            value = value * 0.1 + 1
        owner = network.get_submodule(name.rpartition(".")[0])
        tensor = value.to(storage if storage.itemsize > 1 else torch.bfloat16)
        setattr(owner, name.rpartition(".")[2], nn.Parameter(tensor, requires_grad=False))
    network.eval()
    give_back(device)
