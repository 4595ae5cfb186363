"""Golden numbers, small models and inputs for the tests; weights come from named streams (golden/README.md)."""

from __future__ import annotations

import functools
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints.untrained import shapes_of, stream, weight, weights  # noqa: F401 (for the tests)
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE
from comfyui_matrixgame.networks.vision import ImageEncoder
from comfyui_matrixgame.variants import VARIANTS, Variant, read_like
from comfyui_matrixgame.world import Models

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def golden_metadata(name: str) -> dict[str, str]:
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        return file.metadata()


def manifest(name: str) -> dict[str, list[int]]:
    return json.loads((GOLDEN / "manifest" / f"{name}.json").read_text())


def largest_difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape, (a.shape, b.shape)
    return (a.double() - b.double()).abs().max().item()


def golden_config(name: str) -> GeneratorConfig:
    """The small generator of a golden rollout, or of `foundation`."""
    file = name if name == "foundation" else f"rollout_{name}"
    config = json.loads(golden_metadata(file)["config"])
    actions = config["action_config"]
    return GeneratorConfig(
        dim=config["dim"],
        ffn_dim=config["ffn_dim"],
        layers=config["num_layers"],
        action_layers=tuple(actions["blocks"]),
        action_dim=actions["keyboard_hidden_dim"],
        keyboard_dim=actions["keyboard_dim_in"],
        keyboard_hidden=actions["hidden_size"],
        mouse=actions["enable_mouse"],
        window=config.get("local_attn_size", 0),
        sink=config.get("sink_size", 0),
    )


def with_streams(model: torch.nn.Module, prefix: str) -> torch.nn.Module:
    """The model with weights of named streams, ready to run."""
    model.load_state_dict(weights(prefix, shapes_of(model)))
    return model.eval().requires_grad_(False)


SINK = read_like(
    {
        "format": "matrixgame.variant", "version": 1, "like": "universal", "name": "with_sink", "title": "With a sink",
        "steps": [1000, 750, 500, 250], "sink": 1,
    },
    "with_sink",
)  # fmt: skip
"""A relative of universal whose first latent frame stays in the window."""
SMALL = VARIANTS | {SINK.name: SINK}
"""The variants that `small_models` knows."""


def thinned(vae: WanVAE) -> WanVAE:
    """The VAE without the layers that repeat the one before them: of each kind one is left at each resolution."""
    for part, layers in ((vae.encoder, vae.encoder.downsamples), (vae.decoder, vae.decoder.upsamples)):
        left = [layers[0], *(layer for last, layer in itertools.pairwise(layers) if type(layer) is not type(last))]
        in_time = [i for i, layer in enumerate(left) if getattr(layer, "time_conv", None) is not None]
        part.large = in_time[0] if part is vae.encoder else 1 + in_time[-1]
        if part is vae.decoder:
            part.small = in_time[0]
        setattr(part, "downsamples" if part is vae.encoder else "upsamples", torch.nn.ModuleList(left))
    return vae


@functools.cache
def small_models(name: str = "universal", tiny: bool = False) -> Models:
    """A generator, VAE and image tower of a few thousand weights, for tests of everything but numbers."""
    variant = SMALL[name]
    config = GeneratorConfig(
        dim=128, ffn_dim=128, layers=2, visual_dim=32, action_layers=(0,), action_dim=64, sink=variant.sink,
        keyboard_dim=len(variant.keys), keyboard_hidden=8, mouse=variant.mouse, window=variant.window,
    )  # fmt: skip
    generator = with_streams(Generator(config), f"small/{name}")
    generator.variant = variant  # type: ignore[assignment]
    vae = with_streams(WanVAE(base_dim=4), "small/vae")
    vision = with_streams(
        ImageEncoder(hidden=32, mlp=64, layers=3, heads=2, image_size=56, patch_size=14), "small/clip"
    )
    decoder = with_streams(TinyDecoder(), "small/tiny") if tiny else None
    return Models(generator, vae, decoder, vision)  # type: ignore[arg-type]


def small_image(height: int = 32, width: int = 48, name: str = "image") -> Tensor:
    """A start image in [-1, 1]."""
    return stream(name, (3, height, width)).tanh()


def random_track(variant: Variant, rows: int, name: str = "track") -> ActionTrack:
    """Inputs that change on every row."""
    state = np.random.RandomState(zlib.crc32(f"{name}/{variant.name}".encode()))
    if variant.exclusive:
        keyboard = np.eye(len(variant.keys), dtype=np.float32)[state.randint(len(variant.keys), size=rows)]
    else:
        keyboard = (state.rand(rows, len(variant.keys)) < 0.3).astype(np.float32)
    mouse = np.round(state.uniform(-0.2, 0.2, (rows, 2)), 3).astype(np.float32) if variant.mouse else None
    return ActionTrack(variant, keyboard, mouse)
