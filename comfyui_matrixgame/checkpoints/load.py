"""Loading weights: strictly, one tensor at a time, straight into the wanted dtype."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn as nn
from torch import Tensor

from ..compute.choices import DTYPE_NAMES
from ..compute.devices import multiplies_bfloat16
from ..compute.ops import Operations, OperationsLike, cpu_multiplies_bfloat16
from ..compute.quantise import EXACT, can_be_quantised, check_precision, named_layers, quantise, quantised_size
from ..compute.streaming import streamed_bytes
from ..errors import BackendError, CheckpointError
from ..networks.generator import Generator, GeneratorConfig
from ..networks.generator.bidirectional import FoundationGenerator
from ..networks.vae import TinyDecoder, WanVAE
from ..networks.vision import ImageEncoder
from ..system.resources import give_back
from ..variants import Variant
from .formats import FOUNDATION, FileReport, recognise, vision_sizes
from .lora.merging import Lora, merging
from .reader import VAE, VISION, WeightsFile, open_weights
from .tables.vision_names import vision_name

log = logging.getLogger(__name__)
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPE_NAMES}
TOWER = "a CLIP image tower (clip_vision_h)"
_KEEP_WIDE = ("patch_embedding", "time_", "head.", "img_emb", "keyboard_embed", "mouse_mlp.0")


def load_generator(
    path: str | Path,
    dtype: str = "auto",
    device: str | torch.device = "cpu",
    operations: OperationsLike = Operations,
    precision: str = EXACT,
    loras: Sequence[Lora] = (),
    variant: Variant | None = None,
) -> Generator:
    """The generator in a file, ready to run.

    dtype: what the weights are stored in: `auto` (as in the file, but float32 becomes bfloat16), `float32`,
    `bfloat16`, `float16` or `float8_e4m3fn` (linear layers only). The activations' dtype follows from it and
    from what the device computes fast in. precision: one of quantise.PRECISIONS; the device then holds the large
    layers in 8 bits only. loras: merged into the weights, in their order. variant: what it is to run as; None: what its
    description says, or its shapes.
    Raises CheckpointError where the file is missing, damaged, incomplete or of another model, VariantError for a
    variant with other inputs, and BackendError for a dtype or precision that is unknown or that the device cannot
    compute in.
    """
    device = torch.device(device)
    check_precision(precision, device)
    with open_weights(path) as file:
        report = _expect(file, "generator", "a Matrix-Game 2.0 generator", variant)
        if report.variant is None or report.config is None:
            raise CheckpointError(f"{file.name} is a {report.title}; describe its inputs with `matrixgame describe`.")
        storage = storage_dtype(dtype, report.dtype)
        with torch.device("meta"):
            model = Generator(report.config, operations)
        model.variant, model.doubt = report.variant, report.doubt
        if report.doubt:
            log.warning("%s: %s", file.name, report.doubt)
        place = device if precision == EXACT else torch.device("cpu")

        def read(name: str) -> Tensor:
            return merging(loras, name, file.tensor(report.names[name]))

        _fill(model, place, lambda name: _generator_dtype(name, storage), read)
    quantise(model, precision)
    model.to(device)
    model.lay_weights(device)
    give_back(device)
    model.compute_dtype = compute_dtype(storage, device)
    return model


def load_foundation(
    path: str | Path,
    dtype: str = "auto",
    device: str | torch.device = "cpu",
    operations: OperationsLike = Operations,
    loras: Sequence[Lora] = (),
) -> FoundationGenerator:
    """The foundation model in a file; dtype, loras and errors as in load_generator."""
    device = torch.device(device)
    with open_weights(path) as file:
        report = _expect(file, FOUNDATION, "the Matrix-Game 2.0 foundation model")
        if report.variant is None or report.config is None:
            raise CheckpointError(f"{file.name} is a foundation model with keys that no known variant has.")
        storage = storage_dtype(dtype, report.dtype)
        with torch.device("meta"):
            model = FoundationGenerator(report.config, operations)
        model.variant = report.variant

        def read(name: str) -> Tensor:
            return merging(loras, name, file.tensor(report.names[name]))

        _fill(model, device, lambda name: _generator_dtype(name, storage), read)
    model.lay_weights(device)
    model.compute_dtype = compute_dtype(storage, device)
    return model


def load_vae(
    path: str | Path, dtype: str = "auto", device: str | torch.device = "cpu", operations: OperationsLike = Operations
) -> WanVAE:
    """The Wan VAE in a file; dtype and errors as in load_generator."""
    with open_weights(path, VAE) as file:
        report = _expect(file, "vae", "a Wan 2.1 VAE")
        storage = storage_dtype(dtype, report.dtype)
        with torch.device("meta"):
            width = file.tensors[report.names["decoder.head.2.weight"]].shape[1]
            model = WanVAE(width, operations)
        _fill(model, torch.device(device), lambda _: storage, lambda name: file.tensor(report.names[name]))
    model.lay_weights(torch.device(device))
    model.compute_dtype = compute_dtype(storage, torch.device(device))
    return model


def load_decoder(
    path: str | Path,
    dtype: str = "auto",
    device: str | torch.device = "cpu",
    operations: OperationsLike = Operations,
    latents: str = "auto",
) -> TinyDecoder:
    """The tiny decoder in a file; dtype and errors as in load_generator.

    latents: `normalised` (taew2_1) or `denormalised` (lighttaew2_1); `auto` decides by the file's dtype, the
    only difference between the two published files.
    """
    if latents not in ("auto", "normalised", "denormalised"):
        raise BackendError(f"A tiny decoder takes normalised or denormalised latents, not '{latents}'.")
    with open_weights(path) as file:
        report = _expect(file, "decoder", "a tiny video decoder (taew2_1 or lighttaew2_1)")
        storage = storage_dtype(dtype, report.dtype)
        denormalised = report.layout == "lighttaew2_1" if latents == "auto" else latents == "denormalised"
        with torch.device("meta"):
            model = TinyDecoder(denormalised, operations)

        def read(name: str) -> Tensor:
            return file.tensor(report.names[name])

        _fill(model, torch.device(device), lambda _: storage, read)
    model.lay_weights(torch.device(device))
    model.compute_dtype = compute_dtype(storage, torch.device(device))
    return model


def tower_sizes(path: str | Path) -> dict[str, int]:
    """Sizes of the image tower in a file, as `vision_sizes` names them, without its weights. Raises CheckpointError
    where the file has none."""
    with open_weights(path, VISION) as file:
        _expect(file, "vision", TOWER)
        return vision_sizes(_tower_shapes(file))


def load_vision(path: str | Path, dtype: str = "auto", device: str | torch.device = "cpu") -> ImageEncoder:
    """The image tower in a file; dtype and errors as in load_generator."""
    with open_weights(path, VISION) as file:
        report = _expect(file, "vision", TOWER)
        # transformers computes in what it stores, and the tower is gone after the start: store what is fast
        storage = compute_dtype(storage_dtype(dtype, report.dtype), torch.device(device))
        sizes = vision_sizes(_tower_shapes(file))
        with torch.device("meta"):
            model = ImageEncoder(**sizes)
        prefix = "vision_model." if any(n.startswith("vision_model.") for n in model.model.state_dict()) else ""

        def read(name: str) -> Tensor:
            return _tower_tensor(file, report, name.removeprefix(prefix))

        _fill(model.model, torch.device(device), lambda _: storage, read)
        # made on the meta device with the module, and in no file
        for module in model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                if name == "position_ids":
                    ids = torch.arange(buffer.shape[-1], device=device).expand(1, -1)
                    module.register_buffer(name, ids, persistent=False)
    return model


def storage_dtype(wanted: str, in_file: str) -> torch.dtype:
    """The dtype weights are kept in. Raises BackendError for an unknown name."""
    if wanted == "auto":
        return DTYPES.get(in_file, torch.bfloat16) if in_file != "float32" else torch.bfloat16
    if wanted not in DTYPES:
        raise BackendError(f"There is no dtype '{wanted}'; use auto, {', '.join(DTYPES)}.")
    return DTYPES[wanted]


def compute_dtype(storage: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of the activations: the weights' own where the device is fast in it, otherwise float32 on a CPU.

    A card without bfloat16 computes in float16, four to eight times as fast there as float32. Other programs run
    all networks of the Wan family, and CLIP's, in it; sums, norms and scores are in float32 here. Should values
    overflow all the same, the rollout reports it (world/block/finish.py), and float32 remains.
    """
    if storage.itemsize == 1:
        storage = torch.bfloat16
    if storage == torch.float32:
        return storage
    if device.type == "cpu":
        return storage if storage == torch.bfloat16 and cpu_multiplies_bfloat16() else torch.float32
    return storage if storage != torch.bfloat16 or multiplies_bfloat16(device) else torch.float16


