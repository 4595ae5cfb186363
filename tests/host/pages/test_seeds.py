"""Taking it again in a real ComfyUI: by key, by menu and by a long press; only the blocks from there on are made."""

from __future__ import annotations

from typing import Any

import pytest

from ..browser import load_workflow, until
from ..graphs import WORKFLOWS, read_workflow
from ..server import Host
from .on_page import AWAY, CONNECT, QUEUE, QUEUE_EMPTY, SHOW, move_to, shot

pytestmark = pytest.mark.alternates
STATUS = "document.querySelector('.mg-status').textContent"
BRANCHES = "window.timeline.editor.doc.branches"
TAG = """(t) => { const { canvas, editor } = window.timeline; const box = canvas.getBoundingClientRect();
  const scale = box.width / canvas.clientWidth;
  return [box.left + (editor.view.x(t) + 6) * scale, box.top + 16 * scale]; }"""
AGAIN = ".mg-menu [role=menuitem]:has-text('Take it again from this block on')"


def run(page: Any, report: str) -> None:
    page.evaluate(QUEUE)
    until(page, QUEUE_EMPTY, 240)
    until(page, f"() => document.querySelector('.mg-report')?.innerText === '{report}'", 60)


def seeds(page: Any) -> list[list[list[int]]]:
    return page.evaluate(f"() => {BRANCHES}.map((branch) => branch.seeds)")


def test_a_block_and_what_follows_is_taken_again(page: Any, page_host: Host) -> None:
    load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
    page.evaluate(CONNECT, f"seeds {page.renderer}")
    page.evaluate(AWAY)
    page.evaluate(SHOW, ["w 33f", 1.0])
    run(page, "3 blocks made, 0 reused")

    # by key: a branch whose first blocks are stored
    move_to(page, 12)
    page.keyboard.press("s")
    until(page, f"() => /will make 2 of 3 blocks/.test({STATUS})", 30)
    assert "≠ main from block 1 on" in page.evaluate(f"() => {STATUS}")
    [[[row, first]]] = seeds(page)
    assert row == 12
    run(page, "2 blocks made, 1 reused")
    page.keyboard.press("x")
    until(page, f"() => {STATUS}.includes('nothing to make: all 3 blocks are stored')", 30)
    page.keyboard.press("x")

    # its number: a double click on it in the ruler, and undone
    page.mouse.dblclick(*page.evaluate(TAG, 8))
    assert page.locator(".mg-ask input").input_value() == str(first)
    page.keyboard.press("Control+a")
    page.keyboard.type("-4")
    page.keyboard.press("Enter")
    assert "whole number from 0 to" in page.locator(".mg-error").inner_text()
    page.keyboard.press("Control+a")
    page.keyboard.type("4711")
    page.keyboard.press("Enter")
    until(page, f"() => /will make 2 of 3 blocks/.test({STATUS})", 30)
    assert seeds(page) == [[[12, 4711]]]
    shot(page, "seeds")
    page.keyboard.press("Control+z")
    until(page, f"() => {STATUS}.includes('nothing to make: all 3 blocks are stored')", 30)
    page.keyboard.press("Shift+S")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    until(page, f"() => {STATUS}.includes('= main, input for input')", 30)
    page.keyboard.press("Control+z")

    # by the menu of the mouse and of a finger
    page.mouse.click(*page.evaluate(TAG, 22), button="right")
    page.locator(AGAIN).click()
    until(page, f"() => {BRANCHES}.length === 2", 30)
    touches = page.context.new_cdp_session(page)
    x, y = page.evaluate(TAG, 22)
    touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.locator(AGAIN).wait_for()
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.locator(AGAIN).click()
    until(page, f"() => {BRANCHES}.length === 3", 30)
    shot(page, "seeds_menu")
    (_, two), (_, three) = seeds(page)[1], seeds(page)[2]
    assert [two[0], three[0]] == [24, 24]
    assert two[1] != three[1]
    run(page, "1 block made, 2 reused")
    assert page.errors == []
