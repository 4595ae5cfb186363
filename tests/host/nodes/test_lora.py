"""Core's LoRA loaders on our MODEL: what they change, and what they cannot."""

from __future__ import annotations

from pathlib import Path

from ..models import UNIVERSAL, VAE
from ..server import run_in_core

PRELUDE = """
import comfy.sd
import torch
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.host.load_generator import load_generator
from comfyui_matrixgame.host.load_vae import load_vae
from comfyui_matrixgame.host.models.ready import ready
from comfyui_matrixgame.world import rollout, start_world

model, parts = load_generator(file, "float32", "sdpa"), load_vae(vae, "full", "float32")
random = torch.Generator().manual_seed(0)
features = torch.randn(1, 257, model.model.diffusion_model.config.visual_dim, generator=random)
track = read_text("w+right(0.1) 9f", "universal").track

@torch.inference_mode()
def latents_of(patched):
    with ready(patched, parts, 16, 32) as models:
        world = start_world(models, torch.zeros(3, 16, 32), 3, features=features)
        return next(rollout(models, world, track, 1)).latents

def lora_for(name, layer, rank=2):
    weight = layer.weight
    down, up = (torch.randn(size, generator=random) for size in ((rank, weight[0].numel()), (len(weight), rank)))
    up *= 0.2 * weight.std() / (up @ down).std()
    inner = weight.shape[2:]
    down, up = down.view(rank, *weight.shape[1:]), up.view(*up.shape, *[1] * len(inner))
    key = f"diffusion_model.{name}"
    return {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up, f"{key}.alpha": torch.tensor(float(rank))}

plain = latents_of(model)
layers = {
    name: layer for name, layer in model.model.diffusion_model.named_modules()
    if isinstance(layer, (torch.nn.Linear, torch.nn.Conv3d)) and not name.startswith("blocks.1.")
}
"""

BYPASSED = """
lora = {}
for name, layer in layers.items():
    lora |= lora_for(name, layer)
merged, bypassed = (
    latents_of(load(model, None, lora, 1.0, 0.0)[0])
    for load in (comfy.sd.load_lora_for_models, comfy.sd.load_bypass_lora_for_models)
)
moved, apart = (merged - plain).norm(), (merged - bypassed).norm()
moved, apart = float(moved / plain.norm()), float(apart / moved)
names = str(list(layers))
print("layers:", len(layers) > 20, "ffn.0" in names, "mouse_mlp.0" in names, "patch_embedding" in names)
print("moved:", moved > 0.01, "apart:", apart if apart > 1e-3 else "no")
print("without it:", bool((latents_of(model) == plain).all()))
"""


def test_a_bypassed_lora_equals_the_merged_one_on_every_layer(base: Path) -> None:
    """Core's "Load LoRA (Bypass)" puts a method of its own in place of a layer's forward."""
    printed = run_in_core(PRELUDE + BYPASSED, base, file=UNIVERSAL, vae=VAE)
    assert "layers: True True True True" in printed
    assert "moved: True apart: no" in printed, printed
    assert "without it: True" in printed


LEFT_OUT = """
attention = "blocks.0.self_attn"
for name in ("blocks.0.modulation", "head.modulation", f"{attention}.norm_q.weight", f"{attention}.q.weight"):
    patched = model.clone()
    owner, _, last = name.rpartition(".")
    before = getattr(model.model.diffusion_model.get_submodule(owner), last).clone()
    patched.add_patches({f"diffusion_model.{name}": ("diff", (torch.ones_like(before),))})
    with ready(patched, parts, 16, 32) as models:
        here = getattr(models.generator.get_submodule(owner), last)
        applied, named = not bool((here == before).all()), models.generator_id != model.model.generator_id
    print(name, "applied:", applied, "named:", named)
    print("as it is:", applied == named)
"""


def test_a_world_is_named_by_the_patches_that_core_applies(base: Path) -> None:
    """Core leaves out those of parameters that stand beside other modules."""
    printed = run_in_core(PRELUDE + LEFT_OUT, base, file=UNIVERSAL, vae=VAE)
    assert printed.count("as it is: True") == 4, printed
    assert "q.weight applied: True" in printed
