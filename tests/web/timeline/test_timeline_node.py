"""The widget in its node: saving, scripts, bad input, colours, languages, fingers, recording."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..page import FIND, LOAD, SAVE, TimelinePage, contrast, rgb

FRAME_MS = 40


def _author(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    timeline.drag((20, "yaw"), (80, "yaw"), steps=5, shares=(0.8, 0.2))
    timeline.focus()
    timeline.press("t")
    timeline.drag((90, "pitch"), (120, "pitch"), shares=(0.5, 0.8))
    timeline.press("p")
    timeline.js("(editor.moveTo(36), editor.mark('look around'), editor.loop('in'), editor.moveTo(0))")


def _queue(timeline: TimelinePage) -> dict[str, Any]:
    """The inputs of the timeline node in the prompt that Run sends."""
    timeline.page.evaluate(
        "() => { const sink = LiteGraph.createNode('SinkProbe'); app.graph.add(sink);window.node.connect(0, sink, 0); }"
    )
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST"):
        timeline.page.evaluate("() => { app.queuePrompt(0); }")
    nodes = timeline.stub.prompts[-1]["prompt"].values()
    return next(node["inputs"] for node in nodes if "timeline" in node["inputs"])


def test_save_reload_gives_the_same_value_and_picture(timeline: TimelinePage) -> None:
    _author(timeline)
    before, picture, saved = timeline.js("widget.value"), timeline.pixels(), timeline.page.evaluate(SAVE)
    assert json.loads(before)["markers"] == [{"t": 36, "name": "look around"}]
    timeline.open()
    assert timeline.tracks == {}
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_function("window.node?.widgets?.length && !!document.querySelector('.mg-stage canvas')")
    timeline.page.wait_for_timeout(600)
    assert timeline.js("widget.value") == before
    assert timeline.pixels() == picture


def test_the_strip_shows_what_the_last_run_had(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    assert set(timeline.js("editor.blocks")) == {"none"}
    _queue(timeline)
    timeline.page.wait_for_function(f"{FIND}.timeline.editor.blocks.every((state) => state === 'done')")
    timeline.drag((68, "d"), (70, "d"))
    assert timeline.js("editor.blocks") == ["done"] * 6 + ["stale"] * 7
    timeline.press("Control+z")
    assert set(timeline.js("editor.blocks")) == {"done"}


def test_a_frame_of_1437_is_drawn_in_time_for_60_a_second(timeline: TimelinePage) -> None:
    timeline.page.evaluate(
        "() => { const widget = window.node.widgets.find((w) => w.timeline); const doc = JSON.parse(widget.value);"
        "doc.length = 1437; for (const [i, key] of ['w', 's', 'a', 'd'].entries())"
        "  doc.tracks[key] = Array.from({ length: 100 }, (_, n) => [14 * n + i, 5 + i]);"
        "for (const axis of ['yaw', 'pitch'])"
        "  doc.tracks[axis] = Array.from({ length: 1437 }, (_, t) => [t, Math.round(200 * Math.sin(t * t)) / 1000]);"
        "widget.value = JSON.stringify(doc); }"
    )
    timeline.settle()
    cost = (
        "Math.min(...Array.from({ length: 30 }, () => { const t = performance.now();"
        "timeline.paint(timeline.canvas.clientWidth, timeline.canvas.clientHeight); timeline.refresh();"
        "timeline.canvas.getContext('2d').getImageData(0, 0, 1, 1); return performance.now() - t; }))"
    )
    assert timeline.js(cost) < 16.7
    timeline.js("(editor.view.zoom(editor.doc, 8, editor.view.head), editor.emit('view'))")
    assert timeline.js(cost) < 16.7


def test_duplicates_are_equal_and_independent(timeline: TimelinePage) -> None:
    _author(timeline)
    values = timeline.page.evaluate(
        "() => { const copy = window.node.clone(); app.graph.add(copy); window.copy = copy;"
        "return [window.node, copy].map((n) => n.widgets.find((w) => w.timeline).value); }"
    )
    assert values[0] == values[1]
    timeline.drag((100, "d"), (120, "d"))
    values = timeline.page.evaluate(
        "() => [window.node, window.copy].map((n) => n.widgets.find((w) => w.timeline).value)"
    )
    assert values[0] != values[1]


def test_a_subgraph_keeps_the_timeline(timeline: TimelinePage) -> None:
    _author(timeline)
    before = timeline.js("widget.value")
    timeline.page.evaluate(
        "() => { const sink = LiteGraph.createNode('SinkProbe'); sink.pos = [900, 90]; app.graph.add(sink);"
        "window.node.connect(0, sink, 0); app.graph.convertToSubgraph(new Set([window.node])); }"
    )
    saved = timeline.page.evaluate(SAVE)
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_timeout(500)
    with timeline.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST"):
        timeline.page.evaluate("() => { app.queuePrompt(0); }")
    sent = [n["inputs"] for n in timeline.stub.prompts[-1]["prompt"].values() if "timeline" in n["inputs"]]
    assert [inputs["timeline"] for inputs in sent] == [before]


def test_the_graph_undo_does_not_lose_an_edit(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    timeline.press("ArrowDown")
    timeline.press("Space")
    timeline.page.wait_for_timeout(500)
    assert timeline.tracks == {"w": [[10, 41]], "s": [[10, 1]]}
    state = timeline.page.evaluate(
        "() => app.extensionManager.workflow.activeWorkflow.changeTracker.activeState.nodes[0].widgets_values"
    )
    assert timeline.js("widget.value") in (state.values() if isinstance(state, dict) else state)


def test_the_script_tab_is_in_step_both_ways(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.drag((0, "w"), (23, "w"))
    timeline.script_tab()
    area = page.locator(".mg-script textarea")
    assert "w 2b" in area.input_value()
    area.fill("fwd 24")
    timeline.settle()
    assert page.locator(".mg-script mark").inner_text() == "fwd"
    message = page.locator(".mg-script .mg-messages").inner_text()
    assert message.startswith("1:1  unknown action 'fwd' for universal")
    assert "did you mean 'forward'?" in message
    assert timeline.tracks == {"w": [[0, 24]]}
    assert timeline.value["source"] == {"kind": "script", "text": "fwd 24"}
    assert _queue(timeline)["timeline"] == "fwd 24"
    area.fill("forward 24\n:here\nw+left 12")
    timeline.settle()
    assert page.locator(".mg-script mark").count() == 0
    assert timeline.tracks == {"w": [[0, 36]], "yaw": [[24, -0.1], [36, 0]]}
    assert timeline.value["markers"] == [{"t": 24, "name": "here"}]
    page.locator("[data-tab=lanes]").click()
    timeline.settle()
    timeline.drag((30, "d"), (40, "d"))
    timeline.script_tab()
    assert "w+d+left" in area.input_value()
    page.locator("[data-tab=lanes]").click()
    timeline.press("Control+z", "Control+z")
    assert timeline.tracks == {"w": [[0, 24]]}


def test_a_broken_script_is_still_there_after_a_reload(timeline: TimelinePage) -> None:
    timeline.script_tab()
    timeline.page.locator(".mg-script textarea").fill("w 12\noops 3")
    timeline.settle()
    saved = timeline.page.evaluate(SAVE)
    timeline.page.evaluate(LOAD, saved)
    timeline.page.wait_for_selector(".mg-script textarea")
    timeline.page.wait_for_timeout(300)
    assert timeline.page.locator(".mg-script textarea").input_value() == "w 12\noops 3"
    assert "2:1" in timeline.page.locator(".mg-note").inner_text()


def test_five_megabytes_are_refused_at_once_and_kept(timeline: TimelinePage) -> None:
    timeline.drag((0, "w"), (23, "w"))
    long = "w 12\n" * 1_000_000
    took = timeline.js(
        "((t) => { const wrong = editor.paste(argument); return [performance.now() - t, wrong]; })(performance.now())",
        long,
    )
    assert took[0] < 400
    assert "1000000 characters" in took[1]
    assert timeline.tracks == {"w": [[0, 24]]}
    timeline.script_tab()
    area = timeline.page.locator(".mg-script textarea")
    written = area.input_value()
    timeline.js(
        "((data) => { data.setData('text/plain', argument);"
        "const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });"
        "timeline.script.area.dispatchEvent(event); })(new DataTransfer())",
        long,
    )
    assert "5,000,000" in timeline.page.locator(".mg-messages").inner_text()
    assert area.input_value() == written
    assert timeline.tracks == {"w": [[0, 24]]}


BROKEN = {
    "json": ('{"format":"matrixgame.timeline","version":1,', "JSON"),
    "nan": ('{"format":"matrixgame.timeline","version":1,"variant":"universal","length":NaN,"tracks":{}}', "JSON"),
    "schema": (
        '{"format":"matrixgame.timeline","version":1,"variant":"universal","length":100,"tracks":{}}',
        "93 and 105",
    ),
    "kind": ('{"1": {"class_type": "KSampler"}}', "format"),
    "newer": ('{"format":"matrixgame.timeline","version":2,"lanes":[]}', "update the node pack"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_value_that_cannot_be_read_is_shown_and_kept(timeline: TimelinePage, case: str) -> None:
    text, told = BROKEN[case]
    timeline.js("(widget.value = argument)", text)
    timeline.settle()
    box = timeline.page.locator(".mg-problem")
    assert told in box.inner_text()
    assert box.locator("textarea").input_value() == text
    assert timeline.js("widget.value") == text
    assert _queue(timeline)["timeline"] == text
    assert (box.get_by_role("button").count() == 3) is (case != "newer")
    box.get_by_role("button").last.click()
    timeline.settle()
    assert box.is_hidden()
    assert timeline.tracks == {}


def test_unknown_keys_are_kept(timeline: TimelinePage) -> None:
    given = {
        "format": "matrixgame.timeline", "version": 1, "variant": "universal", "fps": 25, "length": 33,
        "tracks": {"w": [[0, 12]]}, "markers": [], "loop": None, "branches": [], "active": None,
        "meta": {"author": "someone"}, "future": [1, 2, 3],
    }  # fmt: skip
    timeline.js("(widget.value = argument)", json.dumps(given))
    timeline.settle()
    timeline.drag((14, "d"), (20, "d"))
    value = timeline.value
    assert value["meta"] == given["meta"]
    assert value["future"] == given["future"]
    assert value["tracks"]["d"] == [[14, 7]]


def test_the_palette_can_change_while_it_is_open(timeline: TimelinePage) -> None:
    timeline.drag((10, "w"), (50, "w"))
    timeline.page.mouse.click(1100, 400)
    seen = {}
    for palette in ("dark", "light", "solarized", "dark"):
        timeline.page.evaluate("(id) => app.extensionManager.setting.set('Comfy.ColorPalette', id)", palette)
        timeline.page.wait_for_timeout(400)
        ground, run = timeline.colour(100, "s"), timeline.colour(30, "w", 0.25)
        assert contrast(ground, run) >= 3, palette
        seen[palette] = ground
        for lane in ("s", "a", "d", "yaw", "pitch"):
            swatch = timeline.pixel(1, lane, 0.25)
            assert contrast(swatch, ground) >= 3, (palette, lane)
    assert seen["light"] != seen["dark"]


def test_text_stands_out_in_dark_and_light(timeline: TimelinePage) -> None:
    for palette in ("dark", "light", "solarized"):
        timeline.page.evaluate("(id) => app.extensionManager.setting.set('Comfy.ColorPalette', id)", palette)
        timeline.page.wait_for_timeout(400)
        theme = timeline.js("((t) => [t.text, t.dim, t.error, t.bg])(timeline.painter.theme)")
        text, dim, error, ground = (rgb(css)[:3] for css in theme)
        assert contrast(text, ground) >= 4.5, palette
        assert contrast(dim, ground) >= 4.5, palette
        assert contrast(error, ground) >= 4.5, palette
    timeline.page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")


def test_authoring_with_the_keyboard_alone(timeline: TimelinePage) -> None:
    page = timeline.page
    page.evaluate("() => document.querySelector('.mg-proxy').focus()")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-roledescription')") == "timeline"
    timeline.press(*["ArrowRight"] * 3, "ArrowDown", "Enter")
    assert timeline.tracks == {"s": [[3, 1]]}
    assert timeline.live == "S, frames 3 to 3, on"
    timeline.press(*["Shift+Alt+ArrowRight"] * 4, "3")
    assert timeline.tracks["a"] == [[3, 5]]
    assert timeline.live == "A, frames 3 to 7, on"
    timeline.press("Escape", "Shift+ArrowRight")
    assert timeline.js("editor.cursor.t") == 8
    timeline.press("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowLeft")
    assert timeline.js("editor.cursor.t") == 20
    timeline.press("ArrowDown", "ArrowDown", "ArrowDown", "Enter")
    page.keyboard.type("0.2")
    timeline.press("Enter")
    assert timeline.tracks["yaw"] == [[20, 0.2], [32, 0]]
    assert timeline.live == "yaw, frames 20 to 31, 0.2"
    timeline.press("Alt+ArrowUp")
    assert timeline.tracks["yaw"][0] == [20, 0.21]
    timeline.press("Escape", "Home", "m")
    page.keyboard.type("start")
    timeline.press("Enter", "End", "PageUp")
    assert timeline.value["markers"] == [{"t": 0, "name": "start"}]
    assert timeline.js("editor.cursor.t") == 0
    timeline.press("?")
    assert page.locator(".mg-help").is_visible()
    timeline.press("Escape")
    assert page.locator(".mg-help").count() == 0
    assert timeline.js("timeline.proxy.focused") is True


def test_markers_loop_and_ripple(timeline: TimelinePage) -> None:
    timeline.drag((30, "w"), (59, "w"))
    timeline.drag((70, "d"), (80, "d"))
    timeline.js("(editor.moveTo(40), editor.mark('turn'), editor.moveTo(68), editor.mark('later'), editor.loop('in'))")
    timeline.focus()
    timeline.js("editor.moveTo(50, 'w')")
    timeline.press("Insert")
    assert timeline.tracks == {"w": [[30, 20], [62, 10]], "d": [[82, 11]]}
    assert [m["t"] for m in timeline.value["markers"]] == [40, 80]
    assert timeline.value["loop"] == [80, 165]
    assert timeline.value["length"] == 165
    timeline.press("Shift+Delete")
    assert timeline.tracks == {"w": [[30, 30]], "d": [[70, 11]]}
    assert timeline.value["length"] == 153
    assert [m["t"] for m in timeline.value["markers"]] == [40, 68]
    timeline.press("Control+z", "Control+z")
    assert timeline.tracks["w"] == [[30, 30]]
    timeline.drag((40, "markers"), (60, "markers"))
    assert [m["t"] for m in timeline.value["markers"]] == [60, 68]
    timeline.page.mouse.dblclick(*timeline.place(100, "markers"))
    timeline.page.keyboard.type("end")
    timeline.press("Enter")
    assert timeline.value["markers"][-1] == {"t": 100, "name": "end"}
    timeline.press("l")
    assert timeline.value["loop"] is None


def test_the_clipboard_carries_scripts(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.drag((10, "w"), (15, "w"))
    timeline.drag((13, "a"), (18, "a"))
    timeline.js("editor.select(10, 22)")
    timeline.focus()
    timeline.js("editor.select(10, 22)")
    timeline.press("Control+c")
    text = page.evaluate("() => navigator.clipboard.readText()")
    parsed = page.evaluate(
        "async (text) => (await import('/extensions/matrixgame/script/script.mjs')).parseScript(text).document.tracks",
        text,
    )
    assert parsed["w"] == [[0, 6]]
    assert parsed["a"] == [[3, 6]]
    timeline.js("editor.select(60, 96)")
    timeline.press("Control+v")
    assert timeline.tracks["w"] == [[10, 6], [60, 6], [72, 6], [84, 6]]
    assert timeline.tracks["a"] == [[13, 6], [63, 6], [75, 6], [87, 6]]
    assert timeline.nodes() == 1
    timeline.js("editor.select(60, 96)")
    timeline.press("Control+x")
    assert timeline.tracks["w"] == [[10, 6]]
    page.evaluate("() => navigator.clipboard.writeText('jump 12')")
    timeline.press("Control+v")
    assert "unknown action 'jump'" in page.locator(".mg-note").inner_text()
    assert timeline.tracks["w"] == [[10, 6]]
    timeline.js("editor.select(10, 22)")
    timeline.press("Control+d")
    assert timeline.tracks["w"] == [[10, 6], [22, 6]]


def test_languages_and_direction(timeline: TimelinePage) -> None:
    page = timeline.page
    page.evaluate("() => app.extensionManager.setting.set('Comfy.Locale', 'zh')")
    page.wait_for_timeout(600)
    timeline.add()
    assert page.locator("[data-tab=script]").inner_text() == "脚本"
    page.evaluate("() => app.extensionManager.setting.set('Comfy.Locale', 'en')")
    page.wait_for_timeout(600)
    page.evaluate("() => document.documentElement.setAttribute('dir', 'rtl')")
    timeline.add()
    assert page.evaluate("() => getComputedStyle(document.querySelector('.mg-stage')).direction") == "ltr"
    timeline.click(24, "w")
    assert timeline.tracks == {"w": [[24, 1]]}
    page.evaluate("() => document.documentElement.removeAttribute('dir')")


def test_fingers_paint_pinch_and_open_the_menu(timeline: TimelinePage) -> None:
    page = timeline.page
    scale = page.evaluate("() => app.canvas.ds.scale")
    for kind, t in (("touchStart", 20), ("touchMove", 60)):
        timeline.touch(kind, timeline.place(t, "w"))
    timeline.touch("touchEnd")
    timeline.settle()
    assert timeline.tracks == {"w": [[20, 41]]}
    zoom = timeline.js("editor.view.perFrame")
    timeline.touch("touchStart", timeline.place(60, "s"), timeline.place(80, "s"))
    x1, y1 = timeline.place(20, "s")
    x2, y2 = timeline.place(130, "s")
    timeline.touch("touchMove", (x1, y1), (x2, y2))
    timeline.touch("touchEnd")
    timeline.settle()
    assert timeline.js("editor.view.perFrame") > 1.5 * zoom
    assert timeline.tracks == {"w": [[20, 41]]}
    assert page.evaluate("() => app.canvas.ds.scale") == scale
    timeline.press("f")
    timeline.touch("touchStart", timeline.place(100, "a"))
    page.locator(".mg-menu").wait_for()
    timeline.touch("touchEnd")  # and the click that the browser makes of it presses nothing in the menu
    assert page.locator(".mg-menu").is_visible()
    assert timeline.tracks == {"w": [[20, 41]]}


def test_a_take_lands_on_the_timeline(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.drag((0, "s"), (140, "s"))
    timeline.js("(editor.armed.add('w'), editor.armed.add('yaw'), editor.moveTo(20))")
    timeline.focus()
    timeline.js("editor.moveTo(20)")
    page.keyboard.press("r")
    page.wait_for_timeout(200)
    page.keyboard.down("w")
    page.keyboard.down("ArrowRight")
    page.wait_for_timeout(1000)
    page.keyboard.up("ArrowRight")
    page.wait_for_timeout(400)
    page.keyboard.up("w")
    page.wait_for_timeout(200)
    page.keyboard.press("d")
    rows = timeline.js("timeline.transport.take.rows")
    page.keyboard.press("Escape")
    timeline.settle()
    tracks = timeline.tracks
    assert tracks["s"] == [[0, 141]]
    assert "d" not in tracks
    ((start, length),) = tracks["w"]
    assert start > 20
    assert length >= 20  # and no longer than the machine took to see the keys go up, which the rows below tell
    assert tracks["yaw"][0][1] == 0.1
    assert 15 <= tracks["yaw"][1][0] - tracks["yaw"][0][0] < length
    for i, row in enumerate(rows):
        held = "w" in row["keys"]
        assert held == (start <= 20 + i < start + length)
    assert timeline.nodes() == 1
    timeline.press("Control+z")
    assert timeline.tracks == {"s": [[0, 141]]}


def test_a_take_is_punched_into_the_loop(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.drag((0, "s"), (140, "s"))
    timeline.drag((100, "w"), (110, "w"))
    timeline.js("(editor.armed.add('w'), editor.moveTo(40), editor.loop('in'), editor.moveTo(79), editor.loop('out'))")
    assert timeline.value["loop"] == [40, 80]
    timeline.focus()
    page.keyboard.press("r")
    page.keyboard.down("w")
    for _ in range(100):
        page.wait_for_timeout(100)
        if not timeline.js("timeline.transport.running"):
            break
    page.keyboard.up("w")
    timeline.settle()
    held, before = timeline.tracks["w"]
    assert 40 <= held[0] < 80
    assert sum(held) == 80  # the take ends where the loop does, with the key still down
    assert before == [100, 11]
    assert timeline.tracks["s"] == [[0, 141]]


def test_nothing_stays_held_when_the_focus_goes(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.focus()
    timeline.js("editor.armed.add('w')")
    page.keyboard.press("r")
    began = page.evaluate("performance.now()")
    page.keyboard.down("w")
    page.wait_for_timeout(300)
    timeline.js("timeline.proxy.blur()")
    held = (page.evaluate("performance.now()") - began) / FRAME_MS
    page.wait_for_timeout(300)
    assert timeline.js("timeline.transport.running") is False
    page.keyboard.up("w")
    ((_, length),) = timeline.tracks["w"]
    page.wait_for_timeout(200)
    assert timeline.tracks["w"][0][1] == length <= held + 2


def test_the_mouse_looks_while_recording(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.focus()
    timeline.js("(editor.armed.add('yaw'), editor.armed.add('pitch'))")
    page.mouse.move(*timeline.place(50, "a"))
    page.keyboard.press("r")
    page.wait_for_timeout(200)
    for step in range(10):
        page.mouse.move(420 + 12 * step, 300)
        page.wait_for_timeout(40)
    page.keyboard.press("k")
    page.wait_for_timeout(100)
    timeline.js("timeline.transport.stop()")
    timeline.settle()
    assert any(entry[1] > 0 for entry in timeline.tracks["yaw"])


def test_the_pad_records_with_two_fingers(timeline: TimelinePage) -> None:
    page = timeline.page
    scale = page.evaluate("() => app.canvas.ds.scale")
    box = page.locator("[data-act=record]").bounding_box()
    timeline.touch("touchStart", (box["x"] + 10, box["y"] + 10))
    timeline.touch("touchEnd")
    page.wait_for_selector(".mg-pad")
    key = page.locator(".mg-key[data-lane=w]").bounding_box()
    look = page.locator(".mg-look").bounding_box()
    fingers = [(key["x"] + 20, key["y"] + 20), (look["x"] + 100, look["y"] + 55)]
    began = page.evaluate("performance.now()")
    timeline.touch("touchStart", *fingers)
    page.wait_for_timeout(500)
    timeline.touch("touchEnd")
    held = (page.evaluate("performance.now()") - began) / FRAME_MS
    page.wait_for_timeout(150)
    timeline.js("timeline.transport.stop()")
    timeline.settle()
    ((_, length),) = timeline.tracks["w"]
    assert 8 <= length <= held + 2
    assert timeline.tracks["yaw"][0][1] > 0.1
    assert page.evaluate("() => app.canvas.ds.scale") == scale
    assert page.locator(".mg-pad").count() == 0
