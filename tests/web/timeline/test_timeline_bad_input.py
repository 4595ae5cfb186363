"""What cannot be used is named where it stands, in both renderers, and what the user wrote is still there.

SCREENSHOT_FOLDER=... keeps a picture of every case.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ..page import TimelinePage, contrast

DOCUMENT: dict[str, Any] = {
    "format": "matrixgame.timeline", "version": 1, "variant": "universal", "fps": 25, "length": 105,
    "tracks": {"w": [[0, 24]]}, "markers": [], "loop": None, "branches": [], "active": None,
}  # fmt: skip
SCRIPTS = {
    "hours": ("w 12\nrepeat 90009 { w 1s }", "2:1  the script makes more than 90009 frames"),
    "hours in one step": ("w 99999s", "1:3  the script makes more than 90009 frames"),
    "nested": ("repeat 90009 { " * 16 + "w 1" + " }" * 16, "the script makes more than 90009 frames"),
    "not a number": ("w NaN", "1:3  expected end of step before 'NaN'"),
    "not a number, camera": ("yaw(NaN) 12", "1:5  expected a number, got 'NaN'"),
    "unknown key": ("w 12\nfly 12", "2:1  unknown action 'fly' for universal"),
    "key of another variant": ("jump 12", "1:1  unknown action 'jump' for universal"),
    "another variant": ("@variant templerun\njump 12", "1:10  the script is for templerun, but here the variant is"),
    "another kind of file": ('{"1": {"class_type": "KSampler"}}', "1:1  expected an action, got '{'"),
    "a picture": ("\u0089PNG\r\n\u001a\n", "1:1  unexpected character U+0089"),
    "more words than a script": ("w 1;" * 30_000, "the script has more than 60000 words, numbers and signs"),
}


@pytest.fixture(autouse=True)
def _picture(timeline: TimelinePage, renderer: str, request: pytest.FixtureRequest):
    yield
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        timeline.page.screenshot(path=f"{folder}/{request.node.name.replace(' ', '_')}.png")


@pytest.mark.parametrize("case", SCRIPTS)
def test_a_script_that_cannot_be_read_is_named_and_kept(timeline: TimelinePage, case: str) -> None:
    text, told = SCRIPTS[case]
    timeline.drag((0, "w"), (23, "w"))
    timeline.script_tab()
    area = timeline.page.locator(".mg-script textarea")
    area.fill(text)
    timeline.page.wait_for_function(
        "document.querySelector('.mg-script textarea').getAttribute('aria-invalid') === 'true'"
    )
    written = area.input_value()
    assert told in timeline.page.locator(".mg-messages").inner_text()
    assert timeline.value["source"]["text"] == written
    assert timeline.tracks == {"w": [[0, 24]]}
    timeline.page.locator("[data-tab=lanes]").click()
    timeline.settle()
    assert told.split("  ")[-1] in timeline.page.locator(".mg-note").inner_text()
    timeline.script_tab()
    assert area.input_value() == written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"1": {"class_type": "KSampler"}}', "must be"),
        ("fly 12", "unknown action 'fly'"),
        ("repeat 90009 { w 1s }", "more than 90009 frames"),
        ("w 1\n" * 1_250_000, "more than 1000000 characters"),
    ],
    ids=["another kind of file", "unknown key", "hours", "five megabytes"],
)
def test_a_paste_that_is_no_script_changes_nothing(timeline: TimelinePage, text: str, told: str) -> None:
    timeline.drag((0, "w"), (23, "w"))
    before = timeline.js("widget.value")
    timeline.js(
        "((data) => { data.setData('text/plain', argument); timeline.proxy.area.dispatchEvent(new ClipboardEvent("
        "'paste', { clipboardData: data, bubbles: true, cancelable: true })); })(new DataTransfer())",
        text,
    )
    timeline.settle()
    assert told in timeline.page.locator(".mg-note").inner_text()
    assert told in timeline.live
    assert timeline.js("widget.value") == before
    assert timeline.nodes() == 1


def _changed(**changes: Any) -> str:
    return json.dumps(DOCUMENT | changes)


DOCUMENTS = {
    "cut off": (_changed()[:-20], "JSON"),
    "unknown lane": (_changed(tracks={"fly": [[0, 3]]}), "tracks.fly: must be absent: universal has the lanes w, s"),
    "runs that overlap": (_changed(tracks={"w": [[0, 24], [10, 3]]}), "tracks.w[1]: must be after the run before it"),
    "too long": (_changed(length=9_000_009), "length"),
    "a list": ("[1, 2, 3]", "JSON object"),
    "an image": (json.dumps({"format": "png", "version": 1}), "format: must be"),
    "broken branch": (_changed(branches=[{"id": "b"}]), "branches[0].name"),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_that_cannot_be_read_is_shown_and_kept(timeline: TimelinePage, case: str) -> None:
    text, told = DOCUMENTS[case]
    timeline.js("(widget.value = argument)", text)
    timeline.settle()
    box = timeline.page.locator(".mg-problem")
    assert told in box.inner_text()
    assert box.locator("textarea").input_value() == text
    assert timeline.js("widget.value") == text
    box.locator("textarea").fill(json.dumps(DOCUMENT))
    box.get_by_role("button").first.click()
    timeline.settle()
    assert box.is_hidden()
    assert timeline.tracks == {"w": [[0, 24]]}


def test_a_document_of_another_variant_is_offered_for_conversion(timeline: TimelinePage) -> None:
    given = _changed(tracks={"w": [[0, 24]], "a": [[30, 12]], "pitch": [[40, 0.1], [52, 0]]})
    timeline.set_variant("gta_drive")
    timeline.js("((widget.value = argument), timeline.setVariant('gta_drive'))", given)
    timeline.settle()
    banner = timeline.page.locator(".mg-banner")
    assert banner.is_visible()
    told = banner.inner_text()
    assert "A (1)" in told
    assert "pitch (2)" in told
    assert json.loads(timeline.js("widget.value"))["tracks"]["a"] == [[30, 12]]
    banner.get_by_role("button").first.click()
    timeline.settle()
    assert timeline.tracks == {"w": [[0, 24]]}


def test_branches_and_unknown_keys_come_through_edits(timeline: TimelinePage) -> None:
    branches = [{"id": "b1", "name": "left turn", "fork": 68, "tracks": {"d": [[70, 10]]}, "thumb": "h:9f2c"}]
    timeline.js("(widget.value = argument)", _changed(branches=branches, meta={"author": "someone"}))
    timeline.settle()
    timeline.drag((60, "d"), (80, "d"))
    timeline.script_tab()
    timeline.page.locator(".mg-script textarea").fill("w 105f")
    timeline.page.locator("[data-tab=lanes]").click()
    timeline.settle()
    value = timeline.value
    assert value["tracks"]["w"] == [[0, 105]]
    [branch] = value["branches"]
    # what it shared with the main lanes is its own now that they have changed
    assert branch == {**branches[0], "tracks": {"w": [[0, 24]], "d": [[70, 10]]}}
    assert value["meta"] == {"author": "someone"}


def test_a_timeline_that_says_more_than_a_script_can_is_only_shown_as_one(timeline: TimelinePage) -> None:
    timeline.js(
        "((doc) => { doc.length = 8001; doc.tracks.yaw = Array.from({ length: 8000 }, (_, t) => [t, (t % 97) / 1000]);"
        "doc.tracks.pitch = Array.from({ length: 8000 }, (_, t) => [t, (t % 89) / 1000]);"
        "widget.value = JSON.stringify(doc); })(JSON.parse(widget.value))"
    )
    timeline.settle()
    before = timeline.js("widget.value")
    timeline.script_tab()
    area = timeline.page.locator(".mg-script textarea")
    assert area.get_attribute("readonly") is not None
    assert "more than a script can" in timeline.page.locator(".mg-messages").inner_text()
    timeline.page.locator("[data-tab=lanes]").click()
    timeline.settle()
    assert timeline.js("widget.value") == before
    assert "mg-bad" not in (timeline.page.locator(".mg-note").get_attribute("class") or "")


def test_the_text_around_the_lanes_stands_out(timeline: TimelinePage) -> None:
    """Every word of the bar, the banner, the messages and the foot, against what is behind it."""
    timeline.drag((0, "a"), (20, "a"))
    timeline.set_variant("gta_drive")
    timeline.script_tab()
    timeline.page.locator(".mg-script textarea").fill("fly 3")
    for palette in ("dark", "light"):
        timeline.page.evaluate("(id) => app.extensionManager.setting.set('Comfy.ColorPalette', id)", palette)
        timeline.page.wait_for_timeout(400)
        pairs = timeline.page.evaluate(COLOURS)
        assert len(pairs) > 8
        for words, ink, ground in pairs:
            assert contrast(ink, ground) >= 4.5, (palette, words, ink, ground)
    timeline.page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")


COLOURS = """() => {
  const solid = (css) => { const n = css.match(/[\\d.]+/g).map(Number); return n.length < 4 || n[3] > 0.95; };
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const seen = (css) => {
    pen.fillStyle = css;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const out = [];
  for (const node of document.querySelectorAll('.mg-timeline *')) {
    const words = [...node.childNodes].filter((c) => c.nodeType === 3).map((c) => c.textContent.trim()).join('');
    const text = words || (node.tagName === 'TEXTAREA' ? node.value : '');
    const style = getComputedStyle(node);
    if (!text || !node.checkVisibility() || node.disabled || style.opacity < 0.9) continue;
    if (style.color.endsWith(' 0)') || node.closest('.mg-live, pre') || node.classList.contains('mg-proxy')) continue;
    let behind = node;
    while (behind && !solid(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    if (behind) out.push([text.slice(0, 30), seen(style.color), seen(getComputedStyle(behind).backgroundColor)]);
  }
  return out;
}"""


def test_the_keyboard_reaches_the_lanes_by_tab(timeline: TimelinePage) -> None:
    page = timeline.page
    page.mouse.click(1100, 500)
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement?.classList.contains('mg-proxy')"):
            break
    timeline.press("ArrowRight", "Enter")
    assert timeline.tracks == {"w": [[1, 1]]}
    assert timeline.live == "W, frames 1 to 1, on"
