"""The widget on the node of a subgraph, where the one inside is promoted to it."""

from __future__ import annotations

import json
from typing import Any

from ..page import FIND, LOAD, SAVE, TimelinePage

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
EDITORS = "app.graph._nodes.flatMap((n) => n.widgets ?? []).filter((w) => w.timeline)"
KEEP = """(text) => {  // as the frontend does: past the widget
  const input = window.node.inputs.find((i) => i.name === 'timeline');
  const shown = input._widget;
  input._widget = undefined;
  window.node._projectPromotedWidget(input).value = text;
  input._widget = shown;
}"""
SCRIPT = ".mg-timeline [data-tab=script]:visible"
LOOKED = 600  # ms in which the node has looked at least twice at what the frontend keeps


def _promote(timeline: TimelinePage, *names: str) -> None:
    timeline.page.evaluate(PROMOTE, list(names))
    timeline.steady()


def _sent(timeline: TimelinePage) -> list[dict[str, Any]]:
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST"):
        timeline.page.evaluate("() => { app.queuePrompt(0); }")
    return _inputs(timeline)


def _inputs(timeline: TimelinePage) -> list[dict[str, Any]]:
    return [n["inputs"] for n in timeline.stub.prompts[-1]["prompt"].values() if "timeline" in n["inputs"]]


def test_the_editor_is_shown_and_its_value_is_what_runs(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    _promote(timeline, "timeline")
    assert timeline.tracks == {"w": [[10, 41]]}
    assert timeline.page.locator(".mg-stage canvas:visible").count() == 1
    timeline.drag((60, "d"), (70, "d"))
    timeline.press("Control+z", "Control+y")
    assert timeline.nodes() == 2
    (inputs,) = _sent(timeline)
    assert json.loads(inputs["timeline"])["tracks"]["d"] == [[60, 11]]
    assert timeline.page.evaluate("() => window.node.widgets.map((w) => w.name)") == ["timeline"]


def test_it_follows_the_variant_inside_or_promoted_as_well(timeline: TimelinePage) -> None:
    _promote(timeline, "variant", "timeline")
    timeline.page.evaluate("() => { window.node.widgets.find((w) => w.name === 'variant').value = 'templerun'; }")
    timeline.page.wait_for_function(f"{FIND}.timeline.editor.doc.variant === 'templerun'")
    timeline.steady()
    timeline.drag((10, "jump"), (20, "jump"))
    (inputs,) = _sent(timeline)
    assert inputs["variant"] == "templerun"
    assert json.loads(inputs["timeline"])["tracks"]["jump"] == [[10, 11]]


def test_a_gesture_that_takes_its_time_is_not_undone(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    mouse = timeline.page.mouse
    mouse.move(*timeline.place(10, "w"))
    mouse.down()
    mouse.move(*timeline.place(50, "w"), steps=3)
    timeline.page.wait_for_timeout(LOOKED)
    assert timeline.js("editor.doc.tracks.w") == [[10, 41]]
    mouse.up()
    timeline.settle()
    assert timeline.tracks == {"w": [[10, 41]]}
    timeline.press("Control+z")
    assert timeline.tracks == {}


def test_a_take_goes_on_while_the_node_looks(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.drag((0, "s"), (140, "s"))
    timeline.js("editor.armed.add('w')")
    timeline.focus()
    timeline.page.keyboard.press("r")
    timeline.page.keyboard.down("w")
    timeline.page.wait_for_timeout(LOOKED)
    assert timeline.js("timeline.transport.running")
    timeline.page.keyboard.up("w")
    timeline.press("Escape")
    assert timeline.tracks["s"] == [[0, 141]]
    assert timeline.tracks["w"][0][1] >= 10
    (inputs,) = _sent(timeline)
    assert json.loads(inputs["timeline"])["tracks"]["w"] == timeline.tracks["w"]


def test_what_is_set_from_outside_is_taken_over(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.drag((10, "w"), (50, "w"))
    text = json.dumps({**timeline.value, "length": 93})
    timeline.page.evaluate(KEEP, text)
    timeline.page.wait_for_function(f"{FIND}.timeline.editor.doc.length === 93")
    assert timeline.tracks == {"w": [[10, 41]]}


def test_copies_of_the_subgraph_have_values_of_their_own_and_keep_them(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.drag((10, "w"), (50, "w"))
    timeline.page.evaluate(
        "() => { app.canvas.selectItems([window.node]); app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard();"
        "for (const n of app.graph._nodes) if (n.isSubgraphNode() && n !== window.node) n.pos = [60, 700]; }"
    )
    timeline.page.wait_for_function(f"{EDITORS}.length === 2")
    timeline.steady()
    timeline.drag((100, "a"), (110, "a"))
    one, other = (json.loads(value)["tracks"] for value in timeline.page.evaluate(f"{EDITORS}.map((w) => w.value)"))
    assert [one["a"], other["a"], one["w"], other["w"]] == [[[100, 11]], [], [[10, 41]], [[10, 41]]]
    saved = timeline.page.evaluate(SAVE)
    timeline.open()
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_function(f"{EDITORS}.length === 2")
    timeline.page.wait_for_timeout(LOOKED)
    again = timeline.page.evaluate(
        f"{EDITORS}.map((w) => [JSON.parse(w.value).tracks, JSON.parse(w.timeline.value).tracks])"
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


def test_a_run_has_what_was_typed_a_moment_before(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.js("(widget.value = 'w 5b')")
    timeline.settle()
    timeline.page.locator(SCRIPT).click()
    timeline.page.keyboard.press("Control+a")
    timeline.page.keyboard.type("d 3b")
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST"):
        timeline.page.keyboard.press("Control+Enter")
    (inputs,) = _inputs(timeline)
    assert json.loads(inputs["timeline"])["source"]["text"] == "d 3b"


def test_the_strip_shows_what_the_last_run_had(timeline: TimelinePage) -> None:
    _promote(timeline, "timeline")
    timeline.drag((10, "w"), (50, "w"))
    _sent(timeline)
    timeline.page.wait_for_function(f"{FIND}.timeline.editor.blocks.every((state) => state === 'done')")
