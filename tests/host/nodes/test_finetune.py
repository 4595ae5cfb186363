"""Weights that are not published ones: the loader says what they run as, and a description decides it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from comfyui_matrixgame.variants import UNIVERSAL

from ..graphs import Graph, Link
from ..models import generator_tensors, save
from ..runs import WALK, fail, save_images, saved_images, succeed
from ..server import Host
from ..worlds import add_models, add_rollout, add_world

LIKE = {
    "format": "matrixgame.variant", "version": 1, "like": "universal", "name": "finetune", "title": "Finetune",
    "steps": [1000, 500], "sink": 1,
}  # fmt: skip


def test_a_finetune_runs_as_it_is_described(host: Host, base: Path) -> None:
    def made(name: str, variant: str = "auto") -> tuple[Graph, Link]:
        path = base / "models" / "diffusion_models" / f"{name}.safetensors"
        if not path.exists():
            save(path, generator_tensors(UNIVERSAL))
        graph = Graph()
        model, vae = add_models(graph, path.name)
        graph.prompt[model.node]["inputs"]["variant"] = variant
        save_images(graph, add_rollout(graph, add_world(graph, model, vae, seed=7), WALK)[0], name)
        return graph, model

    def run(name: str, **changes: str) -> tuple[np.ndarray, list[str], int]:
        graph, model = made(name, **changes)
        done = succeed(host, graph)
        return saved_images(host, name), done.outputs.get(model.node, {}).get("text", []), done.progress[-1][2]

    def run_fails(name: str) -> str:
        return fail(host, made(name, "templerun")[0])

    plain, said, passes = run("plain")
    assert passes == 8  # two blocks of three steps and a clean pass
    assert said == [
        "plain.safetensors: not a file we know; running as universal: 3 steps, no sink. "
        "If it is a finetune, describe it."
    ]
    (base / "models" / "diffusion_models" / "described.matrixgame.json").write_text(json.dumps(LIKE))
    described, said, passes = run("described")
    assert passes == 6
    assert said == []
    assert (plain != described).mean() > 0.1
    about = json.dumps({**LIKE, "steps": [1000]})
    (base / "models" / "diffusion_models" / "described.matrixgame.json").write_text(about)
    assert run("described")[2] == 4  # what is said of a file has changed, and the file has not
    assert run("described", variant="universal")[1:] == ([], 8)
    assert "described.safetensors takes 4 keys and a camera, and the variant templerun has 7 keys" in run_fails(
        "described"
    )
    timeline = host.get("/object_info/MatrixGameActionTimeline")["MatrixGameActionTimeline"]
    assert "finetune" not in timeline["input"]["required"]["variant"][1]["options"]  # as after a restart
