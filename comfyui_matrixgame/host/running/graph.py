"""The graph that a node stands in: which of its outputs are wanted, and whether it runs once or many times."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any, NamedTuple

from comfy_execution.utils import get_executing_context
from server import PromptServer

from nodes import NODE_CLASS_MAPPINGS  # pyright: ignore[reportAttributeAccessIssue] (core's)

IMAGE_CHOICES = ("when connected", "always", "never")
WORLD_SLOT, LATENT_SLOT = 2, 3  # of Roll Out


class Wanted(NamedTuple):
    """Which of the outputs of Roll Out that take much memory are asked for."""

    images: bool
    latent: bool
    world: bool


def wanted_outputs(images: str, node_id: str, graph: Any = None) -> Wanted:
    """What Roll Out must build.

    images: one of IMAGE_CHOICES. graph: core's DynamicPrompt; without it, the prompt that runs is asked. The world
    is kept for what may be connected later, but not where Roll Out runs many times: each takes a gigabyte. With a
    World Cache it can be had later, so it is only built where it is connected.
    """
    nodes = _running_prompt() if graph is None else _nodes_of(graph)
    connected = {slot for node in nodes.values() for name, slot in _links(node) if name == node_id}
    shown = images == "always" or (images == IMAGE_CHOICES[0] and 0 in connected)
    cached = "cache" in nodes[node_id]["inputs"] if node_id in nodes else False
    keep = not cached and not _runs_many_times(node_id, nodes, set())
    return Wanted(shown, LATENT_SLOT in connected, WORLD_SLOT in connected or keep)


def timeline_of(node_id: str, graph: Any) -> str | None:
    """The timeline that a Roll Out gets its actions from; None where they come from elsewhere."""
    link = graph.get_node(node_id)["inputs"].get("actions")
    if not isinstance(link, list) or "script" not in graph.get_node(str(link[0]))["inputs"]:
        return None
    return str(link[0])


def runs_many_times(node_id: str, graph: Any) -> bool:
    """Whether a list comes into a node, from the node before it or from further up. graph: core's DynamicPrompt."""
    return _runs_many_times(node_id, _nodes_of(graph), set())


def _nodes_of(graph: Any) -> dict[str, Any]:
    return {name: graph.get_node(name) for name in graph.all_node_ids()}


def _links(node: dict[str, Any]) -> list[tuple[str, int]]:
    """(node, output) of every link into a node."""
    values = [value for value in node["inputs"].values() if isinstance(value, list) and len(value) == 2]
    return [(str(name), slot) for name, slot in values if isinstance(slot, int)]


def _runs_many_times(node_id: str, nodes: dict[str, Any], seen: set[str]) -> bool:
    seen.add(node_id)
    for name, slot in _links(nodes[node_id]) if node_id in nodes else []:
        kind = NODE_CLASS_MAPPINGS.get(nodes[name]["class_type"]) if name in nodes else None
        lists = getattr(kind, "OUTPUT_IS_LIST", None) or ()
        if any(lists[slot : slot + 1]) or (name not in seen and _runs_many_times(name, nodes, seen)):
            return True
    return False


def _running_prompt() -> dict[str, Any]:
    # core computes fingerprints without the graph, so that an output that is connected later would be taken from the
    # cache, where it is not; the queue knows the graph
    context = get_executing_context()
    running, _ = PromptServer.instance.prompt_queue.get_current_queue_volatile()
    return next((item[2] for item in running if context is not None and item[1] == context.prompt_id), {})
