"""The engine's models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.world import Models

from ..models import CLIP, UNIVERSAL, VAE


@pytest.fixture(scope="module")
def models(base: Path) -> Models:
    """The engine's models from the files that the graphs load."""
    torch.set_num_threads(1)  # as the host: sums in another order have other last digits
    folder = base / "models"
    return Models(
        load_generator(folder / "diffusion_models" / UNIVERSAL, "float32"),
        load_vae(folder / "vae" / VAE, "float32"),
        vision=load_vision(folder / "clip_vision" / CLIP, "float32"),
    )
