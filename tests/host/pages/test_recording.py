"""Recording in a real ComfyUI: it begins with the first key where one likes, and is quantised to blocks."""

from __future__ import annotations

import pytest

from tests.web.page import TimelinePage

pytestmark = pytest.mark.alternates


def test_a_recording_begins_with_the_first_key_and_is_quantised(timeline: TimelinePage) -> None:
    page = timeline.page
    page.locator("[data-act=record]").click(button="right")
    page.locator(".mg-menu").get_by_text("Record from the first key on").click()
    page.locator("[data-act=record]").click(button="right")
    page.locator(".mg-menu").get_by_text("Quantise to blocks").tap()
    timeline.js("(editor.setBlocks(30), editor.moveTo(0, 'w'), editor.armed.add('w'), timeline.proxy.focus())")
    timeline.press("r")
    page.wait_for_function("() => document.querySelector('.mg-note').textContent.includes('your first key')")
    assert timeline.js("timeline.transport.rows") == 0
    page.keyboard.down("w")
    page.wait_for_function("() => window.node.widgets.find((w) => w.timeline).timeline.transport.rows >= 10")
    page.keyboard.up("w")
    page.wait_for_function("() => window.node.widgets.find((w) => w.timeline).timeline.transport.rows >= 40")
    timeline.press("Escape")
    runs = timeline.tracks["w"]
    assert runs[0][0] == 0, "the key that began it is in its first row"
    assert all(length in (8, *(8 + 12 * k for k in range(1, 30))) for _, length in runs), runs
    timeline.press("Control+z")
    assert timeline.tracks == {}
    timeline.js("timeline.menus.recording.set({ start: 'now', quantise: false })")
