"""Where tensors lie: loaders put all of them on the device asked for, and no network's name depends on it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from comfyui_matrixgame.checkpoints import load_decoder, load_generator, load_vae, load_vision
from comfyui_matrixgame.checkpoints.untrained import weights, write_small_files
from comfyui_matrixgame.networks.vae.low_memory import TiledDecoder, VisitingEncoder
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world.models import network_id

from ...support.networks import manifest, small_models

NAMES = {"generator": "c9a93c2ffc77", "vae": "005bdaa37831", "decoder": "cf920ce00ba1"}
LOADERS: dict[str, Any] = {
    "generator": load_generator, "vae": load_vae, "clip": load_vision, "decoder": load_decoder,
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    found = write_small_files(folder, UNIVERSAL) | {"decoder": folder / "tiny.safetensors"}
    save_file(weights("taehv", manifest("taehv")), found["decoder"])
    return found


def places(network: nn.Module) -> set[str]:
    return {str(tensor.device) for tensor in (*network.parameters(), *network.buffers())}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loaders_put_every_parameter_and_buffer_where_it_was_asked_for(
    two_gpus: Any, files: dict[str, Path], kind: str, dtype: str
) -> None:
    assert places(LOADERS[kind](files[kind], dtype, "cuda:1")) == {"cuda:1"}


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_so_they_do_with_weights_in_8_bits(two_gpus: Any, files: dict[str, Path], precision: str) -> None:
    assert places(load_generator(files["generator"], "bfloat16", "cuda:1", precision=precision)) == {"cuda:1"}


def test_loading_waits_once_a_tensor(two_gpus: Any, files: dict[str, Path]) -> None:
    vae = load_vae(files["vae"], "bfloat16", "cuda:0")
    assert len(two_gpus.waits) <= len(list(vae.parameters()))


def split_over(network: nn.Module, *devices: str) -> nn.Module:
    """A copy of a network whose parameters lie on these devices in turn."""
    split = copy.deepcopy(network)
    for index, parameter in enumerate(split.parameters()):
        parameter.data = parameter.data.to(devices[index % len(devices)])
    return split


def test_a_network_has_one_name_wherever_its_tensors_lie(two_gpus: Any) -> None:
    models = small_models(tiny=True)
    for network in (models.generator, models.vae, models.decoder):
        assert isinstance(network, nn.Module)
        name = network_id(network)
        for devices in (["cuda:0"], ["cuda:1"], ["cpu", "cuda:0"], ["cuda:1", "cpu", "cuda:0"]):
            assert network_id(split_over(network, *devices)) == name
        other = split_over(network, "cuda:0", "cpu")
        next(other.parameters()).data[0] += 1
        assert network_id(other) != name


def test_wrapped_networks_have_the_name_of_what_they_wrap(two_gpus: Any) -> None:
    models = small_models()
    name = network_id(models.vae)
    device = torch.device("cuda", 1)
    for decodes in (True, False):
        visiting: Any = VisitingEncoder(copy.deepcopy(models.vae), device, decodes)
        assert network_id(visiting) == name
        tiled: Any = TiledDecoder(visiting, 2)
        on_cpu: Any = TiledDecoder(models.vae, 2)
        assert network_id(tiled) == network_id(on_cpu) != name


def test_names_that_saved_worlds_hold_stay(two_gpus: Any) -> None:
    """Worlds that were saved before networks were named in one order have these in them."""
    models = small_models(tiny=True)
    assert {part: network_id(getattr(models, part))[:12] for part in NAMES} == NAMES
