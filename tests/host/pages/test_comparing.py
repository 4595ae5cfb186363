"""Seeds and films beside each other in a real ComfyUI: a gallery whose pictures are pressed, and films in step."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import av
import pytest

from ..browser import load_workflow, until
from ..graphs import WORKFLOWS, read_workflow
from ..server import Host
from .on_page import ADD_GALLERY, AWAY, CAPTURE, CONNECT, QUEUE, QUEUE_EMPTY, SHOW, UNDO, UNDOS, shot

pytestmark = pytest.mark.alternates
SEED = """() => window.app.graph.nodes.find((node) => node.type === 'MatrixGameStartWorld')
  .widgets.find((w) => w.name === 'seed').value"""
NOTE = "document.querySelector('.mg-seeds small').textContent"
LAST = """async () => {
  const all = Object.values(await (await fetch('/history?max_items=1')).json());
  const outputs = Object.values(all[0].outputs);
  return outputs.flatMap((each) => each.images ?? []).find((each) => each.filename.endsWith('.mp4'));
}"""


def run(page: Any) -> None:
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)


def test_a_click_takes_a_seed_and_films_play_in_step(page: Any, page_host: Host) -> None:
    load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
    page.evaluate(CONNECT, f"gallery {page.renderer}")
    page.evaluate(AWAY)
    page.evaluate(ADD_GALLERY)
    page.evaluate(SHOW, ["w 33f", 1.0])
    run(page)
    until(page, f"() => {NOTE}.startsWith('3 blocks made, 0 reused; kept in')", 30)
    buttons = page.locator(".mg-seeds button")
    assert buttons.all_inner_texts() == ["seed 1", "seed 2", "seed 3"]
    until(page, "() => [...document.querySelectorAll('.mg-seeds img')].every((each) => each.naturalWidth === 80)", 30)

    # by mouse and by keyboard: the seed is in the timeline, and its block is made already
    buttons.nth(1).click()
    assert page.evaluate("() => window.timeline.editor.doc.seeds") == [[0, 2]]
    buttons.nth(2).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("() => window.timeline.editor.doc.seeds") == [[0, 3]]
    assert [each.get_attribute("aria-pressed") for each in buttons.all()] == ["false", "false", "true"]
    assert page.evaluate(f"() => {NOTE}") == "Seed 3 is in the timeline, from its first block on."
    shot(page, "gallery")
    run(page)
    until(page, "() => document.querySelector('.mg-report')?.innerText === '2 blocks made, 1 reused'", 60)
    until(page, f"() => {NOTE}.startsWith('0 blocks made, 3 reused')", 30)

    # the films in step, each under its name
    film = page.evaluate(LAST)
    data = page_host.get(f"/view?filename={film['filename']}&subfolder={film['subfolder']}&type={film['type']}")
    with av.open(BytesIO(data)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert (len(frames), frames[0].shape) == (33, (2 * (48 + 18) + 4, 2 * 80 + 4, 3))
    for frame in frames:
        one, two = frame[18:66, :80].astype(int), frame[18:66, 84:164].astype(int)
        assert abs(one - two).mean() < 6

    # without a timeline the seed goes to Start World, and without either the node says what it needs
    page.evaluate("() => window.gallery.disconnectInput(window.gallery.inputs.findIndex((i) => i.name === 'actions'))")
    buttons.nth(0).click()
    assert page.evaluate(SEED) == 1
    page.evaluate("() => window.gallery.disconnectInput(window.gallery.inputs.findIndex((i) => i.name === 'world'))")
    buttons.nth(1).click()
    assert "connect an Action Timeline or Start World" in page.evaluate(f"() => {NOTE}")
    assert page.errors == []


MOVED = """() => { const node = window.app.graph.nodes[0]; node.pos = [node.pos[0] + 30, node.pos[1] + 10]; }"""
SEEDS = """() => { const node = window.app.graph.nodes.find((each) => each.type === 'MatrixGameActionTimeline');
  return node.widgets.find((w) => w.timeline).timeline.editor.doc.seeds; }"""
ALIVE = """() => { const node = window.app.graph.nodes.find((each) => each.type === 'MatrixGameSeedGallery');
  const { element } = node.widgets.find((w) => w.name === 'gallery');
  const shown = [...document.querySelectorAll('.mg-seeds')];
  return shown.length === 1 && shown[0] === element && element.querySelectorAll('img').length === 3; }"""
PLACE = """() => { const node = window.app.graph.nodes.find((each) => each.type === 'MatrixGameSeedGallery');
  return [...node.pos, ...node.size]; }"""


def tap(page: Any, number: int) -> None:
    """A finger on a picture."""
    box = page.locator(".mg-seeds button").nth(number).bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    touches = page.context.new_cdp_session(page)
    touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(page, f"(seed) => JSON.stringify(({SEEDS})()) === `[[0,${{seed}}]]`", 30, number + 1)


def test_a_finger_takes_a_seed_beside_the_panel_and_after_an_undo(page: Any, page_host: Host) -> None:
    load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
    page.evaluate(CONNECT, f"touched {page.renderer}")
    page.evaluate(AWAY)
    page.evaluate(ADD_GALLERY)
    page.evaluate(SHOW, ["w 9f", 1.0])
    run(page)
    until(page, ALIVE, 30)
    place = page.evaluate(PLACE)
    tap(page, 1)

    # the panel that shows the widgets of what is selected leaves this one where it is
    page.evaluate("() => window.app.canvas.selectNode(window.gallery)")
    panel = page.get_by_test_id("properties-panel")
    if not panel.count():  # the host remembers whether it was open
        page.get_by_label("Toggle properties panel").first.click()
    panel.get_by_text("first_seed", exact=True).wait_for()
    until(page, ALIVE, 30)
    shot(page, "gallery_panel")
    tap(page, 2)
    assert page.evaluate(PLACE) == place  # no finger has moved or resized the node
    page.get_by_label("Toggle properties panel").first.click()
    panel.wait_for(state="detached")

    # an undo makes all nodes anew: the pictures are there, and alive
    before = page.evaluate(UNDOS)
    until(page, f"() => {{ ({MOVED})(); ({CAPTURE})(); return ({UNDOS})() > {before}; }}", 30)
    while page.evaluate(UNDOS) > before:
        page.evaluate(UNDO)
    until(page, ALIVE, 30)
    pressed = page.locator(".mg-seeds button[aria-pressed=true]")
    assert pressed.inner_text() == "seed 3"
    tap(page, 0)
    assert pressed.inner_text() == "seed 1"
    shot(page, "gallery_undone")
    assert page.errors == []
