"""Branches in a real browser, in both renderers: buttons, keys, menu, what is drawn and what is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..page import FIND, SAVE, TimelinePage

BAR = ".mg-bar [data-act={}]"
PLAYED = """() => {
  app.graph.clear();
  const live = LiteGraph.createNode("MatrixGameLivePlay");
  app.graph.add(live);
  const timeline = LiteGraph.createNode("MatrixGameActionTimeline");
  timeline.pos = [700, 50];
  app.graph.add(timeline);
  window.node = timeline;
  return live.id;
}"""
OPEN = """async ([text, name]) => {
  await app.loadGraphData(JSON.parse(text), true, true, name);
  window.node = app.graph._nodes.find((n) => n.widgets?.some((w) => w.timeline));
}"""
TAKES = "editor.doc.branches.map((branch) => branch.name)"


def menu(timeline: TimelinePage) -> list[str]:
    return timeline.page.locator(".mg-menu [role^=menuitem] span").all_inner_texts()


def shot(timeline: TimelinePage, name: str) -> None:
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        renderer = "nodes2" if timeline.stub and timeline.stub.settings["Comfy.VueNodes.Enabled"] else "legacy"
        timeline.page.screenshot(path=str(Path(folder) / f"branches_{name}_{renderer}.png"))


def names(value: dict[str, Any]) -> list[str]:
    return [branch["name"] for branch in value["branches"]]


def test_fork_edit_and_flip_by_keys(timeline: TimelinePage) -> None:
    timeline.drag((0, "w"), (100, "w"))
    main = timeline.tracks
    timeline.click(68, "ruler")
    assert not timeline.page.locator(BAR.format("flip")).is_visible()
    timeline.press("b")
    assert timeline.live == "branch 1 forked from main at frame 68, and in use"
    assert timeline.value["branches"] == [{"id": "branch-1", "name": "branch 1", "fork": 68, "tracks": {}}]
    timeline.drag((70, "d"), (90, "d"))
    timeline.drag((20, "yaw"), (30, "yaw"), shares=(0.2, 0.2))
    timeline.press("Control+z")
    status = timeline.page.locator(".mg-status")
    assert "branch 1 ≠ main from block 6 on (frame 70)" in status.inner_text()
    timeline.drag((80, "yaw"), (95, "yaw"), shares=(0.2, 0.2))
    shot(timeline, "forked")
    assert timeline.tracks == main
    timeline.press("x")
    assert timeline.live == "main, ≠ branch 1 from block 6 on (frame 70)"
    assert timeline.value["active"] is None
    shot(timeline, "flipped")
    timeline.press("x")
    assert timeline.value["active"] == "branch-1"
    timeline.press("Control+z", "Control+z", "Control+z")
    assert timeline.value["branches"] == []
    assert timeline.nodes() == 1
    timeline.press("Control+Shift+z")
    assert names(timeline.value) == ["branch 1"]


def test_the_parting_is_drawn(timeline: TimelinePage) -> None:
    """The lanes look different from the first block that is not shared, and the same in every column before it."""
    timeline.drag((0, "w"), (100, "w"))
    timeline.press("b")
    before = columns(timeline)
    timeline.click(70, "d")
    timeline.press("x")
    changed = [x for x, (a, b) in enumerate(zip(before, columns(timeline), strict=True)) if a != b]
    assert changed
    line = timeline.js("editor.view.x(68)")  # block 6 is the first to read row 70, and its rows begin at 68
    assert min(changed) >= line - 3
    assert any(abs(x - line) < 3 for x in changed)


def columns(timeline: TimelinePage) -> list[str]:
    """The lanes, as a word for each column of the canvas; no cursor, no strip."""
    return timeline.js(
        "(() => { timeline.proxy.blur(); editor.cursor.t = 0; timeline.draw(); const { canvas } = timeline;"
        "const k = canvas.width / canvas.clientWidth; const top = Math.ceil(editor.view.lanesTop * k);"
        "const rows = Math.floor(editor.view.lanesBottom * k) - top;"
        "const { data } = canvas.getContext('2d').getImageData(0, top, canvas.width, rows);"
        "return Array.from({ length: Math.floor(canvas.width / k) }, (_, x) => { let sum = 0;"
        "for (let y = 0; y < rows; y++) { const i = 4 * (y * canvas.width + Math.round(x * k));"
        "sum = (sum * 31 + data[i] * 7 + data[i + 1] * 3 + data[i + 2]) % 1000003; } return String(sum); }); })()"
    )


def test_all_branches_by_keyboard_alone(timeline: TimelinePage) -> None:
    """The menu is worked with arrows and Enter while the focus stays with the lanes, and says where it is."""
    timeline.focus()
    timeline.press("b", "b", "Shift+B")
    assert menu(timeline)[:3] == ["○ main", "○ branch 1", "● branch 2"]
    assert timeline.page.locator(".mg-menu").get_attribute("aria-label") == "Branches"
    timeline.press("ArrowDown", "ArrowDown")
    assert timeline.live == "○ branch 1"
    proxy = timeline.page.locator(".mg-proxy")
    pointed = proxy.get_attribute("aria-activedescendant")
    item = timeline.page.locator(f"#{pointed}")
    assert item.get_attribute("role") == "menuitemradio"
    assert item.get_attribute("aria-checked") == "false"
    shot(timeline, "menu")
    timeline.press("Enter")
    assert timeline.value["active"] == "branch-1"
    assert proxy.get_attribute("aria-activedescendant") == ""
    assert timeline.page.evaluate("() => document.activeElement.classList.contains('mg-proxy')")
    timeline.press("Shift+B", "End")
    assert timeline.live == "Delete “branch 1”"
    timeline.press("ArrowUp", "Enter")
    timeline.page.keyboard.type("left turn")
    timeline.press("Enter")
    assert names(timeline.value) == ["left turn", "branch 2"]
    timeline.press("Shift+B", "End", "Enter")
    assert names(timeline.value) == ["branch 2"]
    assert timeline.live == "left turn deleted, branch 2 in use; undo brings it back"
    timeline.press("Control+z")
    assert names(timeline.value) == ["left turn", "branch 2"]
    timeline.press("Shift+B", "Escape")
    assert menu(timeline) == []
    assert timeline.nodes() == 1


def test_buttons_also_on_a_narrow_node(timeline: TimelinePage) -> None:
    page = timeline.page
    page.locator(BAR.format("fork")).click()
    timeline.drag((30, "s"), (50, "s"))
    for width in (760, 330):
        page.evaluate("(w) => node.setSize([w, node.size[1]])", width)
        page.wait_for_timeout(300)
        bar = page.locator(".mg-bar").bounding_box()
        for act in ("fork", "branch", "flip"):
            button = page.locator(BAR.format(act))
            box = button.bounding_box()
            assert bar["x"] <= box["x"]
            assert box["x"] + box["width"] <= bar["x"] + bar["width"] + 1
            assert box["height"] >= 24
            assert button.get_attribute("aria-label")
        page.locator(BAR.format("branch")).click()
        menu_box = page.locator(".mg-menu").bounding_box()
        root = page.locator(".mg-timeline").bounding_box()
        assert menu_box["x"] + menu_box["width"] <= root["x"] + root["width"]
        shot(timeline, f"width{width}")
        page.locator(".mg-menu [role=menuitemradio]").first.click()
        timeline.settle()
        assert timeline.value["active"] is None
        assert page.locator(BAR.format("flip")).get_attribute("aria-label") == "Flip to branch 1 (X)"
        page.locator(BAR.format("flip")).click()
        timeline.settle()
        assert page.locator(BAR.format("branch")).inner_text() == "branch 1 ▾"
        assert timeline.value["active"] == "branch-1"


def test_the_script_tab_shows_the_branch_in_use(timeline: TimelinePage) -> None:
    timeline.js("(widget.value = argument)", "w 105f # straight")
    timeline.focus()
    timeline.press("b")
    timeline.script_tab()
    area = timeline.page.locator(".mg-script textarea")
    area.fill("w 50f\nd 55f # round the corner")
    timeline.page.locator(BAR.format("flip")).click()
    timeline.settle()
    assert area.input_value() == "w 105f # straight"
    timeline.page.locator(BAR.format("flip")).click()
    timeline.settle()
    assert area.input_value() == "w 50f\nd 55f # round the corner"
    assert timeline.value["tracks"]["w"] == [[0, 105]]
    assert not timeline.page.locator(BAR.format("fork")).is_visible()


def test_a_marker_is_pinned(timeline: TimelinePage) -> None:
    timeline.click(44, "ruler")
    timeline.press("Shift+M")
    assert timeline.value["markers"] == [{"t": 44, "name": "pin", "pin": True}]
    assert timeline.live == "The state at frame 44 will be kept"
    timeline.click(44, "w", button="right")
    timeline.page.get_by_role("menuitem", name="Keep the state here no longer").click()
    timeline.settle()
    assert timeline.value["markers"] == [{"t": 44, "name": "pin"}]


def test_a_take_lands_once_and_in_the_workflow_that_was_played(timeline: TimelinePage) -> None:
    page = timeline.page
    live = str(page.evaluate(PLAYED))
    template = page.evaluate(SAVE)
    take = {**timeline.value, "length": 21, "tracks": {"s": [[0, 21]]}}
    state = {"state": "playing", "node": live, "timeline": take}
    page.route("**/matrixgame/take", lambda route: route.fulfill(json=state))
    token = "(id) => app.graph.getNodeById(Number(id)).matrixGamePlay.token"
    page.evaluate("(id) => app.api.dispatchCustomEvent('matrixgame.play', { node: id, token: 'tok' })", live)
    assert page.evaluate(token, live) == "tok"
    played = page.evaluate(SAVE)
    page.evaluate(OPEN, [template, "of the same template"])
    page.wait_for_timeout(500)
    assert page.evaluate(token, live) == ""
    page.evaluate(
        "([id, timeline]) => app.api.dispatchCustomEvent('matrixgame.take', { node: id, timeline })", [live, take]
    )
    assert timeline.js(TAKES) == []
    page.evaluate(OPEN, [played, "played"])
    page.wait_for_function("(id) => app.graph.getNodeById(Number(id)).matrixGamePlay.token === 'tok'", arg=live)
    state["state"] = "over"
    page.evaluate("() => { app.api.dispatchCustomEvent('reconnected'); app.api.dispatchCustomEvent('reconnected'); }")
    page.wait_for_function(f"{FIND}.timeline.editor.doc.branches.length > 0")
    page.wait_for_timeout(500)
    assert timeline.js(TAKES) == ["take 1"]
    assert page.evaluate("sessionStorage.getItem('matrixgame.play')") is None
    page.unroute("**/matrixgame/take")
