"""Weights behind core's ModelPatcher: loading, patching, offloading, and making room for a rollout."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_management as memory
import comfy.model_patcher
import folder_paths
import torch
from torch import Tensor, nn

from ..checkpoints import load_decoder as read_decoder
from ..checkpoints import load_generator as read_generator
from ..checkpoints import load_vae as read_vae
from ..checkpoints.builtin import FOLDER as BUILTIN_FOLDER
from ..checkpoints.builtin import MANIFEST, demo_world
from ..checkpoints.builtin import NAME as DEMO_WORLD
from ..checkpoints.load import DTYPES, compute_dtype, generator_bytes
from ..checkpoints.sizes import variant_of
from ..compute.quantise import EXACT, check_precision, precision_of
from ..errors import MatrixGameError
from ..media.images import HEIGHT, WIDTH
from ..memory import estimate_memory
from ..networks.generator import Generator, GeneratorConfig
from ..networks.vae import TinyDecoder, VideoAutoencoder, VideoDecoder, WanVAE
from ..networks.vae.base import State
from ..system.resources import gigabytes
from ..variants import default_variant
from ..world import Models
from ..world.models import network_id
from .layers import (
    HostOperations,
    attention_function,
    forget_quantised,
    let_numbers_find_layers,
    quantise_when_run,
    quantised_bytes,
)
from .residency import bytes_to_stay, how_it_runs, patcher_for

DTYPE_CHOICES = ("auto", *DTYPES)
FULL_DECODER = "full"
log = logging.getLogger(__name__)
_INJECTED: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


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

    is_demo: whether it is the demo world's. size: height and width it was trained at, in pixels.
    """

    def __init__(self, generator: Generator, is_demo: bool, size: tuple[int, int]) -> None:
        super().__init__()
        self.diffusion_model = generator
        let_numbers_find_layers(generator)
        self.is_demo, self.size = is_demo, size
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


def generator_choices() -> list[str]:
    """Entries of the generator loader: what is in models/diffusion_models, and the demo world."""
    return [*folder_paths.get_filename_list("diffusion_models"), *_demo_choice()]


def vae_choices() -> list[str]:
    """Entries of the VAE loader: what is in models/vae, and the demo world's."""
    return [*folder_paths.get_filename_list("vae"), *_demo_choice()]


def _demo_choice() -> list[str]:
    return [DEMO_WORLD] if (BUILTIN_FOLDER / MANIFEST).exists() else []


def decoder_choices() -> list[str]:
    """Entries for the decoder: the VAE's own, or a tiny one in models/vae_approx."""
    return [FULL_DECODER, *folder_paths.get_filename_list("vae_approx")]


def load_generator(file: str, dtype: str, attention: str, precision: str = EXACT) -> comfy.model_patcher.ModelPatcher:
    """A generator as core's MODEL; raises CheckpointError, or BackendError for an attention or a precision that is
    not there."""
    check_precision(precision, memory.get_torch_device())
    demo = demo_world() if file == DEMO_WORLD else None
    path = _model_path("diffusion_models", file) if demo is None else demo.generator
    function = attention_function(attention)
    generator = read_generator(path, dtype, memory.unet_offload_device(), HostOperations)
    stored = generator.get_submodule("blocks.0.ffn.0").get_parameter("weight").dtype
    generator.compute_dtype = compute_dtype(stored, memory.get_torch_device())
    generator.attention = function
    if precision != EXACT:
        generator.precision = precision
        quantise_when_run(generator, precision)
    size = (variant_of(generator) or default_variant()).size if demo is None else (demo.height, demo.width)
    weights = sum(parameter.nbytes for parameter in generator.parameters()) + quantised_bytes(generator)
    return patcher_for(
        MatrixGameModel(generator, demo is not None, size),
        lambda: bytes_to_stay(generator.config, *size, generator.compute_dtype, weights),
    )


def load_vae(file: str, decoder: str, dtype: str) -> HostVae:
    """A VAE, with the decoder that was chosen; raises CheckpointError."""
    is_demo = file == DEMO_WORLD
    path = demo_world().vae if is_demo else _model_path("vae", file)
    vae: Any = read_vae(path, dtype, memory.vae_offload_device(), HostOperations)
    modules = [vae]
    if decoder != FULL_DECODER:
        path = _model_path("vae_approx", decoder)
        modules.append(read_decoder(path, dtype, memory.vae_offload_device(), HostOperations))
    for module in modules:
        module.lay_weights(memory.get_torch_device())
        module.compute_dtype = compute_dtype(next(module.parameters()).dtype, memory.get_torch_device())
    published = GeneratorConfig()

    def needed() -> int:
        dtype = vae.compute_dtype
        return bytes_to_stay(published, HEIGHT, WIDTH, dtype, generator_bytes(published, dtype)[0])

    return HostVae(vae, modules[-1], tuple(patcher_for(module, needed) for module in modules), is_demo)


