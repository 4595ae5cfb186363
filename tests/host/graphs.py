"""Graphs in the API's format: built by hand, or read from the workflow files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from .server import PACK

WORKFLOWS = sorted((PACK / "workflows").glob("*.json"))
VIRTUAL = {"MarkdownNote", "Note"}  # drawn by the frontend, unknown to the server
AFTER_GENERATE = "control_after_generate"
SAVED_AS = {"format": "auto", "codec": "auto", "format.codec": "auto"}  # ComfyUI 0.33.0 and newer ones

Node = dict[str, Any]


class Graph:
    """A prompt in the making: `add` returns a function that makes links, so that graphs read like code."""

    def __init__(self) -> None:
        self.prompt: dict[str, Node] = {}

    def add(self, class_type: str, node_id: str | None = None, **inputs: Any) -> Link:
        """Add a node; inputs are values, or outputs of other nodes."""
        name = node_id or str(len(self.prompt) + 1)
        values = {key: value.json() if isinstance(value, Link) else value for key, value in inputs.items()}
        self.prompt[name] = {"class_type": class_type, "inputs": values}
        return Link(name, 0)


class Link:
    """Output `slot` of a node; `link[2]` is another output of the same node."""

    def __init__(self, node: str, slot: int) -> None:
        self.node, self.slot = node, slot

    def __getitem__(self, slot: int) -> Link:
        return Link(self.node, slot)

    def json(self) -> list[Any]:
        """As it stands in a prompt."""
        return [self.node, self.slot]


def read_workflow(path: Path) -> dict[str, Any]:
    """A workflow file."""
    return json.loads(path.read_text(encoding="utf-8"))


def widgets_of(node: Node, object_info: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values of a node's widgets; checks that the file holds exactly as many as the schema has."""
    info = object_info[node["type"]]
    values = list(node.get("widgets_values") or [])
    named: dict[str, Any] = {}
    for name, spec in _widget_inputs(info):
        assert values, f"{node['type']}: no value for {name}"
        named[name] = values.pop(0)
        if spec.get(AFTER_GENERATE):
            assert values.pop(0) in ("fixed", "increment", "decrement", "randomize")
        if spec.get("image_upload") or spec.get("video_upload"):
            values = values[1:]  # the upload button
    assert not values, f"{node['type']}: {values} left over"
    return named


def _widget_inputs(info: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            kind, options = spec[0], spec[1] if len(spec) > 1 else {}
            if isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"):
                yield name, options


def to_prompt(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, Node]:
    """What the frontend would send for a workflow of this pack."""
    links = {link[0]: link for link in workflow["links"]}
    prompt: dict[str, Node] = {}
    for node in workflow["nodes"]:
        if node["type"] in VIRTUAL:
            continue
        if node["type"] == "SaveVideo":
            inputs = {"filename_prefix": node["widgets_values"][0], **SAVED_AS}
        else:
            inputs = widgets_of(node, object_info)
        for slot in node.get("inputs", []):
            if slot.get("link") is not None:
                _, source, output, *_ = links[slot["link"]]
                inputs[slot["name"]] = [str(source), output]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


SMALL = {"width": 96, "height": 64}  # what is made smaller to run here, and shorter


def write_clip(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 352, "yuv420p"
        for i in range(frames):
            picture = np.full((352, 640, 3), 60 + 4 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
