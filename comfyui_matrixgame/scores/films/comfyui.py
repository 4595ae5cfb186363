"""Inputs of a film that ComfyUI saved: Save Video stores the prompt that made it, with the timeline's script, in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...actions.read import Loaded, read_text
from ...actions.ready_made.bench import bench_track
from ...actions.track import ActionTrack, rows_of_blocks
from ...errors import ActionError, MatrixGameError, VideoError
from ...media.video_reader import open_video
from ...variants import get_variant

MOST = 16 << 20  # characters of a prompt
ROLL_OUT, START = "MatrixGameRollOut", "MatrixGameStartWorld"
TIMELINE, BENCH = "MatrixGameActionTimeline", "MatrixGameBenchInputs"
PLAIN = ("value", "text", "string")  # inputs of nodes that give a text or number as it is
Nodes = dict[str, Any]


def inputs_in(path: Path, frames: int) -> Loaded | None:
    """The inputs of a film of so many frames by the prompt in it; None where it holds none of ours. Raises ActionError
    where the prompt does not say which inputs the film has."""
    nodes = _prompt(path)
    savers = {key: list(_behind(nodes, key)) for key in _savers(nodes, path.stem)}
    rollouts = {key for found in savers.values() for key in found}
    if not rollouts:
        return None
    try:
        found = [_inputs(nodes, nodes[key], frames) for key in sorted(rollouts)]
    except MatrixGameError as error:
        raise ActionError(str(error)) from None
    if any(len(each) > 1 for each in savers.values()) or any(not _same(found[0].track, each.track) for each in found):
        raise ActionError(
            f"The workflow in it has {len(found)} rollouts, and which are in the film is not told; name its inputs "
            "with --actions, or in a file beside it."
        )
    return found[0]


def _prompt(path: Path) -> Nodes:
    """The prompt that is stored in a film, as core and Video Helper Suite do; empty where there is none."""
    try:
        with open_video(path) as container:
            tags = {name.lower(): text for name, text in container.metadata.items()}
    except VideoError:
        return {}
    for name in ("prompt", "comment"):
        text = tags.get(name, "")
        if not text.startswith("{") or len(text) > MOST:
            continue
        try:
            found = json.loads(text)
            found = found.get("prompt", found) if name == "comment" else found
            found = json.loads(found) if isinstance(found, str) else found
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return {str(key): node for key, node in found.items() if _is_node(node)}
    return {}


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _savers(nodes: Nodes, stem: str) -> list[str]:
    """The nodes that may have saved a film of this name: those whose prefix it begins with, else all that save."""
    prefixes = {}
    for key, node in nodes.items():
        prefix = node["inputs"].get("filename_prefix")
        if isinstance(prefix, str):
            prefixes[key] = prefix.replace("\\", "/").rpartition("/")[2].partition("%")[0]
    return [key for key, prefix in prefixes.items() if prefix and stem.startswith(prefix)] or list(prefixes)


def _behind(nodes: Nodes, start: str) -> Iterator[str]:
    """The rollouts nearest before a node; what is before them made other films."""
    waiting, seen = [start], set()
    while waiting:
        key = waiting.pop()
        if key in seen or key not in nodes:
            continue
        seen.add(key)
        if nodes[key]["class_type"] == ROLL_OUT:
            yield key
            continue
        waiting += [link for value in nodes[key]["inputs"].values() if (link := _link(value))]


def _link(value: Any) -> str:
    """The node that an input is linked to; "" where it is a value."""
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
    return str(value[0]) if is_link else ""


def _inputs(nodes: Nodes, rollout: Nodes, frames: int) -> Loaded:
    node = nodes.get(_link(rollout["inputs"].get("actions")), {})
    kind = node.get("class_type", "nothing that is known")
    notes: tuple[str, ...] = ()
    if kind == TIMELINE:
        script, variant = (_plain(nodes, node, name, str) for name in ("script", "variant"))
        loaded = read_text(script, variant)
        track, notes = loaded.track, loaded.notes if loaded.kind not in ("script", "timeline") else ()
    elif kind == BENCH:
        variant, blocks, seed = (
            _plain(nodes, node, name, of) for name, of in (("variant", str), ("blocks", int), ("seed", int))
        )
        track = bench_track(get_variant(variant), seed, rows_of_blocks(blocks))
    else:
        raise ActionError(f"The workflow in it takes its inputs from {kind}; name them with --actions.")
    note = "Its inputs are those of the workflow that ComfyUI stored in it."
    return Loaded(track.slice(_lead(nodes, rollout)).padded(frames), "comfyui", notes=(note, *notes))


def _plain(nodes: Nodes, node: Nodes, name: str, kind: type) -> Any:
    """A value of a node, also where it is linked to a node that only holds it."""
    value = node["inputs"].get(name)
    if link := _link(value):
        held = nodes.get(link, {"inputs": {}})["inputs"]
        value = next((held[each] for each in PLAIN if isinstance(held.get(each), kind)), None)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ActionError(f"The workflow in it does not say the {name} of its inputs; name them with --actions.")
    return value


def _lead(nodes: Nodes, rollout: Nodes) -> int:
    """Rows that act on the frame before the film's first: none at the start of a world, one where it goes on."""
    start = nodes.get(_link(rollout["inputs"].get("world")), {})
    return 0 if start.get("class_type") == START and "clip" not in start["inputs"] else 1


def _same(a: ActionTrack, b: ActionTrack) -> bool:
    mouse = (a.mouse is None) == (b.mouse is None) and (a.mouse is None or (a.mouse == b.mouse).all())
    return (
        a.variant == b.variant
        and a.keyboard.shape == b.keyboard.shape
        and bool((a.keyboard == b.keyboard).all() and mouse)
    )