def generator_bytes(config: GeneratorConfig, storage: torch.dtype, precision: str = EXACT) -> tuple[int, int]:
    """Bytes of a generator's weights on the device that computes: all of them, and those that remain there where the
    large ones are streamed."""
    with torch.device("meta"):
        model = Generator(config)
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(_generator_dtype(name, storage))
    whole = sum(parameter.nbytes for parameter in model.parameters())
    large, places = streamed_bytes(model)
    rest = whole - large
    if precision != EXACT:
        for _, layer in named_layers(model):
            if can_be_quantised(layer):
                small = quantised_size(layer)
                whole += small - layer.get_parameter("weight").nbytes
                rest += small - layer.get_parameter("weight").numel()
        places = places // storage.itemsize
    return whole, rest + places


def _generator_dtype(name: str, storage: torch.dtype) -> torch.dtype:
    if storage.itemsize > 1:
        return storage
    wide = not name.endswith(".weight") or any(part in name for part in _KEEP_WIDE) or "norm" in name
    return torch.bfloat16 if wide else storage


def _expect(file: WeightsFile, kind: str, what: str, variant: Variant | None = None) -> FileReport:
    report = recognise(file, chosen=variant)
    name = file.name
    if report.kind != kind:
        raise CheckpointError(f"{name} is not {what}: it is {report.title}. {report.advice}".rstrip())
    if not report.complete:
        raise CheckpointError(
            f"{name} looks like {what} but does not fit: {report.problems()}. It is incomplete or half converted; "
            "get the published file."
        )
    return report


