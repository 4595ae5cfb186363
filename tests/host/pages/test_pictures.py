"""The picture at the playhead and the filmstrip in a real ComfyUI: frames of the store, without a run."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Request

from comfyui_matrixgame.cache.records import read_record
from comfyui_matrixgame.variants import frames_of_blocks

from ..browser import load_workflow, until
from ..graphs import WORKFLOWS, read_workflow
from ..server import Host
from .on_page import AWAY, CONNECT, QUEUE, QUEUE_EMPTY, SHOW, SHOWN, move_to, shot

pytestmark = pytest.mark.alternates
SCRIPT = "w+d 21; w+d+yaw(0.1) 24"  # 45 rows, 4 blocks, which no other test of the page makes
NOTE = "() => document.querySelector('.mg-picture-note').textContent"
MEANS = """() => { const { monitor: { boxes, canvas } } = window.timeline; const k = canvas.width / canvas.clientWidth;
  return boxes.map((box) => { const size = [box.width * k - 2, box.height * k - 2].map(Math.floor);
    const { data } = canvas.getContext('2d').getImageData(box.x * k + 1, box.y * k + 1, ...size);
    const sum = [0, 0, 0]; for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum[i % 4] += data[i];
    return sum.map((each) => each / (data.length / 4)); }); }"""
PLAYED = """(seconds) => new Promise((done) => { const rows = new Set(); const { editor, monitor } = window.timeline;
  const end = performance.now() + seconds * 1000;
  const look = () => { const { row } = window.timeline.pictures;
    if (editor.playhead !== null && monitor.last[0]?.loaded) rows.add(row);
    if (performance.now() < end) requestAnimationFrame(look); else done([...rows]); };
  look(); })"""
FILMED = """() => { const { pictures } = window.timeline; return pictures.frames.kept.size; }"""
ROW_PLACE = """([t, y]) => { const { canvas, editor } = window.timeline; const box = canvas.getBoundingClientRect();
  const scale = box.width / canvas.clientWidth;
  return [box.left + editor.view.x(t + 0.5) * scale, box.top + y * scale]; }"""
THUMBS = """() => { const found = [...document.querySelectorAll('.mg-menu img')];
  return found.length === 2 && found.every((each) => each.complete && each.naturalWidth > 0); }"""
BOTH = """() => { const { last } = window.timeline.monitor;
  return last.length === 2 && last.every((side) => side.loaded); }"""
APART = f"() => {{ const [own, other] = ({MEANS})(); return own.some((each, i) => Math.abs(each - other[i]) > 2) }}"
FILM_Y = 22 + 14 + 20


@pytest.fixture
def page(page: Any) -> Any:
    """A page that notes which pictures it asks for."""
    page.asked = []
    page.on("request", lambda request: _note(page.asked, request))
    return page


def _note(asked: list[str], request: Request) -> None:
    if "/matrixgame/cache/" in request.url and "/frame" in request.url:
        asked.append(request.url)


def run(page: Any) -> None:
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)


def stored_mean(page: Any, host: Host, project: str, t: int) -> np.ndarray:
    """The mean colour of the frame that is on screen while row t is held, from the store's own file."""
    block = (t + 3) // 12
    key = page.evaluate("(block) => window.timeline.editor.storedBlocks.blocks[block].key", block)
    path = host.base / "output" / "matrixgame" / "cache" / project / f"{key}.frames"
    frames = read_record(path).tensors["frames"][0]
    return frames[t - frames_of_blocks(block)].float().mean(dim=(0, 1)).numpy()


def drawn(page: Any, *means: np.ndarray) -> None:
    """Wait until pictures of these mean colours are on the screen: they are drawn a frame after they are chosen."""
    deadline = time.monotonic() + 30
    while not np.allclose(seen := page.evaluate(MEANS), means, atol=3):
        assert time.monotonic() < deadline, (seen, means)
        page.wait_for_timeout(100)


