"""Graphs with a World Cache, and what is stored of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from comfyui_matrixgame.cache.blocks import BlockCache
from comfyui_matrixgame.cache.projects import FRAMES, LATENTS
from comfyui_matrixgame.media.video import read_video

from .graphs import Graph, Link
from .server import Host
from .worlds import add_models, add_video, add_world


def cached(
    walk: list[str], project: str, prefix: str = "cached", seed: int = 0, world: tuple[Graph, Link] | None = None
) -> tuple[Graph, Link]:
    """Roll Out with a cache. world: a graph and its world; by default one of the small models."""
    graph = Graph() if world is None else world[0]
    start = add_world(graph, *add_models(graph), seed=seed) if world is None else world[1]
    cache = graph.add("MatrixGameWorldCache", name=project, mode="automatic", limit_gb=1.0, memory_gb=0.1)
    actions = graph.add("MatrixGameActionTimeline", variant="universal", script="\n".join(walk))
    rolled = graph.add("MatrixGameRollOut", world=start, actions=actions, images="never", cache=cache[1])
    add_video(graph, rolled, prefix)
    return graph, rolled


def roll(host: Host, walk: list[str], project: str, **options: Any) -> tuple[str, np.ndarray]:
    """Run; returns what Roll Out reports, and the frames of the saved video."""
    graph, rolled = cached(walk, project, **options)
    run = host.run(graph.prompt)
    assert run.status == "success", run.error
    return run.outputs[rolled.node]["text"][0], frames_of(host.output_files("cached_*.mp4")[-1])


def frames_of(path: Path) -> np.ndarray:
    return np.stack(list(read_video(path)))


def finished(cache: BlockCache) -> dict[str, bytes]:
    """Frames and latents of all stored blocks, by their keys."""
    return {file.path.name: file.path.read_bytes() for file in cache.files() if file.kind in (LATENTS, FRAMES)}


def listed(host: Host) -> dict[str, dict[str, Any]]:
    return {project.pop("name"): project for project in host.get("/matrixgame/cache")["projects"]}
