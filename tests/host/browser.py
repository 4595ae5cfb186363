"""The host's page in a real browser, in either renderer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, TimeoutError

from .server import Host

RENDERERS = {"canvas": False, "vue": True}
READY = """() => window.app?.graph && window.LiteGraph?.registered_node_types?.MatrixGameRollOut
               && document.querySelector('canvas')"""
SETTLED = """async () => {
  for (let calm = 0, before = -1; calm < 3; ) {
    await new Promise(resolve => setTimeout(resolve, 400));
    const now = document.querySelectorAll('*').length;
    calm = now === before ? calm + 1 : 0;
    before = now;
  }
}"""
LOAD = "async (workflow) => { await window.app.loadGraphData(workflow); }"
VIEW = """(box) => { const view = window.app.canvas.ds, canvas = window.app.canvas.canvas;
  const left = 60, top = 100;  // the page's own bars lie over the canvas
  const width = canvas.clientWidth - left, height = canvas.clientHeight - top;
  view.scale = Math.min(width / box[2], height / box[3], 1);
  view.offset = [left / view.scale - box[0], top / view.scale - box[1]];
  window.app.canvas.setDirty(true, true); }"""


@contextmanager
def open_page(browser: Any, host: Host, vue: bool) -> Iterator[Page]:
    """The host's page, loaded and calm, without the dialogs of a first visit; errors of the page are kept in
    `page.errors`."""
    quiet = {
        "Comfy.Locale": "en",
        "Comfy.TutorialCompleted": True,
        "Comfy.Minimap.Visible": False,
        "Comfy.Graph.CanvasInfo": False,
    }
    host.post("/settings", {**quiet, "Comfy.VueNodes.Enabled": vue})
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    errors: list[str] = []
    page.errors = errors
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(host.url)
    _wait(page)
    yield page
    page.close()


def reload_page(page: Page) -> None:
    """Load the page again, with the settings the host has now."""
    page.reload()
    _wait(page)


def _wait(page: Page) -> None:
    page.wait_for_function(READY, timeout=120_000)
    page.evaluate(SETTLED)


def load_workflow(page: Page, workflow: dict[str, Any]) -> None:
    """Load a workflow as the template browser does, and show all of it."""
    page.evaluate(LOAD, workflow)
    page.evaluate(SETTLED)
    show_all(page, workflow)


def bounds(workflow: dict[str, Any], margin: float = 15) -> list[float]:
    """[x, y, width, height] around all nodes of a workflow."""
    boxes = [(*node["pos"][:2], *node["size"][:2]) for node in workflow["nodes"]]
    left, top = min(x for x, *_ in boxes) - margin, min(y for _, y, *_ in boxes) - margin - 50
    right, bottom = max(x + w for x, _, w, _ in boxes) + margin, max(y + h for _, y, _, h in boxes) + margin
    return [left, top, right - left, bottom - top]


def show_all(page: Page, workflow: dict[str, Any]) -> None:
    """Zoom so that every node is seen."""
    page.evaluate(VIEW, bounds(workflow))
    page.wait_for_timeout(500)


def until(page: Page, question: str, seconds: float, argument: Any = None) -> None:
    """Ask the page until it says yes; the question may be an async function, which wait_for_function never awaits."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(question, argument):
        assert time.monotonic() < deadline, f"not within {seconds} s: {question}"
        page.wait_for_timeout(250)


def double_click(page: Page, x: float, y: float, taken: str) -> None:
    """Double-click the canvas until `taken` holds: LiteGraph takes two clicks for one double click only within 300 ms,
    and a busy machine may hand them on further apart."""
    for _ in range(5):
        page.mouse.dblclick(x, y)
        try:
            page.wait_for_function(taken, timeout=5_000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"no double click was taken: {taken}")


def picture(page: Page, path: Path, box: list[float] | None = None) -> None:
    """A screenshot into a file: of the page, or of what `box` [x, y, width, height] in the graph covers."""
    options: dict[str, Any] = {"type": "jpeg", "quality": 85} if path.suffix == ".jpg" else {}
    if box is not None:
        x, y, scale = page.evaluate("() => { const v = window.app.canvas.ds; return [...v.offset, v.scale] }")
        corner = ((box[0] + x) * scale, (box[1] + y) * scale)
        options["clip"] = {"x": corner[0], "y": corner[1], "width": box[2] * scale, "height": box[3] * scale}
    page.screenshot(path=str(path), **options)
