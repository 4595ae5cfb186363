"""Small untrained networks whose weights follow from their names: for trying every stage without a download.

What they render means nothing; whoever uses them says so. A tensor called `key` of a model called `prefix` is
drawn from a generator seeded with the CRC of "prefix/key", so anyone can make the same files again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..networks.generator import Generator, GeneratorConfig
from ..networks.vae import WanVAE
from ..networks.vision import ImageEncoder
from ..variants import Variant

SMALL_VISION = {"hidden": 64, "mlp": 128, "layers": 3, "heads": 4, "image_size": 56, "patch_size": 14}


def stream(name: str, shape: Sequence[int], scale: float = 1.0, mean: float = 0.0) -> Tensor:
    """Normal values that belong to a name, float32."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    return torch.from_numpy((mean + scale * values).astype(np.float32))


def weight(prefix: str, key: str, shape: Sequence[int]) -> Tensor:
    """The tensor `key` of the model `prefix`, scaled so that signals keep their size."""
    name = f"{prefix}/{key}"
    if key.endswith((".bias", ".beta")):
        return stream(name, shape, 0.05)
    if key.endswith(("modulation", "cls_embedding", "pos_embedding")):
        return stream(name, shape, 0.3)
    if key.endswith(".gamma") or (key.endswith(".weight") and len(shape) == 1):
        return stream(name, shape, 0.1, 1.0)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
    return stream(name, shape, fan_in**-0.5)


def weights(prefix: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """All tensors of a model."""
    return {key: weight(prefix, key, shape) for key, shape in shapes.items()}


def shapes_of(module: nn.Module) -> dict[str, list[int]]:
    """Name -> shape of a network's tensors."""
    return {key: list(tensor.shape) for key, tensor in module.state_dict().items()}


def small_config(variant: Variant) -> GeneratorConfig:
    """A generator of a few million parameters with the variant's inputs and window."""
    return GeneratorConfig(
        dim=256,
        ffn_dim=512,
        layers=4,
        visual_dim=SMALL_VISION["hidden"],
        action_layers=(0, 1),
        action_dim=128,
        keyboard_dim=len(variant.keys),
        keyboard_hidden=16,
        mouse=variant.mouse,
        window=variant.window,
        sink=variant.sink,
    )


def write_small_files(folder: Path, variant: Variant) -> dict[str, Path]:
    """Write generator, VAE and image tower in the published layouts; returns their paths by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        generator, vae = Generator(small_config(variant)), WanVAE(base_dim=8)
        vision = ImageEncoder(**SMALL_VISION)
    tower = {f"vision_model.{k.removeprefix('vision_model.')}": v for k, v in shapes_of(vision.model).items()}
    last = SMALL_VISION["layers"] - 1  # published files carry the last block, which is never run
    tower |= {
        name.replace(f"layers.{last - 1}.", f"layers.{last}."): shape
        for name, shape in tower.items()
        if f"layers.{last - 1}." in name
    }
    made = {
        "generator": {f"model.{k}": v for k, v in weights(f"small/{variant.name}", shapes_of(generator)).items()},
        "vae": weights("small/vae", shapes_of(vae)),
        "clip": weights("small/clip", tower),
    }
    paths = {}
    for kind, tensors in made.items():
        paths[kind] = folder / f"untrained_{kind}_{variant.name}.safetensors"
        save_file(tensors, paths[kind])
    return paths
