"""Files dropped on the lanes, saved from the menu, and the result as a picture, in a real ComfyUI."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from ..browser import load_workflow, until
from ..graphs import WORKFLOWS, read_workflow
from ..server import Host
from .on_page import AWAY, CONNECT, QUEUE, QUEUE_EMPTY, SHOW, move_to, shot

pytestmark = pytest.mark.alternates
DROP = """([name, text]) => { const data = new DataTransfer(); data.items.add(new File([text], name));
  const over = document.querySelector('.mg-stage canvas');
  for (const kind of ['dragenter', 'dragover', 'drop'])
    over.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })); }"""
NOTE = "document.querySelector('.mg-note').textContent"
LENGTH = "window.timeline.editor.doc.length"


def saved(page: Any, item: str) -> bytes:
    """The file that an item of the menu downloads."""
    page.locator("[data-act=file]").click()
    with page.expect_download() as download:
        page.locator(".mg-menu").get_by_text(item).click()
    return download.value.path().read_bytes()


def test_files_come_in_by_drop_and_go_out_by_button(page: Any, page_host: Host) -> None:
    load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
    page.evaluate(CONNECT, f"files {page.renderer}")
    page.evaluate(AWAY)
    page.evaluate(SHOW, ["idle 33f", 1.0])
    nodes = page.evaluate("() => window.app.graph.nodes.length")
    page.evaluate(DROP, ["walk.mgs", "w 21; w+right(0.1) 12"])
    until(page, f"() => {NOTE}.startsWith('walk.mgs opened (script)')", 30)
    assert page.evaluate("() => window.timeline.editor.doc.tracks.w") == [[0, 33]]
    page.evaluate(DROP, ["keys.csv", "w,s,a,d\n" + "1,0,0,0\n" * 21])
    until(page, f"() => {NOTE}.startsWith('keys.csv opened (csv)')", 30)
    assert page.evaluate(f"() => {LENGTH}") == 21
    move_to(page, 0)
    page.keyboard.press("Control+z")
    assert page.evaluate(f"() => {LENGTH}") == 33
    page.evaluate(DROP, ["broken.mgs", "fwd 12"])
    until(page, f"() => {NOTE}.includes(\"did you mean 'forward'\")", 30)
    assert page.evaluate(f"() => {LENGTH}") == 33
    assert page.evaluate("() => window.app.graph.nodes.length") == nodes, "the page took nothing of it for a workflow"

    assert b"w+right" in saved(page, "Save as script")
    shot(page, "files")
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    until(page, "() => window.timeline.editor.storedBlocks?.blocks.every((b) => b.state !== 'empty')", 30)
    gif = Image.open(io.BytesIO(saved(page, "Result as GIF")))
    assert gif.n_frames == 33  # type: ignore[attr-defined]
    page.keyboard.press("g")
    until(page, "() => !!window.timeline.monitor.last[0]?.loaded", 30)
    page.locator(".mg-picture").click(button="right")
    with page.expect_download() as download:
        page.locator(".mg-menu").get_by_text("Result as contact sheet").click()
    sheet = Image.open(download.value.path())
    assert sheet.width > gif.width
    page.keyboard.press("g")
    assert page.errors == []
