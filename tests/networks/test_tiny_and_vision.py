"""The tiny decoder and the image tower give the published numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from comfyui_matrixgame.checkpoints import inspect_file, load_decoder, load_vision
from comfyui_matrixgame.errors import BackendError
from comfyui_matrixgame.networks.vision import preprocess

from ..support.networks import golden, largest_difference, manifest, stream, weight, weights

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "some_name.safetensors"
    save_file(weights("taehv", manifest("taehv")), path)
    return path


def test_tiny_decoder(tiny_file: Path) -> None:
    decoder = load_decoder(tiny_file, "float32", latents="normalised")
    with torch.inference_mode():
        frames, _ = decoder.decode_untrimmed(stream("taehv/latents", (1, 6, 16, 8, 12)).transpose(1, 2))
    assert largest_difference(frames[..., ::2, ::2], golden("taehv")["frames"]) < TOLERANCE


def test_tiny_decoder_streams(tiny_file: Path) -> None:
    decoder = load_decoder(tiny_file, "float32")
    latents = stream("taehv/latents", (1, 6, 16, 8, 12)).transpose(1, 2)
    with torch.inference_mode():
        whole, _ = decoder.decode(latents)
        first, state = decoder.decode(latents[:, :, :3])
        second, _ = decoder.decode(latents[:, :, 3:], state)
    assert (first.shape[2], second.shape[2]) == (9, 12)
    assert largest_difference(torch.cat([first, second], 2), whole) == 0.0


def test_which_latents_a_tiny_decoder_wants(tiny_file: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    save_file({k: v.half() for k, v in weights("taehv", manifest("taehv")).items()}, half)
    assert inspect_file(half).layout == "taew2_1"
    assert inspect_file(tiny_file).layout == "lighttaew2_1"
    assert not load_decoder(half).denormalised
    assert load_decoder(tiny_file).denormalised
    assert load_decoder(half, latents="denormalised").denormalised
    with pytest.raises(BackendError):
        load_decoder(half, latents="other")


def test_preprocessing() -> None:
    image = stream("clip/frame", (1, 3, 1, 88, 160)).tanh()[:, :, 0]
    assert largest_difference(preprocess(image, 56), golden("clip")["pixels"]) < 1e-6


def open_clip_tensors() -> dict[str, torch.Tensor]:
    dim, mlp = 64, 256
    shapes: dict[str, tuple[int, ...]] = {
        "cls_embedding": (1, 1, dim),
        "patch_embedding.weight": (dim, 3, 14, 14),
        "pos_embedding": (1, 17, dim),
        "head": (dim, 32),
    }
    for norm in ("pre_norm", "post_norm"):
        shapes |= {f"{norm}.weight": (dim,), f"{norm}.bias": (dim,)}
    for i in range(4):
        block = f"transformer.{i}."
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}{norm}.weight": (dim,), f"{block}{norm}.bias": (dim,)}
        for layer, out, into in (
            ("attn.to_qkv", 3 * dim, dim),
            ("attn.proj", dim, dim),
            ("mlp.0", mlp, dim),
            ("mlp.2", dim, mlp),
        ):
            shapes |= {f"{block}{layer}.weight": (out, into), f"{block}{layer}.bias": (out,)}
    return {f"visual.{key}": weight("clip", key, shape) for key, shape in shapes.items()}


def hf_tensors() -> dict[str, torch.Tensor]:
    theirs = {key.removeprefix("visual."): value for key, value in open_clip_tensors().items()}
    ours = {
        "embeddings.class_embedding": theirs["cls_embedding"].flatten(),
        "embeddings.patch_embedding.weight": theirs["patch_embedding.weight"],
        "embeddings.position_embedding.weight": theirs["pos_embedding"][0],
    }
    for part in ("weight", "bias"):
        ours[f"pre_layrnorm.{part}"] = theirs[f"pre_norm.{part}"]
        ours[f"post_layernorm.{part}"] = theirs[f"post_norm.{part}"]
        for i in range(4):
            block, target = f"transformer.{i}.", f"encoder.layers.{i}."
            for name, piece in zip("qkv", theirs[f"{block}attn.to_qkv.{part}"].chunk(3), strict=True):
                ours[f"{target}self_attn.{name}_proj.{part}"] = piece.clone()
            for a, b in (("attn.proj", "self_attn.out_proj"), ("norm1", "layer_norm1"), ("norm2", "layer_norm2")):
                ours[f"{target}{b}.{part}"] = theirs[f"{block}{a}.{part}"]
            for a, b in (("mlp.0", "mlp.fc1"), ("mlp.2", "mlp.fc2")):
                ours[f"{target}{b}.{part}"] = theirs[f"{block}{a}.{part}"]
    return {f"vision_model.{key}": value for key, value in ours.items()} | {
        "visual_projection.weight": torch.zeros(8, 64)
    }


@pytest.mark.parametrize("layout", ["open_clip_pth", "open_clip", "hf"])
def test_image_tower_from_both_layouts(layout: str, tmp_path: Path) -> None:
    path = tmp_path / f"tower.{'pth' if layout.endswith('pth') else 'safetensors'}"
    if layout == "open_clip_pth":
        torch.save(open_clip_tensors() | {"textual.x": torch.zeros(1), "log_scale": torch.zeros(())}, path)
    else:
        save_file(open_clip_tensors() if layout == "open_clip" else hf_tensors(), path)
    report = inspect_file(path)
    assert (report.kind, report.complete) == ("vision", True), report.problems()
    tower = load_vision(path, "float32")
    with torch.inference_mode():
        features = tower(stream("clip/frame", (1, 3, 1, 88, 160)).tanh()[:, :, 0])
    assert largest_difference(features, golden("clip")["features"]) < TOLERANCE