def test_the_picture_follows_playhead_and_pointer(page: Any, page_host: Host) -> None:
    project = f"picture {page.renderer}"
    workflow = read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem))
    load_workflow(page, workflow)
    page.evaluate(CONNECT, project)
    page.evaluate(AWAY)
    page.evaluate(SHOW, [SCRIPT, 1.0])
    move_to(page, 0)
    page.keyboard.press("g")
    until(page, f"() => ({NOTE})() !== ''", 30)
    run(page)
    page.asked.clear()  # before the run there may be pictures of what another page has run in this node

    # the frame of the store, at the cursor, step by step
    for t in (0, 8, 9, 33):
        move_to(page, t)
        until(page, SHOWN, 30, t)
        drawn(page, stored_mean(page, page_host, project, t))
    page.keyboard.press("ArrowRight")
    until(page, SHOWN, 30, 34)
    shot(page, "cursor")
    page.mouse.move(*page.evaluate(ROW_PLACE, [14, 120]))
    until(page, SHOWN, 30, 14)
    assert "pointer: frame 14" in page.locator(".mg-caption").inner_text()
    page.keyboard.press("ArrowLeft")
    until(page, SHOWN, 30, 33)  # a pointer that rests does not hold the picture
    assert len(page.asked) == len(set(page.asked)), "a block is asked for once"
    assert all("frames/" in url for url in page.asked)

    # plays with the loop
    page.evaluate("() => { const e = window.timeline.editor; e.doc = { ...e.doc, loop: [10, 30] }; e.commit(); }")
    page.keyboard.press("k")
    rows = page.evaluate(PLAYED, 3)
    page.keyboard.press("k")
    assert set(rows) <= set(range(10, 30))
    assert len(rows) >= 15, rows

    # the filmstrip: one picture a block, and a finger scrubs on it
    page.keyboard.press("Shift+G")
    until(page, f"() => ({FILMED})() === 4", 30)
    shot(page, "film")
    touches = page.context.new_cdp_session(page)
    for kind, t in (("touchStart", 5), ("touchMove", 12), ("touchMove", 25), ("touchEnd", None)):
        points = [] if t is None else [dict(zip("xy", page.evaluate(ROW_PLACE, [t, FILM_Y]), strict=True))]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    until(page, SHOWN, 30, 25)
    compare(page, project)
    assert page.errors == []


def compare(page: Any, project: str) -> None:
    """Two branches: side by side, as a wipe, and each with its picture in the list."""
    move_to(page, 8)
    page.keyboard.press("b")
    page.evaluate(
        "() => { const e = window.timeline.editor; const yaw = [[0, 0], [8, -0.3]];"
        "e.apply((doc) => ({ ...doc, branches: doc.branches.map((b) => ({ ...b, tracks: { ...b.tracks, yaw } })) })); }"
    )
    move_to(page, 44)
    until(page, f"() => ({NOTE})() !== ''", 30)
    assert "before the edit" in page.evaluate(NOTE)
    run(page)
    until(page, SHOWN, 60, 44)
    asked = len(page.asked)
    page.keyboard.press("c")
    until(page, BOTH, 30)
    until(page, APART, 30)
    assert len(page.asked) <= asked + 1
    shot(page, "side")
    page.keyboard.press("c")
    page.keyboard.press(".")
    assert page.evaluate("() => window.timeline.pictures.wipe") == pytest.approx(0.55)
    box = page.locator(".mg-picture").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 40, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert page.evaluate("() => window.timeline.pictures.wipe") < 0.45
    shot(page, "wipe")
    page.evaluate("() => window.timeline.proxy.focus()")
    page.keyboard.press("Shift+B")
    until(page, THUMBS, 30)
    shot(page, "branches")
    page.keyboard.press("Escape")
    page.locator("[data-act=picture]").click()
    page.locator(".mg-menu").get_by_text("Picture at the playhead").click()
    until(page, "() => document.querySelector('.mg-monitor').hidden", 30)
    kept = page.evaluate("() => localStorage.getItem('matrixgame.timeline.pictures')")
    assert json.loads(kept) == {"show": False, "film": True, "mode": "wipe", "unit": "frames"}
