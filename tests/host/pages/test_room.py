"""The room in a real ComfyUI: timeline, picture and player over the whole page, and back where they were."""

from __future__ import annotations

from typing import Any

import pytest

from ..browser import load_workflow, until
from ..graphs import WORKFLOWS, read_workflow
from ..server import Host
from .on_page import AWAY, CONNECT, QUEUE, QUEUE_EMPTY, SHOW, SHOWN, move_to, shot

pytestmark = pytest.mark.alternates
PLAYER = """() => { const node = window.LiteGraph.createNode('MatrixGameLivePlay'); node.pos = [1200, 1200];
  window.app.graph.add(node); }"""
PLACES = """() => ['.mg-timeline', '.mg-player, .mg-place, [data-matrixgame=player]'].map((name) =>
  [...document.querySelectorAll(name)].filter((each) => each.closest('.mg-room')).length)"""
WIDTHS = "() => [window.timeline.root, window.timeline.monitor.root].map((each) => each.getBoundingClientRect().width)"


def test_the_room_takes_the_page_and_gives_everything_back(page: Any, page_host: Host) -> None:
    load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
    page.evaluate(CONNECT, f"room {page.renderer}")
    page.evaluate(AWAY)
    page.evaluate(SHOW, ["w 21; w+right(0.1) 12", 0.8])
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    before = page.evaluate(WIDTHS)
    move_to(page, 12)
    page.keyboard.press("z")
    until(page, SHOWN, 30, 12)
    assert page.evaluate(PLACES) == [1, 0]
    assert page.evaluate(WIDTHS)[0] > 1500
    shot(page, "room")

    # it is the same editor: edits, undo, the wheel and the queue's key are what they were
    page.keyboard.press("1")
    assert [12, 1] not in page.evaluate("() => window.timeline.editor.doc.tracks.w")
    page.keyboard.press("Control+z")
    assert page.evaluate("() => window.timeline.editor.doc.tracks.w") == [[0, 33]]
    box = page.locator(".mg-stage canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    until(page, "() => window.timeline.pictures.pointed !== null", 30)
    page.keyboard.press("Escape")
    until(page, "() => !document.querySelector('.mg-room')", 30)
    until(page, f"(width) => Math.abs(({WIDTHS})()[0] - width) < 2", 30, before[0])
    until(page, "() => window.timeline.monitor.root.hidden", 30)  # the picture is as it was
    move_to(page, 3)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => window.timeline.editor.cursor.t") == 4

    # with a player in the graph it is there too, by button, and goes back by a press on what stands for it
    page.evaluate(PLAYER)
    until(page, "() => window.app.graph.nodes.some((node) => node.matrixGamePlay?.root.isConnected)", 30)
    page.locator("[data-act=room]").click()
    assert page.evaluate("() => document.querySelectorAll('.mg-room-players > *').length") == 1
    assert page.evaluate(PLACES)[1] == 1
    shot(page, "room_player")
    page.locator("[data-act='room.leave']").click()
    assert page.evaluate("() => document.querySelectorAll('.mg-stand').length") == 0
    assert page.evaluate("() => window.app.graph.nodes.some((node) => node.matrixGamePlay?.root.isConnected)")
    assert page.errors == []
