"""Graphs that are run in a host, and what came of it: frames, the engine's own, and the sentences of refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.world import Models, rollout, start_world

from .graphs import Graph, Link
from .models import CLIP
from .server import Host, Rejected, Run
from .worlds import HEIGHT, WIDTH, add_models

WALK = "w+right(0.1) 8f\nw 13f"  # two blocks, 21 frames; the second is the first to read row 8


def engine_frames(models: Models, base: Path, script: str, seed: int = 0) -> np.ndarray:
    image = fit_image(read_image(base / "input" / "example.png"), HEIGHT, WIDTH)
    world = start_world(models, image, seed)
    blocks = list(rollout(models, world, read_text(script, "universal").track))
    return np.concatenate([block.frames[0].numpy() for block in blocks])


def save_images(graph: Graph, images: Link, prefix: str) -> None:
    graph.add("SaveImage", images=images, filename_prefix=prefix)


def saved_images(host: Host, prefix: str) -> np.ndarray:
    return np.stack(
        [np.asarray(Image.open(path)) for path in sorted((host.base / "output").glob(f"{prefix}_[0-9]*.png"))]
    )


def succeed(host: Host, graph: Graph, **options: Any) -> Any:
    run = host.run(graph.prompt, **options)
    assert run.status == "success", run.error or run.status
    return run


def fail(host: Host, graph: Graph) -> str:
    """Run a graph that must fail; returns the sentence on the node."""
    run: Run = host.run(graph.prompt)
    assert run.status == "error", run.status
    assert run.error["exception_type"].rpartition(".")[2].endswith("Error")
    return run.message


def reject(host: Host, graph: Graph) -> str:
    """Queue a graph that the host must refuse; returns the details."""
    with pytest.raises(Rejected) as refused:
        host.run(graph.prompt)
    return str(refused.value)


def mistakes(host: Host, graph: Graph) -> list[dict[str, Any]]:
    """What the host says is wrong with a graph that it must refuse, each as often as it is said."""
    with pytest.raises(Rejected) as refused:
        host.run(graph.prompt)
    return [error for node in refused.value.details["node_errors"].values() for error in node["errors"]]


def sampled() -> Graph:
    """Core's sampler with our MODEL."""
    graph = Graph()
    model, _ = add_models(graph)
    clip = graph.add("CLIPVisionLoader", clip_name=CLIP)
    image = graph.add("LoadImage", image="example.png")
    seen = graph.add("CLIPVisionEncode", clip_vision=clip, image=image, crop="none")
    text = graph.add("Hunyuan3Dv2Conditioning", clip_vision_output=seen)
    latent = graph.add("EmptyLatentImage", width=64, height=64, batch_size=1)
    samples = graph.add(
        "KSampler", model=model, seed=0, steps=1, cfg=1.0, sampler_name="euler", scheduler="simple",
        positive=text[0], negative=text[1], latent_image=latent, denoise=1.0,
    )  # fmt: skip
    graph.add("SaveLatent", samples=samples, filename_prefix="never")
    return graph
