"""Saved worlds: checked field by field and value by value before anything is made of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.networks.vae import tiny, wan
from comfyui_matrixgame.networks.vae.low_memory import TiledDecoder
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import VARIANTS
from comfyui_matrixgame.world import World, load_world, rollout, save_world, start_world
from comfyui_matrixgame.world.files import CHECKSUM, FORMAT

from ..support.networks import random_track, small_image, small_models
from .damaged import FIELDS, HOWS, changed, parts

UNIVERSAL = VARIANTS["universal"]


@pytest.fixture(scope="module")
def world() -> World:
    """A world after its first block."""
    run = rollout(small_models(), start_world(small_models(), small_image(), 7), random_track(UNIVERSAL, 8))
    list(run)
    return run.world


@pytest.fixture
def path(world: World, tmp_path: Path) -> Path:
    return save_world(world, tmp_path / "w.safetensors")


def write_old(path: Path, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """A file as it was written before there was a checksum."""
    fields = {name: value for name, value in about.items() if name != CHECKSUM}
    save_file(dict(tensors), path, {FORMAT: json.dumps(fields)})


def refused(path: Path, says: str) -> None:
    with pytest.raises(WorldError, match=says) as raised:
        load_world(path)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


MAPS = Path("/proc/self/maps")


@pytest.mark.skipif(not MAPS.exists(), reason="This system does not say which files are mapped.")
def test_a_world_that_was_read_does_not_hold_its_file(path: Path) -> None:
    """Windows would let nobody write to it, or delete it, while the world is in use."""
    read = load_world(path)
    assert read.block == 1
    assert str(path.resolve()) not in MAPS.read_text()  # others of this name may be, of earlier tests


def test_a_file_of_before_goes_on_to_the_same_bits(world: World, path: Path) -> None:
    about, tensors = parts(path)
    assert len(about[CHECKSUM]) == 64
    write_old(path, about, tensors)
    track = random_track(UNIVERSAL, 24)
    straight, old = (list(rollout(small_models(), each, track)) for each in (world, load_world(path)))
    for a, b in zip(straight, old, strict=True):
        assert torch.equal(a.frames, b.frames)
        assert torch.equal(a.latents, b.latents)
        assert a.names == b.names


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("decoder", ["wan", "tiny", "tiles"])
@pytest.mark.parametrize("seeds", [1, (1, 2)])
def test_every_world_that_is_saved_is_read(name: str, decoder: str, seeds: Any, tmp_path: Path) -> None:
    models = small_models(name, tiny=decoder == "tiny")
    if decoder == "tiles":
        models = replace(models, decoder=TiledDecoder(models.vae, 2))
    image = small_image(32, 256) if decoder == "tiles" else small_image()
    world = start_world(models, image, seeds)
    run = rollout(models, world, random_track(VARIANTS[name], 8))
    list(run)
    for each in (world, run.world):
        again = load_world(save_world(each, tmp_path / "w.safetensors"))
        assert (again.block, again.names, again.seeds) == (each.block, each.names, each.seeds)
        assert all(torch.equal(a, b) for a, b in zip(again.decoder_state or (), each.decoder_state or (), strict=True))


def test_the_states_of_decoders_are_known(world: World) -> None:
    state = [tuple(tensor.shape) for tensor in world.decoder_state or ()]
    assert wan.state_shapes(4, 1, 4, 6) == state
    _, parts_of_tiny = small_models(tiny=True).decoder.decode(torch.zeros(2, 16, 1, 4, 6))
    assert tiny.state_shapes(2, 4, 6) == [tuple(tensor.shape) for tensor in parts_of_tiny]


def test_every_changed_byte_is_found(path: Path, tmp_path: Path) -> None:
    """Of the tensors and of what the file says beside them."""
    data = path.read_bytes()
    begin = data.index(b"__metadata__") if b"__metadata__" in data else 0
    places = [begin + 200 + 13 * i for i in range(20)] + [len(data) - 1 - 997 * i for i in range(40)]
    for place in places:
        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(WorldError):
            load_world(broken)


BIG = "9" * 5000


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=lambda value: str(value)[:20])
def test_invalid_fields(field: str, value: Any, path: Path) -> None:
    about, tensors = parts(path)
    write_old(path, about | {field: value}, tensors)
    refused(path, "damaged")
    del about[field]
    write_old(path, about, tensors)
    refused(path, f"does not say its {field}")


@pytest.mark.parametrize("text", ["", "null", "[]", "[" * 100_000, '{"block":' + BIG + "}", '{"version": null}', "{}"])
def test_what_is_no_json_object(text: str, path: Path) -> None:
    _, tensors = parts(path)
    save_file(tensors, path, {FORMAT: text})
    refused(path, "damaged|is not a world|another version")


@pytest.mark.parametrize("how", HOWS)
def test_tensors_that_do_not_fit(how: str, path: Path) -> None:
    about, tensors = parts(path)
    for name in tensors:
        write_old(path, about, changed(tensors, name, how))
        if (name, how) == ("features", "longer"):  # how wide they are, the generator says
            with pytest.raises(WorldError, match="not those of the loaded generator"):
                rollout(small_models(), load_world(path), random_track(UNIVERSAL, 8))
        else:
            refused(path, "damaged")


def test_tensors_that_are_missing_or_too_many(path: Path) -> None:
    about, tensors = parts(path)
    for name in tensors:
        write_old(path, about, {other: tensor for other, tensor in tensors.items() if other != name})
        refused(path, "damaged")
    for name in ("x", "cache.999999999.video.k", "cache.2.video.k", "decoder.999", "tail.5.keyboard", "cache..video.k"):
        write_old(path, about, tensors | {name: tensors["image"].clone()})
        refused(path, "damaged")


def test_values_that_are_not_numbers_in_a_world_that_was_saved_so(world: World, tmp_path: Path) -> None:
    bad = replace(world, features=torch.full_like(world.features, torch.nan))
    refused(save_world(bad, tmp_path / "w.safetensors"), "features holds values that are not numbers")


def test_a_world_of_another_network_of_the_same_name(world: World) -> None:
    other = replace(world, features=world.features[..., :16])
    with pytest.raises(WorldError, match="not those of the loaded generator"):
        rollout(small_models(), other, random_track(UNIVERSAL, 8))
    other = replace(world, caches=[*world.caches, *world.caches])
    with pytest.raises(WorldError, match="not those of the loaded generator"):
        rollout(small_models(), other, random_track(UNIVERSAL, 8))


def test_pipes_folders_and_names_that_are_no_text(world: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "named pipe")
    refused(tmp_path, "folder")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.safetensors"))
    save_world(world, tmp_path / "w.safetensors").rename(odd)
    assert load_world(odd).names == world.names


def test_a_link_in_place_of_a_world_is_replaced_and_not_written_through(world: World, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "w.safetensors").symlink_to(tmp_path / "mine")
    save_world(world, tmp_path / "w.safetensors")
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "w.safetensors"]


def test_render_refuses_before_it_loads_a_model(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    about, tensors = parts(path)
    write_old(path, about, changed(tensors, "decoder.3", "NaN"))
    monkeypatch.setattr("comfyui_matrixgame.terminal.render.load_models", lambda *_: pytest.fail("a model was loaded"))
    assert main(["render", "--world", str(path), "--blocks", "2", "-o", str(tmp_path / "o.mp4")]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"matrixgame: w\.safetensors is damaged \(decoder\.3 holds .*\.\n", said)


def test_the_world_before_the_first_block_of_a_rollout_is_read_again(tmp_path: Path) -> None:
    """A render that is killed after its first block has saved it; the rollout's rings are there, and mean nothing."""
    models, track = small_models(), random_track(UNIVERSAL, 20)
    run = rollout(models, start_world(models, small_image(), 7), track)
    first = next(run)
    assert run.world_before is not None
    again = load_world(save_world(run.world_before, tmp_path / "w.safetensors"))
    assert (again.block, again.caches) == (0, [])
    assert torch.equal(next(rollout(models, again, track)).latents, first.latents)
