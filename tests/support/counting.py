"""Counting what a computation would ask of a device, on torch's meta device: shapes alone, so full size is instant."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.compute import fused
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig, norms
from comfyui_matrixgame.networks.generator.action_module import ActionInputs
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE
from comfyui_matrixgame.networks.vae.base import LATENT_CHANNELS
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK, UNIVERSAL, Variant
from comfyui_matrixgame.world import Models, World, rollout, start_world

from .networks import small_models

META = torch.device("meta")
LATENT = (44, 80)  # of a frame of 352x640
NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh"}
READS = {"_local_scalar_dense", "nonzero", "is_nonzero", "item", "equal", "masked_select", "_unique2", "unique_dim"}
ONE_KERNEL = {"scaled_dot_product_attention", "linear", "conv2d", "conv3d", "rms_norm", "layer_norm"}


class Counts(TorchDispatchMode):
    """Counts kernels, copies between the device and the host, and reads that make the host wait.

    `device` stands for the accelerator: what runs elsewhere is no kernel. A copy from it to the host gives an empty
    tensor there, so that a whole block runs on the meta device.
    """

    def __init__(self, device: torch.device = META) -> None:
        super().__init__()
        self.device = device
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.kernels: Counter[str] = Counter()
        self.to_host: list[Tensor] = []
        self.to_device: list[Tensor] = []
        self.reads: list[str] = []

    @property
    def launches(self) -> int:
        """Kernels in all."""
        return sum(self.kernels.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if name in READS and tensors and tensors[0].device == self.device:
            self.reads.append(name)
        if name == "_to_copy" and tensors[0].device == self.device and kwargs.get("device", self.device) != self.device:
            self.to_host.append(tensors[0])
            return torch.empty(tensors[0].shape, dtype=kwargs.get("dtype") or tensors[0].dtype)
        if name not in ONE_KERNEL:
            with self:
                parts = func.decompose(*args, **kwargs)  # in inference mode composite operators come in one piece
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        made = result[0] if isinstance(result, (tuple, list)) and result else result
        if isinstance(made, Tensor) and made.device == self.device and not _is_view(func) and name not in NO_KERNEL:
            if any(value.device != self.device for value in tensors if value.ndim):
                self.to_device.append(made)
            else:
                self.kernels[name] += 1
        return result


def _is_view(func: Any) -> bool:
    first = func._schema.returns[0].alias_info if func._schema.returns else None
    return first is not None and not first.is_write


class NamedModels(Models):
    """Models whose id needs no weights, which the meta device does not have."""

    def id(self) -> str:
        return "meta"


def meta_models(variant: Variant, tiny: bool = False) -> Models:
    """The networks of the published sizes, without weights."""
    config = GeneratorConfig(keyboard_dim=len(variant.keys), mouse=variant.mouse, window=variant.window)
    with META:
        generator, vae, decoder = Generator(config), WanVAE(), TinyDecoder() if tiny else None
    for network in (generator, vae, decoder):
        if network is not None:
            network.bfloat16().requires_grad_(False).compute_dtype = torch.bfloat16
            network.lay_weights(META)
    return NamedModels(generator, vae, decoder)  # type: ignore[arg-type]


def meta_world(models: Models) -> World:
    """A world of full size whose condition is complete."""
    small = start_world(small_models(models.variant.name), torch.zeros(3, 32, 48), features=torch.zeros(1, 257, 32))
    return replace(
        small,
        models_id=models.id(),
        image=torch.empty(1, 3, 8 * LATENT[0], 8 * LATENT[1], device=META),
        features=torch.empty(1, 257, 1280, device=META),
        condition=torch.empty(1, 16, 30, *LATENT, device=META),
        encoder_state=None,
    )


@dataclass(frozen=True)
class BlockCounts:
    """What one block asks of the device, and what its passes ask alone."""

    counts: Counts
    per_pass: list[int]  # launches between the starts of two passes, formulas included
    flops: int
    frames: tuple[int, ...]


@functools.cache
def block_counts(variant: Variant) -> BlockCounts:
    """Counts of a block with a full window behind it and the VAE's decoder, at full size in bfloat16."""
    models = meta_models(variant)
    flops = FlopCounterMode(display=False)
    counts = Counts()
    launches: list[int] = []
    run = rollout(
        models,
        meta_world(models),
        ActionTrack.idle(variant, rows_of_blocks(2)),
        noise=lambda *name: torch.empty(name[-1]),
        on_pass=lambda _: launches.append(counts.launches),
    )
    models.generator.forward = lambda latents, *_: latents  # type: ignore[method-assign]  # only its caches' age counts
    with counts:
        next(run)
    del models.generator.forward
    counts.clear()
    launches.clear()
    with flops, counts:
        block = next(run)
    between = [after - before for before, after in itertools.pairwise(launches)]
    return BlockCounts(counts, between, flops.get_total_flops(), tuple(block.frames.shape))


class StandIn:
    """Stands in for comfyui_matrixgame.compute.kernels: each call counts as one kernel and computes nothing."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        def launched(*_: Any, **__: Any) -> None:
            self._counts.kernels[f"triton {name}"] += 1

        return launched


@functools.cache
def pass_counts_with_kernels(variant: Variant) -> Counts:
    """Counts of one pass of the published size over a full window with the Triton kernels."""
    generator = meta_models(variant).generator
    counts = Counts()
    features, timesteps = torch.empty(1, 257, 1280, device=META), torch.zeros(1, dtype=torch.float64)
    keyboard = torch.empty(1, LATENTS_PER_BLOCK, 12, len(variant.keys), device=META)
    inputs = ActionInputs(keyboard, torch.empty(1, LATENTS_PER_BLOCK, 24, device=META) if variant.mouse else None)
    caches = generator.empty_caches(1, *LATENT, META, torch.bfloat16)
    size = (1, LATENT_CHANNELS, LATENTS_PER_BLOCK, *LATENT)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        for module in (fused, norms):
            patch.setattr(module, "triton_for", lambda _: StandIn(counts))
        constants = generator.prepare_rollout(features, timesteps)
        block = generator.prepare_block(LATENTS_PER_BLOCK * 2, LATENTS_PER_BLOCK, *LATENT, inputs, caches)
        counts.clear()
        latents, condition = torch.empty(size, device=META), torch.empty(1, 20, *size[2:], device=META)
        with counts:
            generator(latents, condition, 0, constants, block, caches)
    return counts


@functools.cache
def decode_counts(tiny: bool) -> tuple[int, int]:
    """Launches and floating-point operations of decoding a block of 352x640, after the first."""
    decoder = meta_models(UNIVERSAL, tiny).decoder
    latents = torch.empty(1, LATENT_CHANNELS, LATENTS_PER_BLOCK, *LATENT, device=META)
    with torch.inference_mode():
        _, state = decoder.decode(latents)
        with FlopCounterMode(display=False) as flops, Counts() as counts:
            decoder.decode(latents, state)
    return counts.launches, flops.get_total_flops()
