"""The foundation model as core's MODEL: core's samplers make what `render` makes; what it cannot do is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ..graphs import Graph, Link
from ..models import CLIP, FOUNDATION, VAE, foundation_tensors, save
from ..runs import fail, succeed
from ..server import Host, run_in_core
from ..worlds import add_models, add_rollout, add_world

WALK = "w+right(0.1) 8f\nw 13f"


@pytest.fixture(scope="module")
def foundation(base: Path) -> Path:
    """A small one, in the published layout."""
    path = base / "models" / "diffusion_models" / FOUNDATION
    save(path, {f"model.{name}": tensor for name, tensor in foundation_tensors().items()})
    return path


SAMPLED = """
from pathlib import Path
import comfy.sample
import comfy.samplers
import torch
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.checkpoints import load_vae as read_vae
from comfyui_matrixgame.checkpoints.load import load_foundation
from comfyui_matrixgame.host import foundation_conditioning as node
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
from comfyui_matrixgame.networks.vae.base import normalise
from comfyui_matrixgame.world import Models, start_world
from comfyui_matrixgame.world.block.noise import named_noise
from comfyui_matrixgame.world.whole_clip import flow_sigmas, sample_clip

random = torch.Generator().manual_seed(0)
features, image = torch.randn(1, 257, 1024, generator=random), torch.rand(1, 32, 48, 3, generator=random)
node.image_features = lambda vision, pixels: features
track, parts, root = read_text(walk, "universal").track, load_vae(vae, "full", "float32"), Path(folder)
for kept, most in (("float32", 1e-4), ("bfloat16", 0.1)):
    model = load_generator(file, kept, "sdpa")
    with torch.inference_mode():
        told, latent = node.foundation_conditioning(model, parts, track, (32, 48), 2, None, image)
        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", 4)
        noise = torch.cat([named_noise(3, block, 0, (16, 3, 4, 6)) for block in (0, 1)], dim=1).unsqueeze(0)
        euler = comfy.samplers.sampler_object("euler")
        clean = comfy.sample.sample_custom(model, noise, 1.0, euler, sigmas, told, told, latent["samples"], seed=0)
        models = Models(load_foundation(root / file, kept), read_vae(root.parent / "vae" / vae, "float32"))
        world = start_world(models, image[0].movedim(-1, 0) * 2 - 1, 3, features=features)
        ours = sample_clip(models, world, track, 2, 4)
        frames = [models.decoder.decode(one)[0] for one in (normalise(clean), ours)]
        multistep = comfy.samplers.sampler_object("res_multistep")
        other = comfy.sample.sample_custom(model, noise, 1.0, multistep, sigmas, told, told, latent["samples"], seed=0)
    apart = [float((a - b).abs().max()) for a, b in ((normalise(clean), ours), frames)]
    print(kept, "latents and frames apart:", apart, "other:", float((normalise(other) - ours).abs().max()))
    same = max(abs(float(a) - b) for a, b in zip(sigmas, flow_sigmas(4))) < 1e-6
    print("as it is:", same, (apart[0] if kept == "bfloat16" else max(apart)) < most, sampling.shift == 5)
"""


def test_core_samples_what_render_makes(base: Path, foundation: Path) -> None:
    """Euler with the simple scheduler, from the same noise: within 1e-4 in latents and in frames of -1 to 1; in
    bfloat16, where another last digit is another rounding, within 0.1 in latents."""
    names = {"file": FOUNDATION, "vae": VAE, "folder": str(foundation.parent), "walk": WALK}
    printed = run_in_core(SAMPLED, base, **names)
    assert printed.count("as it is: True True True") == 2, printed


def conditioned(graph: Graph, walk: str = WALK) -> tuple[Link, Link]:
    """The model, and its Foundation Conditioning."""
    model, vae = add_models(graph, FOUNDATION)
    actions = graph.add("MatrixGameActionTimeline", variant="universal", script=walk)
    told = graph.add(
        "MatrixGameFoundationConditioning", model=model, vae=vae, actions=actions, width=48, height=32, blocks=2,
        clip_vision=graph.add("CLIPVisionLoader", clip_name=CLIP), image=graph.add("LoadImage", image="example.png"),
    )  # fmt: skip
    return model, told


def test_a_clip_is_made_by_the_samplers_of_core(host: Host, base: Path, foundation: Path) -> None:
    graph = Graph()
    model, told = conditioned(graph, f"{WALK}\nseed 7 at 12f")
    sampled = {"model": model, "positive": told, "negative": told, "cfg": 1.0}
    plain = graph.add(
        "KSampler",
        **sampled,
        latent_image=told[1],
        seed=5,
        steps=3,
        sampler_name="euler",
        scheduler="simple",
        denoise=1.0,
    )
    custom = graph.add(
        "SamplerCustom", **sampled, latent_image=told[1], add_noise=True, noise_seed=5,
        sampler=graph.add("KSamplerSelect", sampler_name="euler"),
        sigmas=graph.add("BasicScheduler", model=model, scheduler="simple", steps=3, denoise=1.0),
    )  # fmt: skip
    other = graph.add(
        "KSampler", **sampled, latent_image=told[1], seed=5, steps=3, sampler_name="dpmpp_2m", scheduler="sgm_uniform",
        denoise=1.0,
    )  # fmt: skip
    for name, samples in (("plain", plain), ("custom", custom), ("other", other)):
        graph.add("SaveLatent", samples=samples, filename_prefix=f"foundation/{name}")
    succeed(host, graph)
    assert "changes of the seed have no effect on a clip whose noise is drawn by core's sampler" in host.log()
    folder = base / "output" / "foundation"
    made = {
        name: load_file(next(folder.glob(f"{name}_*.latent")))["latent_tensor"] for name in ("plain", "custom", "other")
    }
    assert made["plain"].shape == (1, 16, 6, 4, 6)
    assert torch.equal(made["plain"], made["custom"])
    assert (made["plain"] - made["other"]).abs().max() > 1e-3
    assert all(torch.isfinite(tensor).all() for tensor in made.values())


def test_what_it_cannot_do_is_said(host: Host, foundation: Path) -> None:
    graph = Graph()
    model, vae = add_models(graph, FOUNDATION)
    graph.add("PreviewImage", images=add_rollout(graph, add_world(graph, model, vae), WALK)[0])
    assert "This is the foundation model, which makes a clip at once and cannot go on block by block" in fail(
        host, graph
    )

    graph = Graph()
    model, told = conditioned(graph)
    graph.prompt[model.node]["inputs"]["steps"] = "1000,500"
    graph.add("SaveLatent", samples=told[1], filename_prefix="refused")
    assert "its steps are the sampler's" in fail(host, graph)

    graph = Graph()
    model, told = conditioned(graph)
    graph.prompt[model.node]["inputs"]["file"] = "base_distill.safetensors"
    graph.add("SaveLatent", samples=told[1], filename_prefix="refused")
    assert "a distilled generator goes to Start World" in fail(host, graph)

    graph = Graph()
    model, told = conditioned(graph)
    longer = graph.add("EmptyHunyuanLatentVideo", width=48, height=32, length=81, batch_size=1)
    sampled = graph.add(
        "KSampler", model=model, positive=told, negative=told, latent_image=longer, seed=5, steps=3, cfg=1.0,
        sampler_name="euler", scheduler="simple", denoise=1.0,
    )  # fmt: skip
    graph.add("SaveLatent", samples=sampled, filename_prefix="refused")
    assert "The latent is of 48x32, 21 latent frames, and the conditioning of 48x32, 6 latent frames" in fail(
        host, graph
    )
