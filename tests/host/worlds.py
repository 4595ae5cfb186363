"""The graphs that most tests run: a world of the small models, and a rollout in it."""

from __future__ import annotations

from typing import Any

from .graphs import SAVED_AS, Graph, Link
from .models import CLIP, UNIVERSAL, VAE

WIDTH, HEIGHT = 96, 64  # small enough for a processor that is busy
BLOCK0, BLOCK = "w 9f", "w 12f"  # input rows of a first block (and one that is not read), and of a later one


def add_models(graph: Graph, file: str = UNIVERSAL, decoder: str = "full", dtype: str = "float32") -> tuple[Link, Link]:
    """The two loaders."""
    return (
        graph.add("MatrixGameLoadGenerator", file=file, dtype=dtype, attention="auto"),
        graph.add("MatrixGameLoadVAE", file=VAE, decoder=decoder, dtype=dtype),
    )


def add_world(graph: Graph, model: Link, vae: Link, **changes: Any) -> Link:
    """Start World from the picture, with inputs changed or (None) left out."""
    inputs = {
        "model": model,
        "vae": vae,
        "seed": 0,
        "width": WIDTH,
        "height": HEIGHT,
        "clip_vision": graph.add("CLIPVisionLoader", clip_name=CLIP),
        "image": graph.add("LoadImage", image="example.png"),
    } | changes
    return graph.add("MatrixGameStartWorld", **{name: value for name, value in inputs.items() if value is not None})


def add_rollout(graph: Graph, world: Link, script: str, variant: str = "universal") -> Link:
    """Roll Out with a script."""
    actions = graph.add("MatrixGameActionTimeline", variant=variant, script=script)
    return graph.add("MatrixGameRollOut", world=world, actions=actions, images="when connected")


def add_video(graph: Graph, rollout: Link, prefix: str) -> Link:
    """Save the video of a rollout."""
    return graph.add("SaveVideo", video=rollout[1], filename_prefix=prefix, **SAVED_AS)


def simple(script: str, prefix: str = "video", seed: int = 0) -> tuple[Graph, Link]:
    """A whole graph from the image to the saved video; returns it and its Roll Out."""
    graph = Graph()
    rollout = add_rollout(graph, add_world(graph, *add_models(graph), seed=seed), script)
    add_video(graph, rollout, prefix)
    return graph, rollout
