"""What frontends and renderers do with our editors: undo, the properties panel, tooltips, copies of nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from ..browser import RENDERERS, SETTLED, load_workflow, open_page, until
from ..graphs import WORKFLOWS, read_workflow
from ..live import demo_graph
from ..server import Host
from .on_page import CAPTURE, QUEUE_EMPTY, UNDO, UNDOS, show_node

FIRST = next(path for path in WORKFLOWS if "First steps" in path.stem)
NODE = "(type) => window.app.graph.nodes.find((node) => node.type === type)"
EMPTY_PLACE = (1500, 640)
TIMELINE = f"({NODE})('MatrixGameActionTimeline').widgets.find((w) => w.timeline).timeline"
SHOWN = f"""() => {{ const timeline = {TIMELINE};
  return timeline.root.isConnected && timeline.canvas.getBoundingClientRect().width > 0; }}"""


@pytest.fixture(scope="module", params=RENDERERS)
def page(request: pytest.FixtureRequest, browser: Any, page_host: Host) -> Iterator[Page]:
    with open_page(browser, page_host, RENDERERS[request.param]) as opened:
        yield opened
        assert opened.errors == []  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _workflow(page: Page) -> None:
    load_workflow(page, read_workflow(FIRST))


def lane_point(page: Page, t: int, lane: str) -> tuple[float, float]:
    """Where row t of a lane is on the page: in the timeline that is seen."""
    x, y = page.evaluate(
        f"""([t, lane]) => {{ const timeline = {TIMELINE};
        const row = timeline.editor.view.rows.find((r) => r.id === lane);
        return [timeline.editor.view.x(t + 0.5), row.top + row.height / 2]; }}""",
        [t, lane],
    )
    left, top, scale = page.locator(".mg-stage canvas").evaluate(
        "(c) => { const b = c.getBoundingClientRect(); return [b.left, b.top, b.width / c.clientWidth]; }"
    )
    return left + x * scale, top + y * scale


def paint(page: Page, lane: str, a: int = 10, b: int = 60) -> None:
    page.mouse.move(*lane_point(page, a, lane))
    page.mouse.down()
    page.mouse.move(*lane_point(page, b, lane), steps=4)
    page.mouse.up()


def lanes(page: Page) -> dict[str, Any]:
    """What Run would send."""
    prompt = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    (node,) = (each for each in prompt.values() if each["class_type"] == "MatrixGameActionTimeline")
    return json.loads(node["inputs"]["script"])["tracks"]


def change_and_undo(page: Page, change: str) -> None:
    """Change the graph from outside the editor, then undo it."""
    before = page.evaluate(UNDOS)
    # while the frontend lays out new nodes it may put a node back, or take nothing as a change
    until(page, f"() => {{ ({change})(); ({CAPTURE})(); return ({UNDOS})() > {before}; }}", 10)
    undo(page, before)


def undo(page: Page, to: int) -> None:
    """Undo, as Ctrl+Z on the canvas does, until there are so many steps left: the frontend may take its own tidying up
    for one of them."""
    while page.evaluate(UNDOS) > to:
        page.evaluate(UNDO)
    until(page, SHOWN, 10)


MOVE = "() => { const node = window.app.graph.nodes[0]; node.pos = [node.pos[0] + 30, node.pos[1] + 10]; }"
VARIANT = f"""() => {{ const node = ({NODE})('MatrixGameActionTimeline');
  const w = node.widgets.find((w) => w.name === 'variant');
  w.value = 'templerun'; w.callback?.(w.value, window.app.canvas, node); }}"""


@pytest.mark.parametrize("change", [MOVE, VARIANT], ids=["moved", "variant"])
def test_what_is_painted_after_an_undo_is_what_runs(page: Page, change: str) -> None:
    change_and_undo(page, change)
    before = lanes(page)
    assert "templerun" not in page.locator(".mg-timeline").inner_text()
    paint(page, "s")
    assert lanes(page)["s"] != before.get("s")
    assert lanes(page)["s"][0][0] == 10


def test_what_an_undo_took_back_is_not_shown(page: Page) -> None:
    before, undos = lanes(page), page.evaluate(UNDOS)
    paint(page, "s")
    until(page, f"() => ({UNDOS})() > {undos}", 10)
    assert lanes(page) != before
    undo(page, undos)
    assert lanes(page) == before
    shown = page.evaluate(
        f"""() => {{ const timeline = {TIMELINE};
        const shown = [...document.querySelectorAll('.mg-timeline')];
        return [shown.length, shown[0] === timeline.root, timeline.editor.doc.tracks.s.length]; }}"""
    )
    assert shown == [1, True, 0]


def test_player_and_list_come_back(page: Page) -> None:
    page.evaluate(
        """() => { for (const [type, x] of [['MatrixGameLivePlay', 0], ['MatrixGameWorldCache', 700]]) {
        const node = window.LiteGraph.createNode(type); node.pos = [x, 900]; window.app.graph.add(node); } }"""
    )
    page.evaluate(CAPTURE)
    page.evaluate(
        "() => { const { canvas } = window.app; canvas.ds.scale = 0.5; canvas.ds.offset = [200, 100];"
        " canvas.setDirty(true, true); }"
    )
    page.locator(".mg-cache").wait_for()
    change_and_undo(page, MOVE)
    for kind, name in (("MatrixGameLivePlay", "player"), ("MatrixGameWorldCache", "projects")):
        connected = f"() => ({NODE})('{kind}').widgets.find((w) => w.name === '{name}').element.isConnected"
        until(page, connected, 10)


PLAYER = f"({NODE})('MatrixGameLivePlay').matrixGamePlay.player"


def test_a_session_outlives_an_undo(page: Page) -> None:
    """The undo takes back what was done before it began, so the node it brings back knows nothing of its session."""
    page.evaluate("(prompt) => window.app.loadApiJson(prompt, 'live')", demo_graph().prompt)
    page.evaluate(SETTLED)
    show_node(page, "MatrixGameLivePlay")
    before = page.evaluate(UNDOS)
    page.evaluate(MOVE)
    page.evaluate(CAPTURE)
    page.evaluate("() => { window.app.queuePrompt(0); }")
    until(page, f"() => {PLAYER}?.connected && {PLAYER}.state.state === 'ready'", 120)
    page.evaluate(SETTLED)
    while page.evaluate(UNDOS) > before:
        page.evaluate(UNDO)
    until(page, f"() => {PLAYER}?.connected && {PLAYER}.root.isConnected && {PLAYER}.controller", 30)
    page.locator(".mgp-stage").click()
    page.keyboard.down("w")
    page.locator(".mgp-cap.mgp-made[data-lane=w]").wait_for(timeout=60_000)
    page.keyboard.up("w")
    page.keyboard.press("Escape")
    page.locator("[data-act=stop]").click()
    page.locator("[data-act=landed]").wait_for(timeout=60_000)
    until(page, QUEUE_EMPTY, 60)


def test_the_properties_panel_leaves_the_editor_as_it_is(page: Page) -> None:
    width = page.evaluate(f"() => {TIMELINE}.root.offsetWidth")
    page.evaluate(f"() => window.app.canvas.selectNode(({NODE})('MatrixGameActionTimeline'))")
    toggle = page.get_by_label("Toggle properties panel").first
    panel = page.get_by_test_id("properties-panel")
    if not panel.count():  # the host remembers whether it was open
        toggle.click()
    panel.get_by_text("variant", exact=True).wait_for()
    page.mouse.click(*lane_point(page, 40, "s"))
    page.evaluate(SETTLED)
    assert page.evaluate(f"() => {TIMELINE}.root.offsetWidth") == width
    assert "script" not in panel.inner_text()  # or there would be an empty hole, as high as the editor
    toggle.click()
    panel.wait_for(state="detached")
    page.evaluate(SETTLED)
    assert page.evaluate(f"() => {TIMELINE}.root.offsetWidth") == width


def test_no_tooltip_opens_over_the_lanes(page: Page) -> None:
    page.mouse.move(*EMPTY_PLACE)
    page.mouse.move(*lane_point(page, 30, "s"), steps=5)
    page.wait_for_timeout(1500)  # longer than the frontend waits to open one
    assert page.locator("[role=tooltip]").filter(has_text="timeline document").count() == 0


@pytest.mark.alternates
def test_nodes_of_every_workflow_can_be_copied(page: Page) -> None:
    for path in WORKFLOWS:
        workflow = read_workflow(path)
        load_workflow(page, workflow)
        page.mouse.click(*EMPTY_PLACE)
        page.evaluate("() => window.app.canvas.selectItems(window.app.graph.nodes)")
        page.keyboard.press("Control+c")
        page.keyboard.press("Control+v")
        until(page, f"() => window.app.graph.nodes.length === {2 * len(workflow['nodes'])}", 10)
