"""The strip of the timeline and the list of projects in a real browser: live, after edits and undos, on hover."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .browser import RENDERERS, chromium, load_workflow, open_page, picture, until
from .conftest import skip_or_fail
from .graphs import WORKFLOWS, read_workflow
from .server import Host
from .test_browser import QUEUE, QUEUE_EMPTY, SHRINK
from .test_workflows import SMALL

CONNECT = """(project) => {
  const find = (type) => window.app.graph.nodes.find((node) => node.type === type);
  const cache = window.LiteGraph.createNode('MatrixGameWorldCache');
  cache.pos = [460, 620];
  window.app.graph.add(cache);
  cache.setSize([420, 420]);
  cache.widgets.find((w) => w.name === 'name').value = project;
  cache.connect(1, find('MatrixGameRollOut'), 'cache');
  const node = find('MatrixGameActionTimeline');
  window.timeline = node.widgets.find((w) => w.timeline).timeline;
  window.told = [];
  const tell = ({ detail }) => window.told.push([detail.block, detail.state]);
  window.app.api.addEventListener('matrixgame.strip', tell);
}"""
STATES = "() => window.timeline.editor.blocks.map((state) => (state === 'resumable' ? 'cached' : state)).join(' ')"
EDIT = """(block) => { const editor = window.timeline.editor; const t = 12 * block - 4;
  editor.doc = { ...editor.doc, tracks: { ...editor.doc.tracks, s: [[t, 3]] } }; editor.commit(); }"""
STRIP_POINT = """(block) => { const { canvas, editor } = window.timeline; const box = canvas.getBoundingClientRect();
  const scale = box.width / canvas.clientWidth;
  return [box.left + (editor.view.x(12 * block) + 1) * scale, box.top + 25 * scale]; }"""
HOVERED = "() => { const i = document.querySelector('.mg-hover img'); return !!i && i.complete && i.naturalWidth > 0 }"


@pytest.fixture(params=RENDERERS)
def page(request: pytest.FixtureRequest, host: Host) -> Iterator[Any]:
    skip_or_fail(None if chromium() else "There is no Chromium; install one, or set CHROMIUM.")
    with open_page(host, RENDERERS[request.param]) as opened:
        opened.renderer = request.param
        yield opened


def test_strip_and_list(page: Any, host: Host) -> None:
    project = f"strip {page.renderer}"
    load_workflow(
        page, read_workflow(next(path for path in WORKFLOWS if "universal" in path.stem and "Image" in path.stem))
    )
    page.evaluate(SHRINK, SMALL)
    page.evaluate(CONNECT, project)
    blocks = len(page.evaluate(STATES).split())
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    done = " ".join(["cached"] * blocks)
    until(page, f"{STATES[6:]} === '{done}'", 30)
    until(page, "window.timeline.editor.blocks.at(-1) === 'resumable'", 30)
    assert page.locator(".mg-report").inner_text() == f"{blocks} blocks made, 0 reused"
    told = page.evaluate("() => window.told")
    assert told == [[k, what] for k in range(blocks) for what in ("making", "made")]
    page.evaluate(EDIT, 2)
    until(page, f"{STATES[6:]} === '{' '.join(['cached'] * 2 + ['stale'] * (blocks - 2))}'", 30)
    page.evaluate("() => window.timeline.editor.undo()")
    until(page, f"{STATES[6:]} === '{done}'", 30)
    page.mouse.move(*page.evaluate(STRIP_POINT, 1))
    until(page, HOVERED, 30)
    assert "cached" in page.locator(".mg-hover").inner_text()
    listed = page.locator(".mg-cache li").filter(has_text=project)
    listed.wait_for(timeout=30_000)
    assert f"{blocks} blocks" in listed.inner_text()
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        picture(page, Path(folder) / f"cache_{page.renderer}.png")
    listed.get_by_role("button", name="Forget").click()
    listed.get_by_role("button", name="Delete?").click()
    listed.wait_for(state="detached", timeout=30_000)
    assert project not in [entry["name"] for entry in host.get("/matrixgame/cache")["projects"]]
    assert page.errors == []
