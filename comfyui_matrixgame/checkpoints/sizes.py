"""The sizes of a network from the shapes in its file, and the shapes that a network of these sizes has.

Nothing is built from a file's sizes before they are found possible.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from ..networks.generator import Generator, GeneratorConfig
from ..networks.generator.action_module import HEAD_DIM as ACTION_HEAD_DIM
from ..networks.generator.model import HEAD_DIM
from ..networks.vae import TinyDecoder, WanVAE
from ..system.words import counted
from ..variants import Variant, variant_of_inputs
from .containers.tensors import printable_name

Shape = tuple[int, ...]
HEAD_DIM_OF_H = 80  # ViT-H: 1280 / 16
HEAD_DIM_OF_SMALL = 16
MOST_LAYERS = 200
WIDEST = 1 << 16
WIDEST_VAE = 1024
LARGEST_IMAGE = 1 << 12  # of an image tower, in pixels
_BLOCK = re.compile(r"blocks\.([0-9]{1,9})\.(.+)")
_TOWER_LAYER = re.compile(r"encoder\.layers\.([0-9]{1,9})\.(.+)")


class Impossible(ValueError):
    """Shapes that no network has. Its text is a whole clause."""


def generator_config(shapes: Mapping[str, Shape]) -> tuple[GeneratorConfig, Variant | None]:
    """Sizes of a generator from our names' shapes, and the variant whose inputs it takes (None: no known one).

    Raises Impossible for shapes that no generator has.
    """
    layers, acting = generator_layers(shapes)
    first = f"blocks.{acting[0]}.action_model." if acting else ""
    mouse = first + "t_qkv.weight" in shapes
    keyboard = first + "keyboard_embed.0.weight"
    keys = _side(shapes, keyboard, 2, 1) if keyboard in shapes else 0
    feed_forward = next((name for i in range(layers) if (name := f"blocks.{i}.ffn.0.weight") in shapes), "")
    variant = variant_of_inputs(keys, mouse)
    config = GeneratorConfig(
        dim=_side(shapes, "patch_embedding.weight", 5, 0, multiple=HEAD_DIM),
        ffn_dim=_side(shapes, feed_forward, 2, 0),
        layers=layers,
        visual_dim=_side(shapes, "img_emb.proj.0.weight", 1, 0),
        action_layers=acting,
        action_dim=_side(shapes, first + "mouse_attn_q.weight", 2, 0, multiple=ACTION_HEAD_DIM),
        keyboard_dim=keys or 1,
        keyboard_hidden=_side(shapes, keyboard, 2, 0),
        mouse=mouse,
        window=variant.window if variant else 0,
        sink=variant.sink if variant else 0,
    )
    return config, variant


def variant_of(generator: Generator) -> Variant | None:
    """A generator's variant: the one it was loaded as, or the one that takes its inputs; None: no known one."""
    shapes = {name: tuple(parameter.shape) for name, parameter in generator.named_parameters()}
    return generator.variant or generator_config(shapes)[1]


def generator_layers(names: Collection[str]) -> tuple[int, tuple[int, ...]]:
    """How many layers a generator has by our names of its tensors, and which of them take inputs; raises Impossible."""
    found = [(int(match[1]), match[2]) for name in names if (match := _BLOCK.fullmatch(name))]
    layers = _layers({number for number, _ in found}, len(names))
    return layers, tuple(sorted({number for number, rest in found if rest.startswith("action_model.")}))


def generator_shapes(config: GeneratorConfig) -> dict[str, Shape]:
    """Our name of every tensor of a generator -> its shape. One layer of each kind stands for all."""
    with torch.device("meta"):
        two = shapes_of(Generator(replace(config, layers=2, action_layers=(0,))))
    kinds = [{name[9:]: shape for name, shape in two.items() if name.startswith(f"blocks.{i}.")} for i in (0, 1)]
    shapes = {name: shape for name, shape in two.items() if not name.startswith("blocks.")}
    acting = set(config.action_layers)
    for layer in range(config.layers):
        kind = kinds[0 if layer in acting else 1]
        shapes |= {f"blocks.{layer}.{rest}": shape for rest, shape in kind.items()}
    return shapes


def vae_width(shapes: Mapping[str, Shape]) -> int:
    """The base width of a Wan VAE; raises Impossible."""
    return _side(shapes, "decoder.head.2.weight", 5, 1, most=WIDEST_VAE)


