"""A signature of the graph before a node: whether what was made there would be made again the same."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import folder_paths
import torch

from ...checkpoints.load import compute_dtype
from ...world.world import ENGINE_VERSION
from .folders import world_folder


def signature_of(node_id: str, graph: Any) -> str:
    """Stands for everything before World Cache: nodes, values, links, the files they name, and how it is computed."""
    seen: dict[str, Any] = {}

    def visit(name: str) -> None:
        if name in seen or not graph.has_node(name):
            return
        node = graph.get_node(name)
        values = {
            key: value for key, value in node["inputs"].items() if name != node_id or key in ("model", "vae", "world")
        }
        seen[name] = [node["class_type"], values, [_file_states(value) for value in values.values()]]
        for value in values.values():
            if isinstance(value, list):
                visit(str(value[0]))

    visit(node_id)
    return hashlib.sha256(json.dumps([seen, _numerics()], sort_keys=True).encode()).hexdigest()


def _numerics() -> list[Any]:
    """What else a world's numbers depend on: a new version, or another device, may compute in another way."""
    device = memory.get_torch_device()
    return [ENGINE_VERSION, *(str(compute_dtype(stored, device)) for stored in (torch.bfloat16, torch.float16))]


def _file_states(value: Any) -> list[int]:
    """When the input, the saved world and the weights of this name were last changed; nothing for other values."""
    if not isinstance(value, str) or len(value) > 255:
        return []
    paths = [folder_paths.get_full_path(folder, value) for folder in folder_paths.folder_names_and_paths]
    if folder_paths.exists_annotated_filepath(value):
        paths.append(folder_paths.get_annotated_filepath(value))
    if (world := world_folder() / Path(value).name).is_file():
        paths.append(str(world))
    # "" names the input folder, which changes with any file in it
    return [Path(path).stat().st_mtime_ns for path in paths if path is not None and Path(path).is_file()]
