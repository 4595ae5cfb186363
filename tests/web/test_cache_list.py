"""World Cache's list: what is asked and clicked in it outlasts a refresh, which the end of every run brings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .page import TimelinePage
from .stub import Stub

ADD = """() => {
  app.graph.clear();
  const node = LiteGraph.createNode('MatrixGameWorldCache');
  node.pos = [60, 90];
  app.graph.add(node);
  app.canvas.ds.reset();
  node.setSize([500, 420]);
  app.canvas.setDirty(true, true);
}"""


def project(name: str, blocks: int = 3) -> dict[str, Any]:
    return {"name": name, "blocks": blocks, "states": 1, "pinned": 0, "bytes": 1000 * blocks, "memory": 1000}


@pytest.fixture
def page(_page: TimelinePage, stub: Stub) -> Iterator[Page]:
    stub.projects, stub.forgotten = [project("walk"), project("run")], []
    _page.errors.clear()
    _page.page.evaluate(ADD)
    expect(_page.page.locator(".mg-cache li")).to_have_count(2)
    yield _page.page
    assert not _page.errors


def read_anew(page: Page, stub: Stub, blocks: int) -> None:
    """A run has ended, and added blocks to a project."""
    stub.projects = [project("walk", blocks), *(each for each in stub.projects if each["name"] != "walk")]
    stub.tell("execution_success")
    expect(page.locator(".mg-cache li", has_text="walk")).to_contain_text(f"{blocks} blocks")


def test_a_question_outlasts_a_refresh(page: Page, stub: Stub) -> None:
    row = page.locator(".mg-cache li", has_text="walk")
    row.get_by_role("button", name="Forget").click()
    expect(row.get_by_role("button", name="Delete?")).to_be_focused()
    stub.projects.append(project("fly"))
    read_anew(page, stub, 7)
    expect(page.locator(".mg-cache li")).to_have_count(3)
    expect(row.get_by_role("button", name="Delete?")).to_be_focused()
    expect(page.get_by_role("button", name="Delete?")).to_have_count(1)
    assert not stub.forgotten
    row.get_by_role("button", name="Delete?").click()
    expect(row).to_have_count(0)
    assert stub.forgotten == ["walk"]


def test_a_click_outlasts_a_refresh(page: Page, stub: Stub) -> None:
    """Pressed before it, let go after it."""
    row = page.locator(".mg-cache li", has_text="walk")
    row.get_by_role("button", name="Forget").hover()
    page.mouse.down()
    read_anew(page, stub, 9)
    page.mouse.up()
    expect(row.get_by_role("button", name="Delete?")).to_be_visible()
    assert not stub.forgotten


def test_a_project_that_is_gone_takes_its_question_along(page: Page, stub: Stub) -> None:
    row = page.locator(".mg-cache li", has_text="run")
    row.get_by_role("button", name="Forget").click()
    gone, stub.projects = stub.projects, [project("walk")]
    read_anew(page, stub, 4)
    expect(row).to_have_count(0)
    stub.projects = gone
    read_anew(page, stub, 5)
    expect(row.get_by_role("button", name="Forget")).to_be_visible()
    assert not stub.forgotten