def _model_path(folder: str, name: str) -> Path:
    return Path(folder_paths.get_full_path_or_raise(folder, name))


class DecoderOnDevice:
    """A decoder that takes its inputs to the device it computes on, wherever core keeps its weights."""

    def __init__(self, decoder: VideoDecoder, device: torch.device) -> None:
        self._decoder, self._device = decoder, device

    @property
    def latents_behind(self) -> int:
        """See VideoDecoder.latents_behind."""
        return self._decoder.latents_behind

    @property
    def state_device(self) -> torch.device | None:
        """See VideoDecoder.state_device."""
        return self._decoder.state_device

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Those of the decoder itself."""
        return self._decoder.named_parameters()

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        return self._decoder.decode(latents.to(self._device), state)


class VaeOnDevice(DecoderOnDevice):
    """The same for a VAE, which also encodes there."""

    def __init__(self, vae: VideoAutoencoder, device: torch.device) -> None:
        super().__init__(vae, device)
        self._vae = vae

    @property
    def encode_at_once(self) -> bool:
        """See VideoEncoder.encode_at_once."""
        return self._vae.encode_at_once

    @property
    def input_device(self) -> torch.device:
        """See VideoEncoder.input_device."""
        return self._device

    def encode(self, pixels: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoEncoder.encode."""
        return self._vae.encode(pixels.to(self._device), state)


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
        generator_id = model.model.generator_id
        if patches := _applied_patches(model):
            generator_id += f"+{_patches_id(patches)}"
        if model.injections:
            generator_id += f"+{_injections_id(model.injections)}"
        super().__init__(model.model.diffusion_model, autoencoder, decoder, generator_id=generator_id)

    @property
    def device(self) -> torch.device:
        """Where to compute; weights that are elsewhere come layer by layer."""
        return self._patcher.load_device


def _applied_patches(model: comfy.model_patcher.ModelPatcher) -> dict[str, list[Any]]:
    """The patches that core applies. It leaves out those of parameters that stand beside other modules (modulations)
    and, with dynamic VRAM, those of layers that are not its own (RMSNorm)."""
    applied, left_out = {}, []
    for name, patches in model.patches.items():
        owner = model.model.get_submodule(name.rpartition(".")[0])
        leaf = not any(list(child.parameters()) for child in owner.children())
        if leaf and (hasattr(owner, "comfy_cast_weights") or not model.is_dynamic()):
            applied[name] = patches
        else:
            left_out.append(name)
    if left_out:
        log.warning("Matrix-Game: ComfyUI does not apply these parts of a LoRA: %s.", ", ".join(sorted(left_out)))
    return applied


def _patches_id(patches: dict[str, list[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(patches):
        for strength, adapter, *rest in patches[name]:
            digest.update(f"{name}/{strength}".encode())
            for leaf in _leaves_of([getattr(adapter, "weights", adapter), *rest]):
                if isinstance(leaf, Tensor):
                    digest.update(_summary(leaf))
                elif not callable(leaf):  # a LoRA's alpha, or the part of a weight that is patched
                    digest.update(f"/{leaf}".encode())
    return digest.hexdigest()[:8]


def _summary(tensor: Tensor) -> bytes:
    """A tensor's shape, some of its values from all over it, and the sum of all its bytes, which no order changes."""
    flat = tensor.detach().flatten()
    total = int(flat.view(torch.uint8).sum(dtype=torch.int64))
    some = flat[:: flat.numel() // 256 + 1].float().cpu().numpy().tobytes()
    return f"{list(tensor.shape)}/{total}".encode() + some


def _injections_id(injections: dict[str, list[Any]]) -> str:
    """Stands for what is put into layers, such as a bypassed LoRA. Nothing can be known of it but which it is, so it
    has another name in each process."""
    parts = [_INJECTED.setdefault(one, uuid.uuid4().hex) for name in sorted(injections) for one in injections[name]]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]


def tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors inside dataclasses, lists, tuples and dicts."""
    return (leaf for leaf in _leaves_of(value) if isinstance(leaf, Tensor))


def _leaves_of(value: Any) -> Iterator[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            yield from _leaves_of(getattr(value, entry.name))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves_of(part)
    elif isinstance(value, dict):
        yield from _leaves_of(list(value.values()))
    else:
        yield value


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
