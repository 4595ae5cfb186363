"""What the tests of bulk rendering share: tiny models in files, pictures, job files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from comfyui_matrixgame.batch.results.result import VERSION, Item, Result
from comfyui_matrixgame.checkpoints.untrained import SMALL_VISION, shapes_of, weights, write_small_files
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.networks.vae import WanVAE
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import UNIVERSAL

from ..support.networks import small_models

GENERATOR, VAE, CLIP = "generator.safetensors", "vae.safetensors", "clip.safetensors"
MODELS = {"generator": GENERATOR, "vae": VAE, "clip": CLIP, "dtype": "float32"}


def write_files(folder: Path, layers: int = 2) -> Path:
    """Models of a few thousand weights in published layouts, and two pictures; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(small_models().generator.config, visual_dim=SMALL_VISION["hidden"], layers=layers)
    generator = weights("batch/generator", shapes_of(Generator(config)))
    save_file({f"model.{name}": tensor for name, tensor in generator.items()}, folder / GENERATOR)
    save_file(weights("batch/vae", shapes_of(WanVAE(base_dim=4))), folder / VAE)
    clip = write_small_files(folder / "published", UNIVERSAL)["clip"]
    clip.rename(folder / CLIP)
    for i in range(2):
        Image.effect_noise((64, 64), 60 + i).convert("RGB").save(folder / f"picture{i}.png")
    return folder


def write_jobs(folder: Path, file: str = "jobs.json", **settings: Any) -> Path:
    """A job file in `folder` that uses its models; settings come on top or instead."""
    base = {"models": MODELS, "size": "16x16", "images": "picture0.png", "scripts": "w 8f", "keep": ["png", "latents"]}
    path = folder / file
    path.write_text(json.dumps(base | settings, indent=1))
    return path


def run(path: Path, *extra: str) -> int:
    """`matrixgame batch run` on the CPU, in this process; returns the exit status."""
    return main(["batch", "run", str(path), "--device", "cpu", *extra])


def one_thread() -> None:
    """Sum in the same order as in every process of these tests."""
    torch.set_num_threads(1)


def example_result(key: str, items: dict[str, Item], **other: Any) -> Result:
    """The record of a result with these items; everything else in it is made up."""
    values = {
        "block": "", "variant": "universal", "labels": {}, "seed": 1, "blocks": 2, "first_block": 0, "frames": 21,
        "size": (16, 16), "lanes": {"w": [[0, 1.0]]}, "version": VERSION, "thumbnail": None,
        "seconds": {"model": 1.5, "all": 2.0}, "worker": "cpu", "program": "0", "engine_version": 1, "finished": 1.7e9,
    }  # fmt: skip
    return Result(key=key, items=items, **values | other)


def contents(out: Path) -> dict[str, bytes]:
    files = [*out.glob("results/*/*/*.safetensors"), *out.glob("results/*/*/png/*"), *out.glob("results/*/*/*.mp4")]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}
