"""A longer timeline in a real ComfyUI: its cost, only new blocks made, how far it is, what Cancel keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ..browser import load_workflow, until
from ..graphs import WORKFLOWS, read_workflow
from ..server import Host
from .on_page import AWAY, CONNECT, QUEUE, QUEUE_EMPTY, SHOW, move_to, shot

pytestmark = pytest.mark.alternates
NOTE = "document.querySelector('.mg-note').textContent"
STATUS = "document.querySelector('.mg-status').textContent"
LISTEN = """() => { window.notes = []; const note = document.querySelector('.mg-note');
  new MutationObserver(() => window.notes.push(note.textContent)).observe(note, { childList: true, subtree: true,
    characterData: true }); }"""
END = """(t) => { const { canvas, editor } = window.timeline; const box = canvas.getBoundingClientRect();
  const scale = box.width / canvas.clientWidth;
  return [box.left + editor.view.x(t) * scale, box.top + 8 * scale]; }"""


def test_going_on_makes_only_what_is_new(page: Any, page_host: Host) -> None:
    load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
    page.evaluate(CONNECT, f"go on {page.renderer}")
    page.evaluate(AWAY)
    page.evaluate(SHOW, ["w 33f", 1.0])
    page.evaluate(LISTEN)
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    until(page, f"() => {STATUS}.includes('nothing to make: all 3 blocks are stored')", 30)

    # two blocks more by keyboard, one more by its end
    move_to(page, 0)
    page.keyboard.press("a")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    until(page, f"() => /will make 2 of 5 blocks, about \\d+ s/.test({STATUS})", 30)
    assert page.evaluate("() => window.timeline.editor.cursor.t") == 33
    page.mouse.move(*page.evaluate(END, 57))
    page.mouse.down()
    page.mouse.move(*page.evaluate(END, 62), steps=3)
    page.mouse.move(*page.evaluate(END, 69), steps=3)
    page.mouse.up()
    until(page, f"() => /will make 3 of 6 blocks, about \\d+ s/.test({STATUS})", 30)
    shot(page, "cost")
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    until(page, f"() => {STATUS}.includes('nothing to make: all 6 blocks are stored')", 30)
    assert page.locator(".mg-report").inner_text() == "3 blocks made, 3 reused"
    notes = page.evaluate("() => window.notes")
    assert any(note.startswith("block 1 of 3") for note in notes), notes  # with a time, where one was measured before
    assert any(re.fullmatch(r"block 6 of 6, \d+ s left, [\d.e+]+ frames/s", note) for note in notes), notes

    # Cancel says what is kept
    page.evaluate("() => window.timeline.editor.setBlocks(60)")
    page.evaluate(QUEUE)
    until(page, f"() => /^block (\\d+) of 60/.exec({NOTE})?.[1] >= 8", 120)
    shot(page, "pace")
    page_host.post("/interrupt", {})
    until(page, f"() => {NOTE}.startsWith('Cancelled: ')", 120)
    kept = int(page.evaluate(NOTE).split()[1])
    assert page.evaluate(NOTE) == f"Cancelled: {kept} of 60 blocks kept, and Run goes on from there"
    assert kept >= 7
    until(page, f"() => {STATUS}.includes('will make {60 - kept} of 60 blocks')", 30)
    shot(page, "cancelled")
    assert page.errors == []
