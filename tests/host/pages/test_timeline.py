"""The timeline in a real ComfyUI: what reaches Python is what the timeline shows, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.script.read_script import parse_script
from tests.web.page import FIND, LOAD, SAVE, TimelinePage

from ..browser import RENDERERS
from ..server import Host

pytestmark = pytest.mark.alternates
NODE = "TimelineHostProbe"
ROWS = f"""async () => {{
  const {{ rowsOf }} = await import('/extensions/matrixgame/model/document.mjs');
  return rowsOf({FIND}.timeline.editor.doc);
}}"""


@contextmanager
def opened(browser: Any, host: Host, renderer: str) -> Iterator[TimelinePage]:
    host.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": RENDERERS[renderer]})
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield TimelinePage(context.new_page(), None, host.url, node=NODE).open()
    context.close()


@pytest.fixture(scope="module")
def shared(browser: Any, page_host: Host, renderer: str) -> Iterator[TimelinePage]:
    with opened(browser, page_host, renderer) as page:
        yield page


@pytest.fixture
def timeline(shared: TimelinePage) -> Iterator[TimelinePage]:
    """A fresh node in an empty graph; no script of the page has failed."""
    shared.errors.clear()
    shared.node = NODE
    shared.add()
    yield shared
    assert not shared.errors


@pytest.fixture
def alone(browser: Any, page_host: Host, renderer: str) -> Iterator[TimelinePage]:
    """The same, in a page of its own, which may be left as it is."""
    with opened(browser, page_host, renderer) as page:
        yield page
        assert not page.errors


def _run(timeline: TimelinePage) -> list[dict[str, Any]]:
    """The rows that reached Python, of every timeline in the graph, after Run."""
    timeline.page.evaluate(
        "() => { window.rows = []; window.ended = false; const { api } = app;"
        "if (!window.listens) {"
        "  api.addEventListener('executed', (e) => window.rows.push(...(e.detail.output.rows ?? [])));"
        "  api.addEventListener('execution_success', () => { window.ended = true; });"
        "  window.listens = true;"
        "}"
        "app.queuePrompt(0); }"
    )
    timeline.page.wait_for_function("() => window.ended", timeout=60_000)
    return [json.loads(text) for text in timeline.page.evaluate("() => window.rows")]


def _same(got: dict[str, Any], shown: dict[str, Any]) -> bool:
    if (got["mouse"] is None) is not (shown["mouse"] is None):
        return False
    equal = np.array_equal(np.asarray(got["keyboard"], np.float32), np.asarray(shown["keyboard"], np.float32))
    if got["mouse"] is None:
        return equal
    return equal and np.array_equal(np.asarray(got["mouse"], np.float32), np.asarray(shown["mouse"], np.float32))


def test_blocks_are_done_although_the_history_comes_after_the_success(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    page = timeline.page
    done = f"{FIND}.timeline.editor.blocks.every((state) => state === 'done')"
    page.evaluate(
        "() => { window.sent = null; const { api } = app; const { fetchApi } = api;"
        "api.queuePrompt = async (n, prompt) => { window.sent = prompt.output; return { prompt_id: 'one' }; };"
        "const history = () => window.written ? { one: { prompt: [0, 'one', window.sent] } } : {};"
        "api.fetchApi = (route, ...rest) => route.startsWith('/history/one')"
        "  ? Promise.resolve(new Response(JSON.stringify(history()))) : fetchApi.call(api, route, ...rest);"
        "app.queuePrompt(0); }"
    )
    page.wait_for_function("() => window.sent")
    say = "([kind, detail]) => void app.api.dispatchEvent(new CustomEvent(kind, { detail }))"
    page.evaluate(say, ["execution_success", {"prompt_id": "one"}])
    timeline.settle()
    assert not page.evaluate(done)
    page.evaluate("() => { window.written = true; }")
    page.evaluate(say, ["executing", None])
    page.wait_for_function(done)
    page.evaluate("() => { delete app.api.queuePrompt; delete app.api.fetchApi; }")


def test_a_broken_script_is_refused_with_its_own_words(timeline: TimelinePage) -> None:
    timeline.script_tab()
    timeline.page.locator(".mg-script textarea").fill("w 12\nfwd 24")
    timeline.settle()
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST") as answer:
        timeline.page.evaluate("() => { app.queuePrompt(0); }")
    assert answer.value.status == 400
    told = json.dumps(answer.value.json())
    assert "script:2:1: error: unknown action 'fwd' for universal" in told
    assert "did you mean 'forward'?" in told


def test_the_inputs_node_shows_its_script_as_lanes(timeline: TimelinePage) -> None:
    timeline.node = "MatrixGameActionTimeline"
    timeline.add()
    value = timeline.value
    assert value["source"]["kind"] == "script"
    assert value["tracks"] == parse_script(value["source"]["text"]).document.lanes
    timeline.drag((40, "d"), (60, "d"))
    timeline.page.wait_for_timeout(500)
    exported = timeline.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)")
    (inputs,) = [node["inputs"] for node in json.loads(exported).values()]
    track = Timeline.from_text(inputs["script"]).track()
    shown = timeline.page.evaluate(ROWS)
    assert np.array_equal(track.keyboard, np.asarray(shown["keyboard"], np.float32))
    assert np.array_equal(track.mouse, np.asarray(shown["mouse"], np.float32))
    assert track.keyboard[45, 3] == 1


def test_another_variant_runs(timeline: TimelinePage) -> None:
    timeline.set_variant("templerun")
    timeline.drag((10, "jump"), (50, "jump"))
    timeline.drag((30, "slide"), (40, "slide"))
    (got,) = _run(timeline)
    shown = timeline.page.evaluate(ROWS)
    assert _same(got, shown)
    assert got["keyboard"][0] == [1, 0, 0, 0, 0, 0, 0]


def test_the_rows_reach_python_after_save_reload_duplicate_subgraph_and_export(
    alone: TimelinePage, page_host: Host
) -> None:
    timeline = alone
    timeline.drag((10, "w"), (50, "w"))
    timeline.drag((30, "a"), (70, "a"))
    timeline.drag((20, "yaw"), (80, "yaw"), steps=5, shares=(0.8, 0.2))
    timeline.focus()
    timeline.press("t", "e")
    timeline.drag((90, "pitch"), (130, "pitch"), shares=(0.5, 0.9))
    shown = timeline.page.evaluate(ROWS)
    (got,) = _run(timeline)
    assert _same(got, shown)
    assert np.asarray(got["mouse"]).any()
    timeline.page.wait_for_function(f"{FIND}.timeline.editor.blocks.every((state) => state === 'done')")

    saved = timeline.page.evaluate(SAVE)
    timeline.open()
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_timeout(600)
    timeline.js("(editor.moveTo(140, 'd'), editor.toggle())")
    shown = timeline.page.evaluate(ROWS)
    (got,) = _run(timeline)
    assert _same(got, shown)

    exported = timeline.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)")
    (inputs,) = [node["inputs"] for node in json.loads(exported).values()]
    assert json.loads(inputs["timeline"]) == timeline.value

    timeline.page.evaluate("() => { const copy = window.node.clone(); copy.pos = [60, 700]; app.graph.add(copy); }")
    timeline.js("(editor.moveTo(141, 's'), editor.toggle())")
    shown = timeline.page.evaluate(ROWS)
    rows = _run(timeline)
    assert [_same(row, shown) for row in rows].count(True) == 1

    timeline.page.evaluate("() => { app.graph.clear(); }")
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_timeout(400)
    shown = timeline.page.evaluate(ROWS)
    timeline.page.evaluate("() => { app.graph.convertToSubgraph(new Set([window.node])); }")
    again = timeline.page.evaluate(SAVE)
    timeline.page.evaluate("async (text) => { await app.loadGraphData(JSON.parse(text)); }", again)
    timeline.page.wait_for_timeout(400)
    page_host.free()
    rows = _run(timeline)
    assert [_same(row, shown) for row in rows] == [True]
