"""World Cache: the caches that are open, and the worlds kept under names."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import comfy.model_patcher

from .. import world as engine
from ..cache import BlockCache
from ..cache.kept_worlds import WorldStore
from ..errors import WorldError
from .models.core_values import HostVae, check_generator
from .running.folders import cache_folder, why_not_written
from .running.graph import runs_many_times
from .running.live_world import LiveWorld, as_live_world
from .running.progress import Progress
from .running.signature import signature_of

log = logging.getLogger(__name__)

# Weak, so that what is in memory goes when core lets go of a node's outputs: on "Free", or when the node does.
_open: WeakValueDictionary[str, BlockCache] = WeakValueDictionary()


def open_cache(project: str, mode: str, memory_gb: float, limit_gb: float) -> BlockCache:
    """The cache of a project, the same for all nodes that name it; without its blocks in the mode forget. Raises
    WorldError."""
    cache = _open.get(project)
    if cache is None:
        cache = _open[project] = BlockCache(cache_folder(), project)
    cache.memory_bytes, cache.disk_bytes = memory_gb * 1e9, limit_gb * 1e9
    if mode == "forget":
        cache.forget()
    return cache


def open_caches() -> dict[str, BlockCache]:
    """The caches that are open, by project."""
    return dict(_open)


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
        return _gets_many_worlds(mode, node_id, graph) or _store().signature(name) != signature_of(node_id, graph)
    return mode in ("keep", "forget")


def inputs_to_run(name: str, mode: str, lazy: Mapping[str, Any], node_id: str, graph: Any) -> list[str]:
    """Which of the inputs that wait must come. lazy: those that are connected, None where they did not run."""
    waits = "world" in lazy and lazy["world"] is None
    return ["world"] if cache_needs_world(name, mode, node_id, graph) and waits else []


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
        return as_live_world(engine.load_world(store.find(name)), model, vae)
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
            store.keep(name, signature_of(node_id, graph), partial(engine.save_world, kept), limit_gb * 1e9)
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
