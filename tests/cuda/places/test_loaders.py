"""Whatever loads a network puts every tensor of it where it was asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.checkpoints.builtin import demo_world
from comfyui_matrixgame.checkpoints.load import load_decoder
from comfyui_matrixgame.measure.networks import random_models
from comfyui_matrixgame.variants import UNIVERSAL

from ...batch.jobs import CLIP, GENERATOR, VAE
from ...pretend_gpu import Machine
from ..conftest import TINY


def places(network: nn.Module) -> dict[str, set[str]]:
    """Devices of parameters and of buffers."""
    named = {"parameters": network.named_parameters(), "buffers": network.named_buffers()}
    return {kind: {str(tensor.device) for _, tensor in tensors} for kind, tensors in named.items()}


LOADERS: dict[str, Callable[[Path, torch.device], nn.Module]] = {
    "generator": lambda folder, device: load_generator(folder / GENERATOR, "float32", device),
    "int8": lambda folder, device: load_generator(folder / GENERATOR, "float32", device, precision="int8"),
    "fp8": lambda folder, device: load_generator(folder / GENERATOR, "float32", device, precision="fp8"),
    "stored fp8": lambda folder, device: load_generator(folder / GENERATOR, "float8_e4m3fn", device),
    "vae": lambda folder, device: load_vae(folder / VAE, "float32", device),
    "vision": lambda folder, device: load_vision(folder / CLIP, "float32", device),
    "decoder": lambda folder, device: load_decoder(folder / TINY, "float32", device),
}


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
@pytest.mark.parametrize("name", LOADERS)
def test_every_tensor_is_on_the_device(two_gpus: Machine, folder: Path, name: str, device: str) -> None:
    found = places(LOADERS[name](folder, torch.device(device)))
    assert found["parameters"] == {device}
    assert found["buffers"] <= {device}


def test_the_image_tower_sees(two_gpus: Machine, folder: Path) -> None:
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    seen = []
    for device in ("cpu", "cuda:0", "cuda:1"):
        with torch.inference_mode():
            seen.append(load_vision(folder / CLIP, "float32", device)(picture).cpu())
    assert seen[0].shape[1] == 17  # 16 patches of this small tower, and one for all
    for a, b in itertools.pairwise(seen):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_demo_world(gpus: Machine) -> None:
    demo = demo_world()
    loaded = [load_vae(demo.vae, "float32", "cuda"), load_vision(demo.vision, "float32", "cuda")]
    assert all(place <= {"cuda:0"} for network in loaded for place in places(network).values())


def test_networks_that_are_measured(two_gpus: Machine) -> None:
    models = random_models(UNIVERSAL, "tiny", "float32", torch.device("cuda:1"), "wan")
    for network in (models.generator, models.vae, models.decoder):
        assert isinstance(network, nn.Module)
        assert places(network)["parameters"] == {"cuda:1"}
