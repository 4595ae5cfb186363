"""Painting, drawing, keys, focus, undo: the editor in a real browser, in both renderers."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ..page import TimelinePage

LETTERS = ["w", "a", "h", "r", "m", "n", "q", "Delete", "Backspace", *(f"Control+{key}" for key in "cxvaz")]


def test_a_drag_paints_one_run_and_undo_is_ours(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (120, "w"), steps=2)
    assert timeline.tracks == {"w": [[10, 111]]}
    timeline.drag((40, "w"), (50, "w"), steps=1)
    assert timeline.tracks == {"w": [[10, 30], [51, 70]]}
    timeline.press("Control+z")
    assert timeline.tracks == {"w": [[10, 111]]}
    timeline.press("Control+z")
    assert timeline.tracks == {}
    assert timeline.nodes() == 1
    timeline.press("Control+Shift+z", "Control+y")
    assert timeline.tracks == {"w": [[10, 30], [51, 70]]}


def test_shift_click_switches_the_range_from_the_last_click(timeline: TimelinePage) -> None:
    timeline.click(20, "a")
    timeline.page.keyboard.down("Shift")
    timeline.click(40, "a")
    timeline.page.keyboard.up("Shift")
    assert timeline.tracks == {"a": [[20, 21]]}


@pytest.mark.parametrize("key", LETTERS)
def test_keys_stay_ours(timeline: TimelinePage, key: str) -> None:
    page = timeline.page
    timeline.drag((10, "w"), (30, "w"))
    page.evaluate("() => app.canvas.selectNode(window.node)")
    page.keyboard.press(key)
    timeline.settle()
    assert timeline.nodes() == 1
    assert page.evaluate("() => app.extensionManager.sidebarTab.activeSidebarTabId") is None
    assert page.evaluate("() => Boolean(app.canvas.read_only)") is False
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")


def test_the_queue_keys_still_queue(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (30, "w"))
    timeline.page.evaluate(
        "() => { const sink = LiteGraph.createNode('SinkProbe'); sink.pos = [900, 90]; app.graph.add(sink);"
        "window.node.connect(0, sink, 0); }"
    )
    timeline.focus()
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST"):
        timeline.page.keyboard.press("Control+Enter")
    assert len(timeline.stub.prompts) == 1
    sent = next(n for n in timeline.stub.prompts[0]["prompt"].values() if "timeline" in n["inputs"])
    assert sent["inputs"]["timeline"] == timeline.js("widget.value")
    assert sent["inputs"]["variant"] == "universal"


def test_the_graph_keeps_its_keys_when_we_have_no_focus(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (30, "w"))
    timeline.page.mouse.click(1100, 400)
    timeline.settle()
    assert timeline.js("timeline.proxy.focused") is False
    timeline.page.keyboard.press("w")
    timeline.page.wait_for_function("() => app.extensionManager.sidebarTab.activeSidebarTabId === 'workflows'")
    timeline.page.evaluate("() => { app.extensionManager.sidebarTab.activeSidebarTabId = null; }")


def test_undo_stays_ours_with_run_on_change(timeline: TimelinePage) -> None:
    page = timeline.page
    mode = "(mode) => { app.extensionManager.queueSettings.mode = mode; }"
    timeline.drag((10, "w"), (30, "w"))
    timeline.drag((10, "a"), (30, "a"))
    try:
        page.wait_for_timeout(500)  # the frontend takes both edits for one change of the graph
        page.evaluate(mode, "change")
        page.evaluate("() => { window.before = window.node; }")
        timeline.press("Control+z")
        page.wait_for_timeout(300)
        assert timeline.tracks == {"w": [[10, 21]]}
        assert page.evaluate("() => app.graph._nodes[0] === window.before")
    finally:
        page.evaluate(mode, "disabled")


@pytest.mark.parametrize(("t", "stale"), [(0, 0), (7, 0), (8, 1), (19, 1), (20, 2), (32, 3)])
def test_blocks_begin_at_8_20_32(timeline: TimelinePage, t: int, stale: int) -> None:
    timeline.js("timeline.rendered(editor.doc)")
    assert set(timeline.js("editor.blocks")) == {"done"}
    timeline.js("(editor.view.zoom(editor.doc, 3, editor.view.head), editor.emit('view'))")
    timeline.settle()
    timeline.click(t, "w")
    assert timeline.tracks == {"w": [[t, 1]]}
    states = timeline.js("editor.blocks")
    assert states == ["done"] * stale + ["stale"] * (13 - stale)
    timeline.press("Control+z")
    assert set(timeline.js("editor.blocks")) == {"done"}


def test_snapping_paints_whole_slots(timeline: TimelinePage) -> None:
    timeline.focus()
    timeline.press("n", "n")
    timeline.click(25, "d")
    assert timeline.tracks == {"d": [[20, 12]]}
    timeline.press("Control+z", "n", "n", "n")
    timeline.click(9, "d")
    assert timeline.tracks == {"d": [[8, 4]]}


def test_lanes_follow_the_variant(timeline: TimelinePage) -> None:
    lanes = "editor.lanes.map((l) => l.id)"
    assert timeline.js(lanes) == ["w", "s", "a", "d", "yaw", "pitch"]
    timeline.set_variant("gta_drive")
    assert timeline.js(lanes) == ["w", "s", "yaw"]
    timeline.set_variant("templerun")
    assert len(timeline.js(lanes)) == 7
    assert timeline.value["variant"] == "templerun"
    timeline.drag((4, "slide"), (30, "slide"))
    timeline.drag((10, "jump"), (20, "jump"))
    assert timeline.tracks == {"slide": [[4, 6], [21, 10]], "jump": [[10, 11]]}
    timeline.drag((24, "idle"), (26, "idle"))
    assert timeline.tracks["slide"] == [[4, 6], [21, 3], [27, 4]]
    rows = timeline.page.evaluate(
        "async (doc) => (await import('/extensions/matrixgame/model/document.mjs')).rowsOf(doc)", timeline.value
    )
    assert rows["keyboard"][0] == [1, 0, 0, 0, 0, 0, 0]
    assert rows["keyboard"][10] == [0, 1, 0, 0, 0, 0, 0]
    assert rows["mouse"] is None


def test_the_variant_is_chosen_in_the_node(timeline: TimelinePage, renderer: str) -> None:
    page = timeline.page
    if renderer == "nodes2":
        page.locator("[data-node-id] [role=combobox]").first.click()
        page.get_by_role("option", name="gta_drive").click()
    else:
        arrow = (
            "() => { const [w] = window.node.widgets; const { scale, offset } = app.canvas.ds;"
            "return [(window.node.pos[0] + window.node.size[0] - 28 + offset[0]) * scale,"
            "(window.node.pos[1] + w.y + 10 + offset[1]) * scale]; }"
        )
        page.mouse.click(*page.evaluate(arrow))
    page.wait_for_timeout(400)
    assert timeline.js("editor.lanes.map((l) => l.id)") == ["w", "s", "yaw"]
    assert timeline.value["variant"] == "gta_drive"


def test_another_variant_says_what_would_be_lost(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.drag((10, "a"), (30, "a"))
    timeline.drag((40, "w"), (60, "w"))
    before = timeline.value
    timeline.set_variant("gta_drive")
    banner = page.locator(".mg-banner")
    assert "A (1)" in banner.inner_text()
    assert timeline.value == before
    banner.get_by_role("button").nth(2).click()
    timeline.settle()
    assert banner.is_hidden()
    assert page.evaluate("() => window.node.widgets.find((w) => w.name === 'variant').value") == "universal"
    timeline.set_variant("gta_drive")
    banner.get_by_role("button").nth(0).click()
    timeline.settle()
    assert timeline.tracks == {"w": [[40, 21]]}
    timeline.focus()
    timeline.press("Control+z")
    assert timeline.value["tracks"] == before["tracks"]


def test_a_camera_value_is_typed_in_units_or_degrees(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.double(24, "yaw")
    field = page.locator(".mg-ask input")
    field.fill("2")
    page.keyboard.press("Enter")
    assert "2" in page.locator(".mg-ask .mg-error").inner_text()
    field.fill("NaN")
    page.keyboard.press("Enter")
    assert page.locator(".mg-ask .mg-error").inner_text()
    assert timeline.tracks == {}
    field.fill("1.5deg")
    assert "1.5" in page.locator(".mg-ask .mg-hint").inner_text()
    page.keyboard.press("Enter")
    timeline.settle()
    assert page.locator(".mg-ask").count() == 0
    assert timeline.tracks == {"yaw": [[20, 0.1], [32, 0]]}
    timeline.press("Control+z")
    assert timeline.tracks == {}
    assert timeline.nodes() == 1


def test_drawing_goes_through_time_in_order(timeline: TimelinePage) -> None:
    timeline.drag((20, "yaw"), (80, "yaw"), steps=7, shares=(0.8, 0.2))
    entries = timeline.tracks["yaw"]
    times = [entry[0] for entry in entries]
    assert times == sorted(set(times))
    values = [entry[1] for entry in entries]
    assert values[0] < 0 < values[-2]
    assert values[:-1] == sorted(values[:-1])
    assert entries[-1] == [81, 0]


def test_ramps_by_drag_and_by_two_clicks(timeline: TimelinePage) -> None:
    timeline.focus()
    timeline.press("t", "e")
    timeline.drag((20, "pitch"), (60, "pitch"), shares=(0.5, 0.2))
    (start, low, ease, length, high), end = timeline.tracks["pitch"]
    assert ease == "smooth"
    assert abs(start - 20) <= 1
    assert abs(length - 40) <= 1
    assert low == 0 < high
    assert end[1] == 0
    timeline.press("Control+z")
    timeline.click(30, "yaw", 0.5)
    timeline.page.wait_for_timeout(450)
    timeline.click(90, "yaw", 0.9)
    ramp = timeline.tracks["yaw"][0]
    assert len(ramp) == 5
    assert ramp[4] < 0


def test_the_ends_of_a_ramp_are_dragged(timeline: TimelinePage) -> None:
    ramp = "editor.doc.tracks.yaw[0]"
    timeline.focus()
    timeline.press("t")
    timeline.drag((29.6, "yaw"), (59.6, "yaw"), shares=(0.5, 0.3))
    a, v0, ease, rows, v1 = timeline.js(ramp)
    assert [a, v0, rows, v1 > 0] == [30, 0, 30, True]
    height = "((r) => (editor.view.yOf(editor.doc, r, argument) - r.top) / r.height)(editor.view.rows[4])"
    at = timeline.js(height, v1)
    timeline.drag((59.6, "yaw"), (89.6, "yaw"), shares=(at, 0.8))
    assert timeline.js(ramp)[:4] == [30, 0, ease, 60]
    assert timeline.js(ramp)[4] < -0.05
    timeline.press("v")
    timeline.drag((29.6, "yaw"), (11.6, "yaw"), shares=(timeline.js(height, 0), 0.3))
    begin, first, _, rows, _ = timeline.js(ramp)
    assert [begin, rows, first > 0.05] == [12, 78, True]
    timeline.page.keyboard.down("Shift")
    timeline.drag((11.6, "yaw"), (39.6, "yaw"), shares=(timeline.js(height, first), 0.9))
    timeline.page.keyboard.up("Shift")
    assert timeline.js(ramp)[:2] == [40, first]
    assert timeline.js("editor.valueText('yaw', 20)") == "0"
    timeline.press("Control+z", "Control+z", "Control+z")
    assert timeline.js(ramp) == [30, 0, ease, 30, v1]
    timeline.press("p")
    timeline.drag((59.6, "yaw"), (70, "yaw"), shares=(at, at))  # the pencil draws, wherever it begins
    assert timeline.js(ramp)[:4] == [30, 0, ease, 30]
    assert timeline.js("editor.valueText('yaw', 65)") != "0"


@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_hits_are_right_at_any_zoom_of_the_graph(timeline: TimelinePage, scale: float) -> None:
    timeline.page.evaluate(
        "(s) => { app.canvas.ds.scale = s; app.canvas.ds.offset = [0, 0]; app.canvas.setDirty(true, true); }", scale
    )
    timeline.page.wait_for_timeout(700)
    for t in (24, 47):
        timeline.click(t, "s")
    assert timeline.tracks == {"s": [[24, 1], [47, 1]]}
    # the picture is as sharp as the screen: one canvas pixel for each device pixel
    box = timeline.page.locator(".mg-stage canvas").bounding_box()
    assert abs(timeline.js("timeline.canvas.width") - box["width"]) <= 2


def test_hits_are_right_at_another_pixel_ratio(browser, stub, renderer: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, device_scale_factor=1.5)
    timeline = TimelinePage(context.new_page(), stub, stub.url).open()
    timeline.click(24, "w")
    assert timeline.tracks == {"w": [[24, 1]]}
    box = timeline.page.locator(".mg-stage canvas").bounding_box()
    assert abs(timeline.js("timeline.canvas.width") - 1.5 * box["width"]) <= 3
    context.close()


def test_select_moves_resizes_and_copies_runs(timeline: TimelinePage) -> None:
    timeline.drag((20, "w"), (39, "w"))
    timeline.press("v")
    timeline.drag((30, "w"), (60, "a"))
    assert timeline.tracks == {"a": [[50, 20]]}
    timeline.js("(editor.view.zoom(editor.doc, 2, editor.view.head), editor.emit('view'))")
    timeline.settle()
    timeline.drag((69.4, "a"), (79.4, "a"))
    assert timeline.tracks == {"a": [[50, 30]]}
    timeline.page.keyboard.down("Alt")
    timeline.drag((60, "a"), (22, "s"))
    timeline.page.keyboard.up("Alt")
    assert timeline.tracks == {"a": [[50, 30]], "s": [[12, 30]]}


def test_the_wheel_scrolls_zooms_and_leaves_the_graph(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.js("editor.setBlocks(120)")
    timeline.focus()
    timeline.js("(editor.view.zoom(editor.doc, 6, editor.view.head), editor.emit('view'))")
    before = page.evaluate("() => app.canvas.ds.scale")
    page.mouse.move(*timeline.place(20, "w"))
    page.mouse.wheel(0, 240)
    page.wait_for_timeout(150)
    assert timeline.js("editor.view.scroll") > 10
    zoom = timeline.js("editor.view.perFrame")
    page.keyboard.down("Alt")
    page.mouse.wheel(0, -240)
    page.wait_for_timeout(150)
    page.keyboard.up("Alt")
    assert timeline.js("editor.view.perFrame") > zoom
    assert page.evaluate("() => app.canvas.ds.scale") == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, 240)
    page.wait_for_timeout(150)
    page.keyboard.up("Control")
    assert page.evaluate("() => app.canvas.ds.scale") < before


def test_letters_in_a_long_script_stay_where_they_were_typed(timeline: TimelinePage) -> None:
    timeline.js("(widget.value = argument)", "# " + "x" * 21_000 + "\nw 5b\n")
    timeline.script_tab()
    area = timeline.page.locator(".mg-script textarea")
    timeline.page.keyboard.type("#abc")
    timeline.js("timeline.redraw()")  # as a run does whose blocks are shown
    timeline.settle()
    assert area.evaluate("(e) => [e.value.slice(0, 6), e.selectionStart]") == ["#abc# ", 4]
    timeline.page.keyboard.press("Control+End")
    timeline.page.keyboard.type("d 3b")
    timeline.page.keyboard.press("Control+s")  # what saves or queues has all of it
    assert timeline.value["source"]["text"].startswith("#abc# x")
    assert timeline.value["source"]["text"].endswith("w 5b\nd 3b")
    timeline.page.keyboard.press("Escape")


def test_a_value_for_a_lane_that_is_gone_is_dropped(timeline: TimelinePage) -> None:
    timeline.js("(editor.moveTo(5, 'pitch'), editor.select(0, 153, ['pitch']))")
    timeline.focus()
    timeline.js("(editor.moveTo(5, 'pitch'), editor.select(0, 153, ['pitch']))")
    timeline.press("Enter")
    timeline.set_variant("gta_drive")
    field = timeline.page.locator(".mg-ask input")
    field.fill("0.1")
    field.press("Enter")
    timeline.settle()
    assert list(timeline.value["tracks"]) == ["w", "s", "yaw"]
    assert timeline.tracks == {}


def test_the_menu_cuts_nothing_where_the_page_has_no_clipboard(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    timeline.page.evaluate(
        "() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })"
    )
    try:
        timeline.press("Control+a")
        timeline.click(20, "w", button="right")
        timeline.page.locator(".mg-menu button", has_text="Cut").click()
        timeline.settle()
        assert timeline.tracks == {"w": [[10, 41]]}
        assert "press Ctrl+X" in timeline.page.locator(".mg-note").inner_text()
    finally:
        timeline.page.evaluate("() => { delete navigator.clipboard; }")


def test_one_block_is_no_blocks(timeline: TimelinePage) -> None:
    field = timeline.page.locator(".mg-length input")
    for value, unit in (("1", "block"), ("2", "blocks")):
        field.fill(value)
        field.press("Enter")
        expect(timeline.page.locator(".mg-length span")).to_have_text(unit)
