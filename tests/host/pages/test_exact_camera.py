"""Exact camera values in a real ComfyUI: typed, drawn finely, at the pointer, by keyboard and by touch."""

from __future__ import annotations

from typing import Any

import pytest

from comfyui_matrixgame.actions.document import Timeline
from tests.web.page import TimelinePage

from .on_page import shot

pytestmark = pytest.mark.alternates


def yaw(timeline: TimelinePage) -> list[Any]:
    return timeline.value["tracks"]["yaw"]


def test_a_quarter_turn_is_typed_and_the_camera_turns_it(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.js("editor.setBlocks(11)")
    timeline.double(20, "yaw")
    ask = page.locator(".mg-ask")
    ask.locator("input").fill("90 deg in 2 s")
    assert "turns 90° in 2.00 s" in ask.locator(".mg-hint").inner_text()
    page.keyboard.press("Enter")
    timeline.settle()
    track = Timeline.from_text(timeline.js("widget.value")).track()
    assert track.mouse is not None
    assert "yaw turns 90°" in page.locator(".mg-status").inner_text()
    start = next(t for t, value in enumerate(track.mouse[:, 1]) if value)
    assert (track.mouse[:, 1] != 0).sum() == 50
    assert abs(track.mouse[:, 1].sum() * 15 - 90) < 0.05
    timeline.js("editor.moveTo(argument, 'yaw')", start + 3)
    timeline.settle()
    assert "1.8° a frame" in page.locator(".mg-status").inner_text()

    # a ramp, typed by keyboard over a selection of blocks
    timeline.js("(timeline.proxy.focus(), editor.moveTo(80, 'yaw'))")
    timeline.press("Control+Shift+ArrowRight", "Control+Shift+ArrowRight", "Enter")
    page.locator(".mg-ask input").fill("0 -> 0.1 smooth")
    page.keyboard.press("Enter")
    timeline.settle()
    ramp = next(entry for entry in yaw(timeline) if len(entry) == 5)
    assert ramp == [80, 0, "smooth", 24, 0.1]
    assert "turns " in page.locator(".mg-status").inner_text()
    timeline.press("Escape")
    timeline.js("editor.moveTo(85, 'yaw')")
    timeline.press("Shift+Alt+ArrowUp")
    assert next(entry for entry in yaw(timeline) if len(entry) == 5)[4] == 0.11

    # the value and the time at the pointer while it is drawn; Ctrl goes a tenth as far
    page.mouse.move(*timeline.place(5, "pitch", 0.5))
    page.mouse.down()
    page.mouse.move(*timeline.place(15, "pitch", 0.2), steps=3)
    timeline.settle()
    coarse = timeline.js("editor.readout.text")
    shot(timeline.page, "exact_drawing")
    assert coarse.endswith("° a frame · 0.60 s")
    page.keyboard.down("Control")
    page.mouse.move(*timeline.place(16, "pitch", 0.2), steps=2)
    timeline.settle()
    fine = timeline.js("editor.readout.text")
    page.mouse.up()
    page.keyboard.up("Control")
    assert 0 < float(fine.split()[0]) < float(coarse.split()[0]) / 5

    # the ruler in blocks by a click on its number, a stretch by name, and the steps with their places
    page.mouse.click(*_corner(timeline))
    page.mouse.click(*_corner(timeline))
    assert timeline.js("editor.view.unit") == "blocks"
    timeline.press("j")
    page.locator(".mg-ask input").fill("b2 - b3")
    page.keyboard.press("Enter")
    assert timeline.js("[editor.selection.a, editor.selection.b]") == [20, 44]
    timeline.press("Shift+U")
    items = page.locator(".mg-menu [role=menuitemradio]").all_inner_texts()
    shot(timeline.page, "exact_steps")
    assert any("yaw · frame 81 · 3.24 s" in item for item in items), items
    page.locator(".mg-menu [role=menuitemradio]").last.tap()
    timeline.settle()
    assert timeline.js("editor.history.at") == 0
    timeline.js("(editor.view.unit = 'frames', timeline.pictures.keep())")


def test_presets_are_dragged_in_and_a_selection_becomes_one(timeline: TimelinePage) -> None:
    page = timeline.page
    timeline.js("(editor.setBlocks(20), timeline.proxy.focus())")
    timeline.press("/")
    item = page.locator(".mg-menu").get_by_text("pan right", exact=True)
    box = item.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(*timeline.place(60, "a"), steps=4)
    shot(timeline.page, "exact_preset")
    assert page.locator(".mg-ghost").inner_text() == "pan right"
    page.mouse.up()
    timeline.settle()
    assert page.locator(".mg-ghost, .mg-menu").count() == 0
    assert yaw(timeline) == [[60, 0.1], [160, 0]]

    timeline.js("editor.select(60, 85, ['yaw'])")
    timeline.press("/")
    page.locator(".mg-menu").get_by_text("Save the selection").tap()
    page.locator(".mg-ask input").fill("slow turn")
    page.keyboard.press("Enter")
    timeline.settle()
    assert "slow turn" in page.locator(".mg-note").inner_text()
    timeline.js("(editor.selection = null, editor.moveTo(200))")
    timeline.press("/")
    page.locator(".mg-menu").get_by_text("slow turn", exact=True).tap()
    timeline.settle()
    assert yaw(timeline)[2:] == [[200, 0.1], [225, 0]]
    timeline.press("/")
    page.locator(".mg-menu").get_by_text("Delete “slow turn”").click()
    assert page.evaluate("() => localStorage.getItem('matrixgame.timeline.presets')") == "[]"


def _corner(timeline: TimelinePage) -> tuple[float, float]:
    left, top = timeline.js(
        "((b) => [b.left + 12 * b.width / timeline.canvas.clientWidth, b.top + 8])"
        "(timeline.canvas.getBoundingClientRect())"
    )
    return left, top
