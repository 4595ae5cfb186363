"""Core's dynamic VRAM, its default on NVIDIA, on a pretended GPU: weights, their pins, and CUDA graphs."""

from __future__ import annotations

from pathlib import Path

from .models import UNIVERSAL, VAE
from .on_gpu import run_on_gpu

PRELUDE = """
import logging
import torch
import comfy.model_management as memory
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.host import models as host
from comfyui_matrixgame.world import rollout, start_world

def load(decoder="full"):
    return host.load_generator(file, "float32", "sdpa"), host.load_vae(vae, decoder, "float32")

@torch.inference_mode()
def blocks_of(model, parts, blocks=4, image=0.0, **options):
    with host.ready(model, parts, 64, 96, **options) as models:
        features = torch.zeros(1, 257, models.generator.config.visual_dim)
        world = start_world(models, torch.full((3, 64, 96), image), 3, features=features)
        track = ActionTrack.idle(models.variant, rows_of_blocks(blocks))
        return torch.cat([block.frames.cpu() for block in rollout(models, world, track, blocks)], dim=1)

def pins():
    return sum(vbar.pins() for vbar in VBar.all)
"""

PINS = """
from comfyui_matrixgame.vae import wan
model, parts = load()
first = blocks_of(model, parts)
print("dynamic:", model.is_dynamic(), "staged:", sum(vbar.loaded_size() for vbar in VBar.all) > 5e6)
print("pins:", pins())
wan.triton_for = lambda x: object()  # as with Triton: a convolution's weights are taken without its call
wan.narrow_convolution = lambda *_: None
wan.add_into = lambda *_: False
second = blocks_of(model, parts)
print("pins:", pins())
memory.unload_all_models()
print("left:", sum(vbar.loaded_size() for vbar in VBar.all), "after:", bool((second == blocks_of(model, parts)).all()))
print("near:", float((first.int() - second.int()).abs().max()))
"""


def test_no_weight_stays_pinned_after_its_use(base: Path) -> None:
    """Layers whose weights are used without their call too. A page with a pin is never given back."""
    printed = run_on_gpu(PRELUDE + PINS, base, card=2e9, file=UNIVERSAL, vae=VAE)
    assert "dynamic: True staged: True" in printed
    assert printed.count("pins: 0") == 2, printed
    assert "left: 0 after: True" in printed
    assert "near: 0.0" in printed or "near: 1.0" in printed
