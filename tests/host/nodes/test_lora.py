"""Core's LoRA loaders on our MODEL: what they change, and what they cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.variants import UNIVERSAL as VARIANT

from ...weights.files import save
from ...weights.loras import lora
from ..graphs import Graph
from ..models import UNIVERSAL, VAE, generator_tensors
from ..runs import WALK, fail, save_images, saved_images, succeed
from ..server import Host, run_in_core
from ..worlds import add_models, add_rollout, add_world

CORE, OURS = "LoraLoaderModelOnly", "MatrixGameLoadLora"
PRELUDE = """
import comfy.sd
import torch
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
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


@pytest.fixture(scope="module")
def loras(base: Path) -> Path:
    """The folder of LoRAs: `fast` says its steps inside, `beside` in a file beside it, `quiet` says none; `other` is
    for another model."""
    folder, weights = base / "models" / "loras", generator_tensors(VARIANT)
    tensors = lora(weights, "comfyui", None)
    save(folder / "fast.safetensors", tensors, {"matrixgame": '{"steps": [1000, 500]}'})
    save(folder / "faster.safetensors", tensors, {"matrixgame": '{"steps": [1000]}'})
    save(folder / "quiet.safetensors", tensors, {"format": "pt"})
    save(folder / "beside.safetensors", lora(weights, "diffusers", None))
    (folder / "beside.matrixgame.json").write_text('{"steps": [1000, 500]}')
    save(folder / "other.safetensors", {"double_blocks.0.img_attn.qkv.lora_up.weight": torch.zeros(4, 2)})
    return folder


MERGED = """
from pathlib import Path
import comfy.utils
from comfyui_matrixgame.checkpoints import load_generator as read_generator
from comfyui_matrixgame.checkpoints import load_vae as read_vae
from comfyui_matrixgame.checkpoints.lora.merging import open_lora
from comfyui_matrixgame.host.loaders.load_lora import load_lora
from comfyui_matrixgame.world import Models

shapes = {name: tuple(part.shape) for name, part in model.model.diffusion_model.named_parameters()}
root = Path(folder)
path = root / "loras" / "quiet.safetensors"
for kept, most in (("float32", 1e-5), ("bfloat16", 0.1)):
    model = load_generator(file, kept, "sdpa")
    plain, core = latents_of(model), comfy.utils.load_torch_file(str(path), safe_load=True)
    by_core = latents_of(comfy.sd.load_lora_for_models(model, None, core, 0.7, 0.0)[0])
    by_node, bypassed = (latents_of(load_lora(model, path.name, 0.7, bypass)) for bypass in (False, True))
    generator = read_generator(root / "diffusion_models" / file, kept, loras=[open_lora(path, 0.7, shapes)])
    models = Models(generator, read_vae(root / "vae" / vae, "float32"))
    with torch.inference_mode():
        world = start_world(models, torch.zeros(3, 16, 32), 3, features=features)
        alone = next(rollout(models, world, track, 1)).latents
    moved = float((by_core - plain).norm())
    apart = {name: float((one - by_core).norm()) / moved for name, one in (("terminal", alone), ("bypassed", bypassed))}
    print(kept, apart)
    print("as it is:", moved > 0.01 * float(plain.norm()), bool((by_node == by_core).all()), max(apart.values()) < most)
"""


def test_a_lora_is_merged_as_core_merges_it(base: Path, loras: Path) -> None:
    """They differ by a share of what the LoRA changes: in float32 by 1e-5; in bfloat16, where core rounds at random and
    the terminal to the nearest value, by a tenth."""
    printed = run_in_core(PRELUDE + MERGED, base, file=UNIVERSAL, vae=VAE, folder=str(base / "models"))
    assert printed.count("as it is: True True True") == 2, printed


def test_a_distilled_lora_brings_its_steps(host: Host, loras: Path) -> None:
    made: dict[str, np.ndarray] = {}

    def passes(name: str, *chain: tuple[str, str], steps: str = "") -> tuple[int, list[str]]:
        graph = Graph()
        model, vae = add_models(graph)
        graph.prompt[model.node]["inputs"]["steps"] = steps
        for node, file in chain:
            ours, cores = {"file": file, "strength": 0.5, "bypass": False}, {"lora_name": file, "strength_model": 0.5}
            model = graph.add(node, model=model, **(ours if node == OURS else cores))
        save_images(graph, add_rollout(graph, add_world(graph, model, vae, seed=7), WALK)[0], name)
        done = succeed(host, graph)
        made[name] = saved_images(host, name)
        return int(done.progress[-1][2]), done.outputs.get(model.node, {}).get("text", [])

    assert passes("fast", (CORE, "fast.safetensors")) == (2 * 3, [])  # two blocks of two steps and the clean pass
    said = ["beside.safetensors:0.5: running with steps 1000,500, window 6, sink 0"]
    assert passes("beside", (OURS, "beside.safetensors")) == (2 * 3, said)
    np.testing.assert_array_equal(made["fast"], made["beside"])  # the same change by other names
    assert passes("quiet", (OURS, "quiet.safetensors")) == (2 * 4, [])
    assert (made["fast"] != made["quiet"]).mean() > 0.1
    assert passes("both", (CORE, "fast.safetensors"), (CORE, "quiet.safetensors"))[0] == 2 * 3
    assert passes("own", (OURS, "fast.safetensors"), steps="1000,750,500,250") == (2 * 5, [])


def test_loras_that_do_not_go_together_are_refused(host: Host, loras: Path) -> None:
    def error(*chain: tuple[str, str], bypass: bool = False) -> str:
        graph = Graph()
        model, vae = add_models(graph)
        for node, file in chain:
            ours = {"file": file, "strength": 1.0, "bypass": bypass}
            model = graph.add(
                node, model=model, **(ours if node == OURS else {"lora_name": file, "strength_model": 1.0})
            )
        save_images(graph, add_rollout(graph, add_world(graph, model, vae), WALK)[0], "refused")
        return fail(host, graph)

    fast, faster = "fast.safetensors", "faster.safetensors"
    assert f"{fast} was distilled to the steps 1000,500 and {faster} to 1000" in error((OURS, fast), (OURS, faster))
    assert "distilled to the steps 1000,500 and a LoRA to 1000; use one" in error((CORE, fast), (CORE, faster))
    assert "other.safetensors has 1 tensor of 1 that change nothing of this generator" in error(
        (OURS, "other.safetensors")
    )
    assert "has a bypassed LoRA already" in error((OURS, fast), (OURS, fast), bypass=True)
