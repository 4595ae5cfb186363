"""Small files with the names that the workflows use, in a host's models folder: random weights, real formats.

The image tower is ViT-L in size, the smallest that core's loader knows.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from comfyui_matrixgame.checkpoints.formats import vision_sizes
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE
from comfyui_matrixgame.networks.vae.tiny import PUBLISHED_NAMES
from comfyui_matrixgame.variants import VARIANTS, Variant

from ..support.networks import weights

GENERATORS = {
    "base_distill.safetensors": "universal",
    "gta_keyboard2dim.safetensors": "gta_drive",
    "templerun_7dim_onlykey.safetensors": "templerun",
}
FOUNDATION = "base_model.safetensors"
UNIVERSAL, VAE = "base_distill.safetensors", "wan_2.1_vae.safetensors"
TINY, CLIP = "lighttaew2_1.safetensors", "clip_vision_h.safetensors"
LORA, UNET = "camera_lora.safetensors", "another_model.safetensors"
UPSCALER = "RealESRGAN_x4plus.safetensors"
VISUAL_DIM, CLIP_LAYERS, CLIP_MLP = 1024, 24, 4096


def write_models(folder: Path) -> None:
    """Everything the tests load, below a models folder."""
    for name, variant in GENERATORS.items():
        save(
            folder / "diffusion_models" / name,
            {f"model.{k}": v for k, v in generator_tensors(VARIANTS[variant]).items()},
        )
    save(folder / "vae" / VAE, shaped(WanVAE(base_dim=4), "host/vae"))
    save(folder / "vae_approx" / TINY, tiny_tensors())
    save(folder / "clip_vision" / CLIP, clip_tensors())
    save(folder / "loras" / LORA, lora_tensors())
    save(folder / "upscale_models" / UPSCALER, upscaler_tensors())
    save(folder / "diffusion_models" / UNET, {"input_blocks.0.0.weight": torch.ones(4, 4), "out.2.bias": torch.ones(4)})


def save(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def shaped(module: torch.nn.Module, prefix: str) -> dict[str, Tensor]:
    """Named-stream weights for a module."""
    return weights(prefix, {name: list(tensor.shape) for name, tensor in module.state_dict().items()})


def generator_tensors(variant: Variant) -> dict[str, Tensor]:
    """Weights of a small generator of a variant."""
    config = GeneratorConfig(
        dim=128, ffn_dim=128, layers=2, visual_dim=VISUAL_DIM, action_layers=(0,), action_dim=64,
        keyboard_dim=len(variant.keys), keyboard_hidden=8, mouse=variant.mouse, window=variant.window,
    )  # fmt: skip
    return shaped(Generator(config), f"host/{variant.name}")


def foundation_tensors() -> dict[str, Tensor]:
    """Weights of a small foundation model: 30 layers, all of which take inputs."""
    config = GeneratorConfig(
        dim=128, ffn_dim=128, layers=30, visual_dim=VISUAL_DIM, action_layers=tuple(range(30)), action_dim=64,
        keyboard_hidden=8,
    )  # fmt: skip
    return shaped(Generator(config), "host/foundation")


def tiny_tensors() -> dict[str, Tensor]:
    """Weights of a tiny decoder under the published names."""
    tensors = {}
    for ours, tensor in shaped(TinyDecoder(), "host/tiny").items():
        module = next(name for name in PUBLISHED_NAMES if ours.startswith(name + "."))
        rest = ours[len(module) + 1 :]
        inner = "conv." if module.endswith(".grow") else ""
        tensors[f"{PUBLISHED_NAMES[module]}.{inner}{rest}"] = tensor
    return tensors


def lora_tensors(rank: int = 2) -> dict[str, Tensor]:
    """A LoRA that changes one layer a lot."""
    down, up = torch.ones(rank, 128), torch.ones(128, rank)
    name = "diffusion_model.blocks.0.self_attn.o"
    return {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up, f"{name}.alpha": torch.tensor(float(rank))}


def upscaler_tensors(features: int = 4, growth: int = 32) -> dict[str, Tensor]:
    """Weights of an ESRGAN network of one block, in its authors' names: pictures become four times as large."""
    sizes = {"model.0": (features, 3), "model.10": (3, features)}
    sizes |= {f"model.{name}": (features, features) for name in ("1.sub.1", "3", "6", "8")}
    for part in (1, 2, 3):
        for conv in range(1, 6):
            outputs = growth if conv < 5 else features
            sizes[f"model.1.sub.0.RDB{part}.conv{conv}.0"] = (outputs, features + growth * (conv - 1))
    random = torch.Generator().manual_seed(2)
    tensors = {}
    for name, (outputs, inputs) in sizes.items():
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=random) / (3 * inputs**0.5)
        tensors[f"{name}.bias"] = torch.zeros(outputs)
    return tensors


def clip_tensors() -> dict[str, Tensor]:
    """Weights of an image tower in core's and transformers' names, float16."""
    dim, random = VISUAL_DIM, torch.Generator().manual_seed(1)

    def draw(*shape: int, around: float = 0.0) -> Tensor:
        return (torch.randn(shape, generator=random) * 0.02 + around).half()

    tensors = {
        "embeddings.class_embedding": draw(dim),
        "embeddings.patch_embedding.weight": draw(dim, 3, 14, 14),
        "embeddings.position_embedding.weight": draw(257, dim),
    }
    for norm in ("pre_layrnorm", "post_layernorm"):
        tensors |= {f"{norm}.weight": draw(dim, around=1), f"{norm}.bias": draw(dim)}
    for i in range(CLIP_LAYERS):
        layer = f"encoder.layers.{i}."
        sizes = {f"self_attn.{x}_proj": (dim, dim) for x in ("q", "k", "v", "out")}
        sizes |= {"mlp.fc1": (CLIP_MLP, dim), "mlp.fc2": (dim, CLIP_MLP)}
        for name, size in sizes.items():
            tensors |= {f"{layer}{name}.weight": draw(*size), f"{layer}{name}.bias": draw(size[0])}
        for norm in ("layer_norm1", "layer_norm2"):
            tensors |= {f"{layer}{norm}.weight": draw(dim, around=1), f"{layer}{norm}.bias": draw(dim)}
    assert vision_sizes({name: tuple(tensor.shape) for name, tensor in tensors.items()})["layers"] == CLIP_LAYERS
    named = {f"vision_model.{name}": tensor for name, tensor in tensors.items()}
    return named | {"visual_projection.weight": draw(768, dim)}
