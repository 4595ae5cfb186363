"""The widget on the node of a subgraph, where the one inside is promoted to it."""

from __future__ import annotations

import json
from typing import Any

from .page import LOAD, SAVE, TimelinePage

PROMOTE = """(names) => {
  const sink = LiteGraph.createNode('SinkProbe');
  sink.pos = [1000, 90];
  app.graph.add(sink);
  window.node.connect(0, sink, 0);
  const { node, subgraph } = app.graph.convertToSubgraph(new Set([window.node]));
  const inner = subgraph._nodes.find((n) => n.widgets?.some((w) => w.timeline));
  for (const name of names) {
    const slot = inner.inputs.find((i) => i.widget?.name === name);
    subgraph.addInput(name, slot.type).connect(slot, inner);
  }
  node.pos = [60, 90];
  node.setSize([760, 480]);
  window.node = node;
  app.canvas.setDirty(true, true);
}"""
SHOWN = "window.node?.widgets?.find((w) => w.timeline)?.timeline.editor.view.width > 500"


def _promote(timeline: TimelinePage, *names: str) -> None:
    timeline.page.evaluate(PROMOTE, list(names))
    timeline.page.wait_for_function(SHOWN)
    timeline.page.wait_for_timeout(400)


def _sent(timeline: TimelinePage) -> list[dict[str, Any]]:
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST"):
        timeline.page.evaluate("() => { app.queuePrompt(0); }")
    return [n["inputs"] for n in timeline.stub.prompts[-1]["prompt"].values() if "timeline" in n["inputs"]]


def test_the_editor_is_shown_and_its_value_is_what_runs(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    _promote(timeline, "timeline")
    assert timeline.tracks == {"w": [[10, 41]]}
    assert timeline.page.locator(".mg-timeline canvas:visible").count() == 1
    timeline.drag((60, "d"), (70, "d"))
    timeline.press("Control+z", "Control+y")
    assert timeline.nodes() == 2
    (inputs,) = _sent(timeline)
    assert json.loads(inputs["timeline"])["tracks"]["d"] == [[60, 11]]
    assert timeline.page.evaluate("() => window.node.widgets.map((w) => w.name)") == ["timeline"]


def test_it_follows_the_variant_inside_or_promoted_as_well(timeline: TimelinePage) -> None:
    _promote(timeline, "variant", "timeline")
    timeline.page.evaluate("() => { window.node.widgets.find((w) => w.name === 'variant').value = 'templerun'; }")
    timeline.page.wait_for_timeout(600)
    assert timeline.js("editor.doc.variant") == "templerun"
    timeline.drag((10, "jump"), (20, "jump"))
    (inputs,) = _sent(timeline)
    assert inputs["variant"] == "templerun"
    assert json.loads(inputs["timeline"])["tracks"]["jump"] == [[10, 11]]


def test_copies_of_the_subgraph_have_values_of_their_own_and_keep_them(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.drag((10, "w"), (50, "w"))
    timeline.page.evaluate(
        "() => { app.canvas.selectItems([window.node]); app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard();"
        "for (const n of app.graph._nodes) if (n.isSubgraphNode() && n !== window.node) n.pos = [60, 700]; }"
    )
    timeline.page.wait_for_timeout(400)
    timeline.drag((100, "a"), (110, "a"))
    values = "() => app.graph._nodes.flatMap((n) => n.widgets ?? []).filter((w) => w.timeline).map((w) => w.value)"
    one, other = (json.loads(value)["tracks"] for value in timeline.page.evaluate(values))
    assert [one["a"], other["a"], one["w"], other["w"]] == [[[100, 11]], [], [[10, 41]], [[10, 41]]]
    saved = timeline.page.evaluate(SAVE)
    timeline.open()
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_function("app.graph._nodes.filter((n) => n.widgets?.some((w) => w.timeline)).length === 2")
    timeline.page.wait_for_timeout(600)
    again = timeline.page.evaluate(
        "() => app.graph._nodes.flatMap((n) => n.widgets ?? []).filter((w) => w.timeline)"
        ".map((w) => [JSON.parse(w.value).tracks, JSON.parse(w.timeline.value).tracks])"
    )
    assert again == [[one, one], [other, other]]


def test_a_broken_script_is_seen_on_the_subgraphs_node(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.page.evaluate("() => { window.node.widgets.find((w) => w.timeline).value = 'w 12\\nfly 3'; }")
    timeline.settle()
    assert "2:1" in timeline.page.locator(".mg-note:visible").inner_text()
    (inputs,) = _sent(timeline)
    document = inputs["timeline"]
    text = json.loads(document)["source"]["text"] if document.startswith("{") else document
    assert text == "w 12\nfly 3"  # which the node refuses, with the place: tests/actions/test_document.py
