"""The strip of the timeline and the list of projects in a real browser: live, after edits and undos, on hover."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..browser import load_workflow, until
from ..graphs import SMALL, WORKFLOWS, read_workflow
from ..server import Host
from .on_page import CONNECT, QUEUE, QUEUE_EMPTY, SHRINK, move_to, shot

pytestmark = pytest.mark.alternates
STATES = "() => window.timeline.editor.blocks.map((state) => (state === 'resumable' ? 'cached' : state)).join(' ')"
EDIT = """(block) => { const editor = window.timeline.editor; const t = 12 * block - 4;
  editor.doc = { ...editor.doc, tracks: { ...editor.doc.tracks, s: [[t, 3]] } }; editor.commit(); }"""
STRIP_POINT = """(block) => { const { canvas, editor } = window.timeline; const box = canvas.getBoundingClientRect();
  const scale = box.width / canvas.clientWidth;
  return [box.left + (editor.view.x(12 * block) + 1) * scale, box.top + 25 * scale]; }"""
INTO_SUBGRAPH = """() => {
  const { node, subgraph } = window.app.graph.convertToSubgraph(
    new Set(window.app.graph.nodes.filter((each) => each.type === 'MatrixGameActionTimeline')));
  const [inner] = subgraph.nodes;
  const slot = inner.inputs.find((each) => each.widget?.name === 'script');
  subgraph.addInput('script', slot.type).connect(slot, inner);
  node.pos = [0, 1600];  // away from the list
  window.outer = node;
}"""
OUTER = "() => !!(window.timeline = window.outer.widgets?.find((w) => w.timeline)?.timeline)"
HOVERED = "() => { const i = document.querySelector('.mg-hover img'); return !!i && i.complete && i.naturalWidth > 0 }"


def branch_off(page: Any, blocks: int) -> None:
    """Fork at the playhead, pin the place, edit, run: only what is not shared is made; flip back, run: nothing is."""
    states = STATES[6:]
    move_to(page, 12 * 2 - 4)
    page.keyboard.press("b")
    page.keyboard.press("Shift+M")
    page.keyboard.press("1")
    parted = " ".join(["cached"] * 2 + ["stale"] * (blocks - 2))
    until(page, f"{states} === '{parted}'", 30)
    page.locator(".mg-status").filter(has_text="branch 1 ≠ main from block 2 on (frame 20)").wait_for(timeout=30_000)
    assert run(page) == f"{blocks - 2} blocks made, 2 reused"
    page.wait_for_timeout(300)
    until(page, f"{states} === 'cached pinned {' '.join(['cached'] * (blocks - 2))}'", 30)
    shot(page, "cache_branch")
    move_to(page, 12 * 2 - 4)
    page.keyboard.press("x")
    until(page, f"{states} === 'cached pinned {' '.join(['cached'] * (blocks - 2))}'", 30)
    shot(page, "cache_main")
    assert run(page) == f"0 blocks made, {blocks} reused"


def run(page: Any) -> str:
    """Run; returns what Roll Out reports, once it differs from the report before."""
    before = page.locator(".mg-report").inner_text()
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    until(page, f"() => document.querySelector('.mg-report').textContent !== {json.dumps(before)}", 30)
    assert page.locator(".mg-report").bounding_box()["height"] > 10
    return page.locator(".mg-report").inner_text()


def test_strip_and_list(page: Any, page_host: Host) -> None:
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
    branch_off(page, blocks)
    page.mouse.move(*page.evaluate(STRIP_POINT, 1))
    until(page, HOVERED, 30)
    assert "cached" in page.locator(".mg-hover").inner_text()
    assert "shared with branch 1" in page.locator(".mg-hover").inner_text()
    listed = page.locator(".mg-cache li").filter(has_text=project)
    listed.wait_for(timeout=30_000)
    assert f"{2 * blocks - 2} blocks" in listed.inner_text()
    assert "1 pinned" in listed.inner_text()
    shot(page, "cache_list")
    page.evaluate(INTO_SUBGRAPH)  # the strip is there too, on the subgraph's own node
    until(page, OUTER, 30)
    page.evaluate("() => window.timeline.editor.flip()")  # or the host has nothing to run
    page.evaluate(QUEUE)
    until(page, f"{STATES[6:]} === 'cached pinned {' '.join(['cached'] * (blocks - 2))}'", 60)
    listed.get_by_role("button", name="Forget").click()
    listed.get_by_role("button", name="Delete?").click()
    listed.wait_for(state="detached", timeout=30_000)
    assert project not in [entry["name"] for entry in page_host.get("/matrixgame/cache")["projects"]]
    assert page.errors == []