def _fill(
    model: nn.Module,
    device: torch.device,
    dtype_of: Callable[[str], torch.dtype],
    read: Callable[[str], Tensor],
) -> None:
    """Replace the parameters of a model on the meta device, one at a time."""
    for name, parameter in list(model.named_parameters()):
        tensor = read(name).reshape(parameter.shape).to(dtype_of(name))
        if not torch.isfinite(tensor.flatten()[:4096].float()).all():  # before it is on a device, which would wait
            raise CheckpointError(f"The tensor {name} holds values that are not numbers; the file is damaged.")
        tensor = tensor.to(device)
        owner = model.get_submodule(name.rpartition(".")[0])
        setattr(owner, name.rpartition(".")[2], nn.Parameter(tensor, requires_grad=False))
    model.eval()
    give_back(device)


def _tower_shapes(file: WeightsFile) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, info in file.tensors.items():
        found = vision_name(name)
        if found is not None:
            shapes[found[0].format("q")] = info.shape
    shapes["embeddings.position_embedding.weight"] = shapes["embeddings.position_embedding.weight"][-2:]
    return shapes


def _tower_tensor(file: WeightsFile, report: FileReport, name: str) -> Tensor:
    theirs = report.names[name]
    tensor = file.tensor(theirs)
    if theirs.endswith((".to_qkv.weight", ".to_qkv.bias")):
        return tensor.chunk(3)["qkv".index(name.rsplit("_proj.", 1)[0][-1])]
    return tensor
