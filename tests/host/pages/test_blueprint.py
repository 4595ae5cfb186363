"""The subgraph of this pack is among ComfyUI's blueprints, is what its script makes of the workflow, and runs."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest

from ..browser import double_click, until
from ..server import PACK, Host
from .on_page import QUEUE, QUEUE_EMPTY, shot

SCRIPT = runpy.run_path(str(PACK / "script" / "blueprint"))
FILE = SCRIPT["BLUEPRINT"]
IS_THERE = "() => window.app.graph.nodes.some((node) => node.isSubgraphNode?.())"
COMPLETE = """(size) => {
  const { graph } = window.app, make = window.LiteGraph.createNode.bind(window.LiteGraph);
  const sub = graph.nodes.find((node) => node.isSubgraphNode());
  const nodes = ['LoadImage', 'MatrixGameActionTimeline', 'SaveVideo'].map((type) => make(type));
  nodes.forEach((node, i) => { node.pos = [-400 + 900 * i, 0]; graph.add(node); });
  const [image, timeline, save] = nodes;
  image.connect(0, sub, sub.findInputSlot('image'));
  timeline.connect(0, sub, sub.findInputSlot('actions'));
  sub.connect(sub.findOutputSlot('video'), save, 'video');
  const widgets = Object.fromEntries(sub.widgets.map((widget) => [widget.name, widget]));
  for (const [name, value] of Object.entries(size)) widgets[name].value = value;
  timeline.widgets.find((w) => w.timeline).timeline.editor.load('w 9f');
  return Object.fromEntries(sub.widgets.map((widget) => [widget.name, widget.value]));
}"""


def test_it_is_what_the_script_makes_of_the_workflow() -> None:
    made = SCRIPT["blueprint"](json.loads(SCRIPT["WORKFLOW"].read_text(encoding="utf-8")))
    assert json.loads(FILE.read_text(encoding="utf-8")) == made, "python3 script/blueprint writes it again"


@pytest.mark.alternates
def test_it_is_found_and_runs(page: Any, page_host: Host) -> None:
    page.evaluate("() => window.app.graph.clear()")
    double_click(page, 900, 600, "() => document.activeElement?.tagName === 'INPUT'")
    page.keyboard.type("matrix-game - image", delay=30)
    page.get_by_text("Blueprint", exact=True).first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function(IS_THERE, timeout=15_000)
    size = {"width": 96, "height": 64, "seed": 731}
    widgets = page.evaluate(COMPLETE, size)
    assert {**widgets, **size} == widgets
    shot(page, "blueprint")
    before = len(page_host.get("/history"))
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    ran = list(page_host.get("/history").values())[before:]
    assert [run["status"]["status_str"] for run in ran] == ["success"]
