"""The models of a rollout: loaded by core, with room for it."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management as memory
import comfy.model_patcher
import torch

from ...compute.quantise import precision_of
from ...errors import MatrixGameError
from ...memory import estimate_memory
from ...system.resources import gigabytes
from ...world import Models
from .core_values import HostVae
from .layers import forget_quantised, quantised_bytes
from .loras import lora_names, variant_with_loras
from .names import generator_id
from .on_device import DecoderOnDevice, VaeOnDevice
from .residency import how_it_runs

log = logging.getLogger(__name__)


class HostModels(Models):
    """The engine's models while core decides where their weights are.

    They are named by the weights as they are in the files, and by what patches them on top. plan: what memory a
    rollout takes, in words.
    """

    plan = ""

    def __init__(self, model: comfy.model_patcher.ModelPatcher, vae: HostVae) -> None:
        self._patcher = model
        autoencoder = VaeOnDevice(vae.vae, model.load_device)
        decoder = autoencoder if vae.decoder is vae.vae else DecoderOnDevice(vae.decoder, model.load_device)
        named = {"generator_id": generator_id(model), "loras": lora_names(model)}
        super().__init__(model.model.diffusion_model, autoencoder, decoder, **named)
        self.variant = variant_with_loras(model) or self.variant

    @property
    def device(self) -> torch.device:
        """Where to compute; weights that are elsewhere come layer by layer."""
        return self._patcher.load_device


def plan_memory(models: HostModels, vae: HostVae, height: int, width: int, played: bool = False) -> tuple[int, str]:
    """Bytes a rollout needs on the device beside the weights that core keeps, and the same in a few words; the log
    says what for. played: see estimate_memory."""
    estimate = estimate_memory(
        models.generator.config,
        height,
        width,
        weights=0,
        cache_dtype=models.cache_dtype,
        compute_dtype=vae.decoder.compute_dtype,
        vae_width=vae.vae.base_dim,
        tiny=vae.decoder is not vae.vae,
        device=models.device,
        played=played,
    )
    small = quantised_bytes(models.generator)
    weights = gigabytes(sum(parameter.nbytes for parameter in models.generator.parameters()))
    precision, needed = precision_of(models.generator), small + estimate.total
    log.info(
        "Matrix-Game: %s; weights %s, which ComfyUI keeps on the device or brings layer by layer; beside them %s%s",
        precision,
        weights,
        estimate,
        f" and weights in 8 bits {gigabytes(small)}" if small else "",
    )
    return needed, f"{precision}: weights {weights}, beside them {gigabytes(needed)}"


def _out_of_memory(error: Exception) -> bool:
    """Whether a device or, on a processor, main memory is full."""
    if isinstance(error, MatrixGameError):
        return False
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error) or memory.is_oom(error)


@contextmanager
def ready(
    model: comfy.model_patcher.ModelPatcher, vae: HostVae, height: int, width: int, played: bool = False
) -> Iterator[HostModels]:
    """The models, loaded by core with room for a rollout at this size, or for one that is played. Turns "out of memory"
    into advice."""
    models = HostModels(model, vae)
    needed, models.plan = plan_memory(models, vae, height, width, played)
    try:
        memory.load_models_gpu([model, *vae.patchers], memory_required=needed)
        if how := how_it_runs(models.generator, models.device):
            models.plan += f". {how}"
        yield models
    except Exception as error:
        if not _out_of_memory(error):
            raise
        advice = type(error)(
            "The device is out of memory for this rollout; choose dtype float8_e4m3fn in Load Matrix-Game Generator or "
            "a tiny decoder in Load Matrix-Game VAE, or start ComfyUI with --lowvram."
        )
        vars(advice).update(vars(error))  # by the error's code core knows it, and lets go of its models
        raise advice from error
    finally:
        forget_quantised(models.generator)
