"""Core's Save Model on our MODEL: what it writes is a generator's file."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from comfyui_matrixgame.checkpoints import inspect_file, load_generator
from comfyui_matrixgame.variants import UNIVERSAL as VARIANT
from comfyui_matrixgame.variants import VARIANTS, like

from ..graphs import Graph
from ..models import LORA, UNIVERSAL, generator_tensors, save
from ..server import Host
from ..worlds import add_models


def saved(host: Host, prefix: str, lora: bool, file: str = UNIVERSAL) -> Path:
    """The file that core writes of the generator."""
    graph = Graph()
    model, _ = add_models(graph, file)
    if lora:
        model = graph.add("LoraLoaderModelOnly", model=model, lora_name=LORA, strength_model=1.0)
    graph.add("ModelSave", model=model, filename_prefix=f"diffusion_models/{prefix}")
    run = host.run(graph.prompt)
    assert run.status == "success", run.message
    (path,) = (host.base / "output" / "diffusion_models").glob(f"{prefix}_*.safetensors")
    return path


def test_what_save_model_writes_is_read(host: Host) -> None:
    tensors = generator_tensors(VARIANT)
    for lora in (False, True):
        path = saved(host, f"saved_{lora}", lora)
        report = inspect_file(path)
        assert report.complete, report.problems()
        assert (report.kind, report.variant) == ("generator", VARIANT)
        assert report.parameters == sum(tensor.numel() for tensor in tensors.values())
        loaded = load_generator(path, "float32").state_dict()
        patched = "blocks.0.self_attn.o.weight"
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items() if name != patched)
        assert torch.allclose(loaded[patched], tensors[patched] + (2 if lora else 0), atol=1e-5)


def test_what_is_left_out_of_a_saved_model_is_said(host: Host, base: Path) -> None:
    """Core writes weights alone: what describes them beside their file stays there."""
    folder = base / "models" / "diffusion_models"
    save(folder / "to_save.safetensors", generator_tensors(VARIANT))
    about = {"format": "matrixgame.variant", "version": 1, "like": "universal", "name": "to_save", "title": "To save"}
    (folder / "to_save.matrixgame.json").write_text(json.dumps({**about, "steps": [1000, 500]}))
    path = saved(host, "saved_described", False, "to_save.safetensors")
    assert inspect_file(path).doubt.startswith("not a file we know; running as universal: 3 steps")
    path.with_suffix(".matrixgame.json").write_text(json.dumps({**about, "name": "again", "steps": [1000, 500]}))
    report = inspect_file(path)
    assert report.variant is not None
    assert (report.doubt, report.variant.steps) == ("", (1000, 500))
    VARIANTS.pop("again")
    like._learned.discard("again")
