"""Core's Save Model on our MODEL: what it writes is a generator's file."""

from __future__ import annotations

from pathlib import Path

import torch

from comfyui_matrixgame.checkpoints import inspect_file, load_generator
from comfyui_matrixgame.variants import UNIVERSAL as VARIANT

from ..graphs import Graph
from ..models import LORA, generator_tensors
from ..server import Host
from ..worlds import add_models


def saved(host: Host, prefix: str, lora: bool) -> Path:
    """The file that core writes of the generator."""
    graph = Graph()
    model, _ = add_models(graph)
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
