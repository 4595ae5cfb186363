"""Networks in the shapes that travel between nodes: core's MODEL, and MATRIXGAME_VAE."""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import comfy.model_patcher
import torch
from torch import nn

from ...errors import CheckpointError, MatrixGameError
from ...networks.generator import Generator
from ...networks.vae import TinyDecoder, WanVAE
from ...world.models import network_id
from .foundation import FoundationModel
from .layers import let_numbers_find_layers

NO_SAMPLER = (
    "A Matrix-Game generator makes frames block by block from a player's inputs, which a sampler cannot do; connect it "
    "to Start World, and Start World to Roll Out."
)


class _NoSampling:
    """A stand-in for what core's samplers and schedulers ask; core's Save Model looks whether it is there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MatrixGameError(NO_SAMPLER)


class MatrixGameModel(nn.Module):
    """A generator in the shape of core's MODEL: LoRA and patch nodes find `diffusion_model` and its names.

    is_demo: whether it is the demo world's. size: height and width it was trained at, in pixels. steps_are_the_users:
    whether its steps were said, so that no LoRA changes them.
    """

    def __init__(
        self, generator: Generator, is_demo: bool, size: tuple[int, int], steps_are_the_users: bool = False
    ) -> None:
        super().__init__()
        self.diffusion_model = generator
        let_numbers_find_layers(generator)
        self.is_demo, self.size, self.steps_are_the_users = is_demo, size, steps_are_the_users
        self.generator_id = network_id(generator)  # before anything patches them
        self.model_config = SimpleNamespace(unet_config={})  # what core's LoRA key map asks for
        self.manual_cast_dtype = generator.compute_dtype
        self.model_sampling = _NoSampling()
        self.model_type = None  # asked for by core's Save Model

    def get_dtype(self) -> torch.dtype:
        """What the activations are in; core moves patches to it."""
        return self.diffusion_model.compute_dtype

    @property
    def latent_format(self) -> None:
        """Asked for by core's samplers, which cannot run this network."""
        raise MatrixGameError(NO_SAMPLER)

    def state_dict_for_saving(self, unet_state_dict: dict[str, Any], *others: Any, **named: Any) -> dict[str, Any]:
        """The tensors that core's Save Model writes: the weights as they are patched, under core's names."""
        if any(other is not None for other in (*others, *named.values())):
            raise MatrixGameError(
                "A Matrix-Game generator is saved alone; use core's Save Model in place of Save Checkpoint."
            )
        return {f"model.diffusion_model.{name}": tensor for name, tensor in unet_state_dict.items()}

    def apply_model(self, *_: Any, **__: Any) -> None:
        """Called by core's samplers."""
        return self.latent_format


@dataclass(frozen=True)
class HostVae:
    """What travels as MATRIXGAME_VAE: the VAE and, where one was chosen, a tiny decoder, each behind a patcher.

    is_demo: whether it is the demo world's.
    """

    vae: WanVAE
    decoder: WanVAE | TinyDecoder
    patchers: tuple[comfy.model_patcher.ModelPatcher, ...]
    is_demo: bool = False

    def get_models(self) -> list[comfy.model_patcher.ModelPatcher]:
        """Asked for by core, which keeps count of the models a prompt uses."""
        return list(self.patchers)


def check_generator(model: Any) -> None:
    """Raise CheckpointError where a model is no distilled generator."""
    if isinstance(getattr(model, "model", None), FoundationModel):
        raise CheckpointError(
            "This is the foundation model, which makes a clip at once and cannot go on block by block; connect it to "
            "Foundation Conditioning and a sampler, or load a distilled generator."
        )
    if not isinstance(getattr(model, "model", None), MatrixGameModel):
        raise CheckpointError("The model is not a Matrix-Game generator; connect Load Matrix-Game Generator.")