def vae_shapes(width: int) -> dict[str, Shape]:
    """Name of every tensor of a Wan VAE -> its shape."""
    with torch.device("meta"):
        return shapes_of(WanVAE(width))


def tiny_shapes() -> dict[str, Shape]:
    """Our name of every tensor of a tiny decoder -> its shape."""
    with torch.device("meta"):
        return shapes_of(TinyDecoder())


def vision_sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Sizes of an image tower from the names of transformers' CLIP vision model.

    Raises KeyError where a name is missing, and Impossible for shapes that no tower has.
    """
    patches, places = "embeddings.patch_embedding.weight", "embeddings.position_embedding.weight"
    for name in (patches, places, "encoder.layers.0.mlp.fc1.weight"):
        shapes[name]
    hidden, patch = _side(shapes, patches, 4, 0), _side(shapes, patches, 4, 2, most=LARGEST_IMAGE)
    rows = _side(shapes, places, 2, 0) - 1
    image_size = round(rows**0.5) * patch
    if rows < 1 or round(rows**0.5) ** 2 != rows or image_size > LARGEST_IMAGE:
        raise Impossible(f"its {rows} places are not those of a square image")
    numbers = {int(match[1]) for name in shapes if (match := _TOWER_LAYER.fullmatch(name))}
    head_dim = HEAD_DIM_OF_H if hidden % HEAD_DIM_OF_H == 0 else HEAD_DIM_OF_SMALL
    if hidden % head_dim:
        raise Impossible(f"its width of {hidden} is not a multiple of {head_dim}")
    return {
        "hidden": hidden,
        "mlp": _side(shapes, "encoder.layers.0.mlp.fc1.weight", 2, 0),
        "layers": _layers(numbers, len(shapes)),
        "heads": hidden // head_dim,
        "image_size": image_size,
        "patch_size": patch,
    }


def vision_shapes(sizes: Mapping[str, int]) -> dict[str, Shape]:
    """Transformers' name of every tensor of an image tower that is used -> its shape: all but the last block's."""
    hidden, mlp, patch = sizes["hidden"], sizes["mlp"], sizes["patch_size"]
    norm = {"weight": (hidden,), "bias": (hidden,)}
    square = {"weight": (hidden, hidden), "bias": (hidden,)}
    layer = {
        "layer_norm1": norm,
        "layer_norm2": norm,
        **{f"self_attn.{name}_proj": square for name in ("q", "k", "v", "out")},
        "mlp.fc1": {"weight": (mlp, hidden), "bias": (mlp,)},
        "mlp.fc2": {"weight": (hidden, mlp), "bias": (hidden,)},
    }
    modules = {"pre_layrnorm": norm, "post_layernorm": norm}
    for number in range(sizes["layers"] - 1):
        modules |= {f"encoder.layers.{number}.{name}": parts for name, parts in layer.items()}
    return {
        "embeddings.class_embedding": (hidden,),
        "embeddings.patch_embedding.weight": (hidden, 3, patch, patch),
        "embeddings.position_embedding.weight": (1 + (sizes["image_size"] // patch) ** 2, hidden),
        **{f"{module}.{part}": shape for module, parts in modules.items() for part, shape in parts.items()},
    }


def shapes_of(module: torch.nn.Module) -> dict[str, Shape]:
    """Name -> shape of a network's tensors."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _layers(numbers: set[int], tensors: int) -> int:
    """How many layers a network has whose blocks have these numbers."""
    layers = max(numbers, default=-1) + 1
    if not layers:
        raise Impossible("it has no blocks")
    if layers > min(tensors, MOST_LAYERS):
        raise Impossible(f"it names block {layers - 1:,}, and has {counted(tensors, 'tensor', form=',')}")
    return layers


def _side(shapes: Mapping[str, Shape], name: str, sides: int, index: int, multiple: int = 1, most: int = WIDEST) -> int:
    """One side of a tensor that must have so many; `multiple`, the least possible, where there is no such tensor."""
    shape = shapes.get(name)
    if shape is None:
        return multiple
    if len(shape) != sides:
        raise Impossible(f"{printable_name(name)} is {list(shape)}, and should have {sides} sides")
    side = shape[index]
    if not 0 < side <= most or side % multiple:
        raise Impossible(f"{printable_name(name)} is {list(shape)}, which no such model has")
    return side
