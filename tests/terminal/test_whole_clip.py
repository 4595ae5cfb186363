"""The foundation model makes a clip at once: its file is recognised, loaded and rendered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints import inspect_file, load_vae
from comfyui_matrixgame.checkpoints.load import load_foundation
from comfyui_matrixgame.checkpoints.lora.merging import open_lora
from comfyui_matrixgame.checkpoints.sizes import generator_shapes
from comfyui_matrixgame.checkpoints.untrained import shapes_of, small_config, weights, write_small_files
from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.networks.generator.bidirectional import FoundationGenerator
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Models, start_world
from comfyui_matrixgame.world.block.condition import block_condition, with_condition
from comfyui_matrixgame.world.block.inputs import block_windows
from comfyui_matrixgame.world.block.noise import named_noise
from comfyui_matrixgame.world.whole_clip import flow_sigmas, sample_clip

from ..support.networks import random_track, small_image

CPU = torch.device("cpu")
CONFIG = replace(small_config(UNIVERSAL), dim=128, ffn_dim=128, layers=30, action_layers=tuple(range(30)))
SHAPES = generator_shapes(CONFIG)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("foundation")
    paths = write_small_files(folder, UNIVERSAL)
    with torch.device("meta"):
        tensors = weights("small/foundation", shapes_of(Generator(CONFIG)))
    save_file(tensors, folder / "base.safetensors")
    Image.fromarray(np.full((48, 64, 3), 120, np.uint8)).save(folder / "start.png")
    return {**paths, "generator": folder / "base.safetensors", "image": folder / "start.png"}


def test_sigmas_are_shifted() -> None:
    sigmas = flow_sigmas(4)
    assert sigmas == [1.0, pytest.approx(15 / 16), pytest.approx(5 / 6), pytest.approx(5 / 8), 0.0]


@torch.inference_mode()
def test_a_clip_follows_the_flow(files: dict[str, Path]) -> None:
    generator = load_foundation(files["generator"], "float32")
    models = Models(generator, load_vae(files["vae"], "float32"))
    features = torch.zeros(1, 257, generator.config.visual_dim)
    world = start_world(models, small_image(32, 48), 3, features=features)
    track = random_track(UNIVERSAL, 21)
    told: list[int] = []
    latents = sample_clip(models, world, track, 2, 2, on_step=told.append)
    assert told == [0, 1]
    assert latents.shape == (1, 16, 6, 4, 6)
    assert isinstance(generator, FoundationGenerator)
    condition = block_condition(with_condition(world, models.vae, 6), 0, 6)
    caches = generator.empty_caches(1, 4, 6, CPU, torch.float32)
    clip = generator.prepare_block(0, 6, 4, 6, block_windows(None, [track], CPU, 6), caches)
    sigmas = flow_sigmas(2)
    constants = generator.prepare_rollout(features, [1000.0, 1000 * sigmas[1]])
    x = torch.cat([named_noise(3, block, 0, (16, 3, 4, 6)) for block in (0, 1)], dim=1).unsqueeze(0)
    for step in (0, 1):
        x = x + (sigmas[step + 1] - sigmas[step]) * generator(x, condition, step, constants, clip, caches)
    assert torch.equal(latents, x)
    still = ActionTrack.idle(UNIVERSAL, 21)
    assert not torch.equal(sample_clip(models, world, still, 2, 2), latents)


def test_render_makes_a_clip(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_file(files["generator"]).kind == "foundation"
    weights = ["--generator", files["generator"], "--vae", files["vae"], "--clip", files["clip"], "--size", "64x48"]
    command = ["render", files["image"], *weights, "--actions", "w 2b", "--blocks", "2", "--steps", "2"]
    output = tmp_path / "clip.mp4"
    assert main(list(map(str, [*command, "-o", output]))) == 0
    assert sum(1 for _ in read_video(output)) == 21
    said = capsys.readouterr().err
    assert "64x48, 21 frames at 25 a second, at once in 2 steps" in said
    assert "2/2" in said  # of the progress bar
    assert main(list(map(str, [*command, "-o", output, "--world", tmp_path / "w"]))) == 1
    assert "--world: the foundation model makes a clip at once" in capsys.readouterr().err
    assert main(["render", "--steps", "3", "-o", str(output)]) == 1  # the demo world
    assert "The steps begin at 3, and must begin at 1000" in capsys.readouterr().err


def test_a_lora_changes_the_clip_and_brings_its_steps(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = tmp_path / "fast.safetensors"
    module, random = "blocks.3.self_attn.o", torch.Generator().manual_seed(0)
    tensors = {f"{module}.lora_{part}.weight": torch.randn(shape, generator=random) for part, shape in (
        ("A", (2, 128)), ("B", (128, 2)))}  # fmt: skip
    save_file(tensors, lora)
    merged = load_foundation(files["generator"], "float32", loras=[open_lora(lora, 0.5, SHAPES)]).blocks[3].self_attn.o
    plain = load_foundation(files["generator"], "float32").blocks[3].self_attn.o
    down, up = tensors.values()
    assert torch.allclose(merged.weight, plain.weight + 0.5 * up @ down)
    assert main(["describe", str(lora), "--steps", "1000,500"]) == 0
    weights = ["--generator", files["generator"], "--vae", files["vae"], "--clip", files["clip"], "--size", "64x48"]
    command = ["render", files["image"], *weights, "--actions", "w 1b", "--blocks", "1", "--lora", lora]
    assert main(list(map(str, [*command, "-o", tmp_path / "clip.mp4"]))) == 0
    said = capsys.readouterr().err
    assert "LoRA fast.safetensors; it was distilled to the steps 1000,500" in said
    assert "9 frames at 25 a second, at once in 2 steps" in said
