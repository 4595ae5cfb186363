"""Worlds on disk: saved ones, and those that World Cache keeps."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import comfy.model_patcher
import folder_paths
import torch

from .. import world as engine
from ..cache.kept_worlds import WorldStore
from ..checkpoints.load import compute_dtype
from ..errors import WorldError
from ..world.world import ENGINE_VERSION
from .models import HostVae
from .worlds import WORLD_FOLDER, LiveWorld, Progress, check_generator, live, runs_many_times

log = logging.getLogger(__name__)

CACHE_CHOICES = ("automatic", "keep", "restore", "forget")


def world_folder() -> Path:
    """Where worlds are saved: output/matrixgame."""
    return Path(folder_paths.get_output_directory()) / WORLD_FOLDER


def why_not_written(error: OSError, folder: Path) -> str:
    """A sentence on a folder of ComfyUI's output that took no file, and what to do."""
    return (
        f"{folder} cannot be written ({error.strerror or error}); check its rights and the free space, or start "
        "ComfyUI with another --output-directory."
    )


def world_choices() -> list[str]:
    """Saved worlds, the newest first."""
    files = [path for path in world_folder().glob("*.safetensors") if path.is_file()]
    return [path.name for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)]


def world_file_state(file: str) -> str:
    """Changes when a saved world is written again."""
    path = _saved_world(file)
    return f"{path}/{path.stat().st_mtime_ns}" if path.exists() else "missing"


def _saved_world(file: str) -> Path:
    if Path(file).name != file:
        raise WorldError(f"'{file}' is not the name of a file in output/{WORLD_FOLDER}.")
    return world_folder() / file


def save_world(start: LiveWorld, filename_prefix: str) -> str:
    """Write a world below the output folder; returns a sentence that names the file."""
    output = Path(folder_paths.get_output_directory()).resolve()
    if not (output / filename_prefix).resolve().is_relative_to(output):
        raise WorldError(f"'{filename_prefix}' leads out of the output folder; use a name, with or without folders.")
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, str(output))
    except OSError as error:
        raise WorldError(f"The world is not saved: {why_not_written(error, output)}") from None
    path = engine.save_world(start.world, Path(folder) / f"{name}_{counter:05}_.safetensors")
    return f"{subfolder}/{path.name} ({path.stat().st_size / 1e6:.0f} MB, before block {start.world.block})"


def load_world(model: comfy.model_patcher.ModelPatcher, vae: HostVae, file: str) -> LiveWorld:
    """A saved world with the models it goes on with; raises WorldError."""
    check_generator(model)
    return live(engine.load_world(_saved_world(file)), model, vae)


def cache_folder() -> Path:
    """Where World Cache keeps everything: output/matrixgame/cache."""
    return world_folder() / "cache"


def _store() -> WorldStore:
    return WorldStore(cache_folder())


def cache_state(name: str | None, mode: str) -> str:
    """Changes when a kept world that must be read again was written, or deleted; any of them where the name is not
    known yet (linked)."""
    store = _store()
    paths = sorted(store.worlds()) if name is None else [store.path(name)]
    found = [path for path in paths if path.exists()]
    if mode == "forget":
        return " ".join(path.name for path in found)
    return " ".join(f"{path.stat().st_ino}/{path.stat().st_size}" for path in found) if mode == "restore" else ""


def cache_needs_world(name: str, mode: str, node_id: str, graph: Any) -> bool:
    """Whether the nodes before World Cache must run."""
    if mode == "automatic":
        return _gets_many_worlds(mode, node_id, graph) or _store().signature(name) != _signature(node_id, graph)
    return mode in ("keep", "forget")


def _gets_many_worlds(mode: str, node_id: str, graph: Any) -> bool:
    """Whether World Cache may run once for each world of a list, which one name cannot keep apart."""
    return mode in ("automatic", "keep") and runs_many_times(node_id, graph)


def cached_world(
    model: comfy.model_patcher.ModelPatcher | None,
    vae: HostVae | None,
    name: str,
    mode: str,
    limit_gb: float,
    world: LiveWorld | None,
    node_id: str,
    graph: Any,
) -> LiveWorld | None:
    """Keep, restore or forget the world called `name`; see the node's help. None where only blocks are kept."""
    store = _store()
    if not cache_needs_world(name, mode, node_id, graph):
        check_generator(model)
        if model is None or vae is None:
            raise WorldError("World Cache restores a world that goes on with models; connect model and vae.")
        return live(engine.load_world(store.find(name)), model, vae)
    if mode == "forget":
        store.forget(name)
    if world is None:
        if "world" in graph.get_node(node_id)["inputs"] or _world_is_asked_for(node_id, graph):
            doing = "pass on" if mode == "forget" else "keep"
            raise WorldError(f"World Cache has nothing to {doing}; connect a world.")
        return None
    if _gets_many_worlds(mode, node_id, graph):
        _tell_many(node_id)
    elif mode != "forget":
        kept = world.world
        try:
            store.keep(name, _signature(node_id, graph), partial(engine.save_world, kept), limit_gb * 1e9)
        except (OSError, WorldError) as error:
            why = why_not_written(error, cache_folder()) if isinstance(error, OSError) else str(error)
            if mode == "keep":
                raise WorldError(f"World Cache could not keep the world: {why}") from None
            _tell(node_id, f"World Cache could not keep the world, and the run goes on without: {why}")
    return world


def _tell_many(node_id: str) -> None:
    _tell(node_id, "World Cache keeps no world of a list, as one name holds one; put it before the list to keep one.")


def _tell(node_id: str, message: str) -> None:
    log.warning(message)
    Progress(node_id).tell(message)


def _world_is_asked_for(node_id: str, graph: Any) -> bool:
    """Whether the world output is connected."""
    nodes = [graph.get_node(name) for name in graph.all_node_ids()]
    return any(value == [node_id, 0] for node in nodes for value in node["inputs"].values())


def _signature(node_id: str, graph: Any) -> str:
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
