"""Weights files: recognised by keys and shapes, loaded strictly, refused in one sentence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from comfyui_matrixgame.checkpoints import convert_generator, inspect_file, load_generator, load_vae
from comfyui_matrixgame.checkpoints.load import compute_dtype
from comfyui_matrixgame.checkpoints.names import LAYOUTS, from_layout, layout_of, to_layout
from comfyui_matrixgame.checkpoints.reader import open_weights
from comfyui_matrixgame.checkpoints.untrained import small_config
from comfyui_matrixgame.errors import BackendError, CheckpointError, MatrixGameError
from comfyui_matrixgame.networks.vae import WanVAE
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS

from ..support.networks import manifest, shapes_of, weights
from .files import generator_tensors, raw_safetensors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "generator.safetensors"
    save_file({f"model.{key}": value for key, value in generator_tensors().items()}, path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_layout_names_every_tensor_both_ways(layout: str, name: str) -> None:
    names = list(manifest(f"generator_{name}"))
    theirs = [to_layout(key, layout) for key in names]
    assert len(set(theirs)) == len(names)
    assert [from_layout(key, layout) for key in theirs] == names
    assert layout_of(theirs) == layout
    if layout in ("diffusers", "fastvideo"):
        kept = {a for a, b in zip(names, theirs, strict=True) if a == b}
        assert all(".action_model." in key or key.startswith("patch_embedding") for key in kept)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", VARIANTS)
def test_loads_every_layout(layout: str, name: str, tmp_path: Path) -> None:
    tensors = generator_tensors(name)
    path = tmp_path / "any name.safetensors"
    save_file({to_layout(key, layout): value for key, value in tensors.items()}, path)
    report = inspect_file(path)
    assert report.complete, report.problems()
    assert (report.kind, report.layout, report.variant) == ("generator", layout, VARIANTS[name])
    loaded = load_generator(path, "float32").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in tensors.items())


@pytest.mark.parametrize(
    ("dtype", "kept"), [("auto", "bfloat16"), ("float16", "float16"), ("float8_e4m3fn", "float8_e4m3fn")]
)
def test_dtypes(file: Path, dtype: str, kept: str) -> None:
    model = load_generator(file, dtype)
    assert model.blocks[0].ffn["0"].weight.dtype == getattr(torch, kept)
    assert model.blocks[0].ffn["0"].bias.dtype.itemsize == 2
    assert model.compute_dtype in (torch.float32, torch.bfloat16)


def test_compute_dtype_follows_the_device() -> None:
    cpu = torch.device("cpu")
    assert compute_dtype(torch.float32, cpu) == torch.float32
    assert compute_dtype(torch.float16, cpu) == torch.float32
    assert compute_dtype(torch.float16, torch.device("cuda")) == torch.float16
    assert compute_dtype(torch.float8_e4m3fn, torch.device("cuda")) == torch.bfloat16


@pytest.mark.parametrize("length", [0x80, 0x280, 0x480])
def test_a_header_as_long_as_a_pickle_begins(length: int, tmp_path: Path) -> None:
    """Its length is the first that a file has, and 0x80 is the first byte of a pickle."""
    entry = {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps(entry).encode().ljust(length)
    path = raw_safetensors(tmp_path / "x.safetensors", header, bytes(4))
    assert path.read_bytes()[:2] == length.to_bytes(2, "little")
    with open_weights(path) as file:
        assert file.tensor("x").tolist() == [0.0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_converting_there_and_back(file: Path, layout: str, tmp_path: Path) -> None:
    there = convert_generator(file, tmp_path / "there.safetensors", layout)
    back = convert_generator(there, tmp_path / "back.safetensors", "published")
    before, after = load_file(file), load_file(back)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    half = convert_generator(file, tmp_path / "half.safetensors", layout, "bfloat16")
    assert inspect_file(half).dtype == "bfloat16"
    with pytest.raises(MatrixGameError, match="layout"):
        convert_generator(file, tmp_path / "x", "other")
    with pytest.raises(MatrixGameError, match="could not be written"):
        convert_generator(file, tmp_path / "no folder" / "x")


def test_missing_unexpected_and_wrong_shapes_are_named(tmp_path: Path) -> None:
    tensors = dict(generator_tensors())
    del tensors["blocks.1.ffn.0.bias"]
    tensors["blocks.0.extra"] = torch.zeros(1)
    tensors["blocks.0.norm3.weight"] = torch.zeros(7)
    path = tmp_path / "half.safetensors"
    save_file(tensors, path)
    report = inspect_file(path)
    assert report.missing == ["blocks.1.ffn.0.bias"]
    assert report.unexpected == ["blocks.0.extra"]
    assert report.wrong_shape == ["blocks.0.norm3.weight [7] instead of [256]"]
    with pytest.raises(CheckpointError, match=r"1 missing .*1 unexpected .*1 of the wrong shape"):
        load_generator(path)


def test_a_vae_and_a_generator_are_not_each_other(file: Path, tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = shapes_of(WanVAE(base_dim=8))
    vae = tmp_path / "vae.safetensors"
    save_file(weights("small/vae", shapes), vae)
    assert inspect_file(vae).complete
    assert load_vae(vae).base_dim == 8
    with pytest.raises(CheckpointError, match=r"it is Wan 2\.1 VAE"):
        load_generator(vae)
    with pytest.raises(CheckpointError, match=r"it is Matrix-Game 2\.0 generator"):
        load_vae(file)


def test_vae_as_a_pytorch_file(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = shapes_of(WanVAE(base_dim=8))
    tensors = weights("small/vae", shapes)
    path = tmp_path / "Wan2.1_VAE.pth"
    torch.save(tensors, path)
    loaded = load_vae(path, "float32").state_dict()
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["blocks.0.cross_attn.q.weight", "patch_embedding.weight", "text_embedding.0.weight"],
            "without action modules",
        ),
        (["double_blocks.0.img_attn.qkv.weight"], "another family"),
        (["model.diffusion_model.input_blocks.0.0.weight"], "another family"),
        (["blocks.0.self_attn.q.lora_A.weight"], "LoRA"),
        (["encoder.down_blocks.0.weight"], "VAE in another layout"),
        (["encoder.block.0.layer.0.weight"], "text encoder"),
        (["x"], "not a file this program knows"),
    ],
)
def test_other_models_are_named(names: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(2, 2) for name in names}, path)
    assert message in inspect_file(path).title
    with pytest.raises(CheckpointError, match=message):
        load_generator(path)


def test_the_foundation_model_is_refused(tmp_path: Path) -> None:
    shapes = manifest("generator_universal")
    acting = {k: v for k, v in shapes.items() if k.startswith("blocks.0.action_model.")}
    for i in range(15, 30):
        shapes |= {k.replace("blocks.0.", f"blocks.{i}."): v for k, v in acting.items()}
    assert len(shapes) == 1399
    path = tmp_path / "base.safetensors"
    save_file({k: torch.zeros([1] * len(v)) for k, v in shapes.items()}, path)
    report = inspect_file(path)
    assert report.kind == "foundation"
    with pytest.raises(CheckpointError, match="foundation model"):
        load_generator(path)


class Bomb:
    def __reduce__(self) -> tuple:
        return (print, ("this must never run",))


def test_files_that_are_no_weights(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = file.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    (tmp_path / "head.safetensors").write_bytes(b"\xff" * 8 + data[8:])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "lfs.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "page.safetensors").write_bytes(b"<!DOCTYPE html><html>not found</html>")
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"a": Bomb()}))
    torch.save({"a": Bomb()}, tmp_path / "bomb2.pth")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    torch.save({"a": torch.zeros(3)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-100])
    for name, message in (
        ("cut.safetensors", "damaged"),
        ("head.safetensors", "damaged"),
        ("empty.safetensors", "empty"),
        ("lfs.safetensors", "git-lfs"),
        ("page.safetensors", "web page"),
        ("bomb.pth", "can run code|damaged"),
        ("bomb2.pth", "can run code"),
        ("list.pth", "not a file of named tensors"),
        ("cut.pth", "damaged"),
        ("none.safetensors", "no file"),
        (".", "is a folder"),
    ):
        with pytest.raises(CheckpointError, match=message):
            inspect_file(tmp_path / name)
    assert "never run" not in capsys.readouterr().out


def test_values_that_are_not_numbers(tmp_path: Path) -> None:
    tensors = dict(generator_tensors())
    tensors["head.head.bias"] = torch.full_like(tensors["head.head.bias"], torch.nan)
    path = tmp_path / "nan.safetensors"
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match="not numbers"):
        load_generator(path)


def test_unknown_dtype(file: Path) -> None:
    with pytest.raises(BackendError, match="float12"):
        load_generator(file, "float12")


@pytest.mark.large
@pytest.mark.parametrize(
    "name", ["universal", *(pytest.param(n, marks=pytest.mark.slow) for n in ("gta_drive", "templerun"))]
)
def test_full_size_files_in_the_published_layout(name: str, tmp_path: Path) -> None:
    """Random weights of the published names, shapes and dtype load strictly, straight into bfloat16."""
    shapes = manifest(f"generator_{name}")
    path = tmp_path / "full.safetensors"
    block = torch.randn(1 << 20)
    tensors = {}
    for key, shape in shapes.items():
        count = int(torch.tensor(shape).prod())
        tensors[f"model.{key}"] = block.repeat(-(-count // len(block)))[:count].reshape(shape)
    save_file(tensors, path)
    sample = tensors["model.blocks.29.ffn.2.weight"].bfloat16()
    del tensors
    report = inspect_file(path)
    expected = {"universal": 1_619_242_304, "gta_drive": 1_619_238_464, "templerun": 1_508_715_584}
    assert (report.complete, report.parameters, report.variant) == (True, expected[name], VARIANTS[name])
    model = load_generator(path, "bfloat16")
    assert torch.equal(model.blocks[29].ffn["2"].weight, sample)
    assert model.config.window == VARIANTS[name].window
    path.unlink()


def test_small_config_is_recognised() -> None:
    assert small_config(UNIVERSAL).heads == 2
