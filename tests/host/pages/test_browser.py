"""In a real browser, in both renderers of two frontends: search, load, run, preview, result, drag and drop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..browser import RENDERERS, double_click, load_workflow, open_page, picture, reload_page, show_all, until
from ..graphs import SMALL, WORKFLOWS, read_workflow, write_clip
from ..server import Host
from .on_page import QUEUE, QUEUE_EMPTY, SHRINK

PREVIEWS = "() => Object.keys(window.app.nodePreviewImages ?? {}).length > 0"
PLAYS = """async ([name, width]) => {
  const videos = [...document.querySelectorAll('video')];
  const sources = video => [video.src, ...[...video.querySelectorAll('source')].map(source => source.src)].join();
  const saved = videos.find(video => sources(video).includes(`filename=${name}`));
  if (!saved) return false;
  saved.muted = true;
  await saved.play().catch(() => {});
  return saved.readyState >= 2 && saved.videoWidth === width && saved.currentTime > 0;
}"""
DROP = """async (place) => {
  const answer = await fetch('/view?' + new URLSearchParams(place));
  const file = new File([await answer.blob()], place.filename, { type: 'video/mp4' });
  window.app.graph.clear();
  await window.app.handleFile(file);
  return window.app.graph.nodes.map(node => node.type).sort();
}"""
ADD = """(type) => { const node = window.LiteGraph.createNode(type); node.pos = [300, 200];
  window.app.canvas.ds.reset(); window.app.graph.add(node); }"""
SHOWN_CHOICE = """() => { const widget = window.app.graph.nodes[0].widgets.find((w) => w.name === 'style');
  return [widget.value, widget._displayValue ?? widget.options.getOptionLabel?.(widget.value) ?? widget.value]; }"""


@pytest.fixture(scope="module")
def page(browser: Any, page_host: Host, renderer: str) -> Iterator[Any]:
    write_clip(page_host.base / "input" / "clip.mp4", 33)
    with open_page(browser, page_host, RENDERERS[renderer]) as opened:
        opened.renderer = renderer
        yield opened


def test_nodes_are_found_by_search(page: Any) -> None:
    page.evaluate("() => window.app.graph.clear()")
    double_click(page, 900, 600, "() => document.activeElement?.tagName === 'INPUT'")
    page.keyboard.type("rollout", delay=30)
    page.get_by_text("Roll Out", exact=True).first.wait_for(timeout=15_000)
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.app.graph.nodes.some(n => n.type === 'MatrixGameRollOut')", timeout=15_000)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_loads_without_warnings(page: Any, path: Path) -> None:
    workflow = read_workflow(path)
    before = len(page.errors)
    load_workflow(page, workflow)
    assert page.evaluate("() => window.app.graph.nodes.length") == len(workflow["nodes"])
    assert page.evaluate("() => window.app.graph.nodes.filter(n => n.has_errors).length") == 0
    shown = page.locator("body").inner_text()
    for complaint in ("issues found", "Missing Models", "Missing Node", "missing models", "missing nodes"):
        assert complaint not in shown, complaint
    assert page.errors[before:] == []


def run_small(page: Any, workflow: dict[str, Any]) -> None:
    """Queue the workflow at a small size, and wait until a preview was shown."""
    load_workflow(page, workflow)
    page.evaluate(SHRINK, SMALL)
    page.evaluate(
        "(seed) => { for (const n of window.app.graph.nodes) if (n.type === 'MatrixGameStartWorld')"
        " n.widgets.find(w => w.name === 'seed').value = seed; }",
        100 + list(RENDERERS).index(page.renderer),  # not what the other renderer left in the cache
    )
    page.evaluate(QUEUE)
    until(page, PREVIEWS, 240)


def universal_workflow() -> dict[str, Any]:
    return read_workflow(next(path for path in WORKFLOWS if "universal" in path.stem))


@pytest.mark.alternates
def test_run_shows_a_preview_and_the_result_plays(page: Any, page_host: Host) -> None:
    host = page_host
    workflow, log_before = universal_workflow(), len(host.log())
    run_small(page, workflow)
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        picture(page, Path(folder) / f"during_run_{page.renderer}.png")
    until(page, QUEUE_EMPTY, 240)
    until(page, PLAYS, 30, ["universal", 96])
    show_all(page, workflow)
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        picture(page, Path(folder) / f"after_run_{page.renderer}.png")
    assert "failed to load" not in page.locator("body").inner_text()
    assert "Traceback" not in host.log()[log_before:]


@pytest.mark.alternates
def test_a_saved_video_brings_its_workflow_back(page: Any, page_host: Host) -> None:
    folder = page_host.base / "output" / "matrixgame"
    if not any(folder.glob("universal_*.mp4")):  # the test before this was not run
        run_small(page, universal_workflow())
        until(page, QUEUE_EMPTY, 240)
    saved = max(folder.glob("universal_*.mp4"), key=lambda path: path.stat().st_mtime)
    types = page.evaluate(DROP, {"filename": saved.name, "subfolder": "matrixgame", "type": "output"})
    assert "MatrixGameStartWorld" in types
    assert "MatrixGameRollOut" in types
    assert page.errors == []


@pytest.mark.alternates
def test_first_steps_run_as_they_are_and_play(page: Any, page_host: Host) -> None:
    workflow, log_before = (
        read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)),
        page_host.log(),
    )
    load_workflow(page, workflow)
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    until(page, PLAYS, 30, ["first_steps", 80])
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        picture(page, Path(folder) / f"first_steps_{page.renderer}.png")
    assert "Traceback" not in page_host.log()[len(log_before) :]
    assert page.errors == []


def test_nodes_speak_chinese(page: Any, page_host: Host) -> None:
    """The last test of a page, which it leaves in Chinese."""
    for language, name, choice in (("en", "Action Timeline", "keys"), ("zh", "动作时间线", "按键 (keys)")):
        if language == "zh":
            page_host.post("/settings", {"Comfy.Locale": language})
            reload_page(page)
            page_host.post("/settings", {"Comfy.Locale": "en"})
        title = "window.LiteGraph.registered_node_types.MatrixGameActionTimeline.title"
        until(page, f"() => {title} === '{name}'", 30)
        page.evaluate("() => window.app.graph.clear()")
        page.evaluate(ADD, "MatrixGameActionOverlay")
        assert page.evaluate(SHOWN_CHOICE) == ["keys", choice]
        if page.renderer == "vue":
            page.get_by_text(choice, exact=True).first.wait_for()
