"""The help pages in the frontend's panel: found, in the user's language, and whole in a narrow panel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ..browser import RENDERERS, open_page, picture, reload_page
from ..server import Host

pytestmark = pytest.mark.alternates
ADD = """(type) => { const { app, LiteGraph } = window; app.graph.clear();
  const node = LiteGraph.createNode(type); app.graph.add(node); app.canvas.selectNode(node); }"""
CUT_OFF = """() => { const help = document.querySelector('.node-help-content');
  const { right } = help.getBoundingClientRect();
  return [...help.querySelectorAll('*')].filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth
    || each.getBoundingClientRect().right > right + 1).map((each) => each.outerHTML.slice(0, 120)); }"""


@pytest.fixture(scope="module")
def page(browser: object, page_host: Host, renderer: str) -> Iterator[Page]:
    page_host.post("/settings", {"Comfy.Locale": "en"})
    with open_page(browser, page_host, RENDERERS[renderer]) as opened:
        opened.evaluate(ADD, "MatrixGameRollOut")
        if not opened.get_by_test_id("properties-panel").count():  # the host remembers that it is open
            opened.get_by_label("Toggle properties panel").first.click()
        opened.named = f"{renderer}"  # type: ignore[attr-defined]
        yield opened
        page_host.post("/settings", {"Comfy.Locale": "en"})


@pytest.mark.parametrize(("language", "tab"), [("en", "Info"), ("zh", "信息")])
def test_pages_are_shown_whole(page: Page, page_host: Host, language: str, tab: str) -> None:
    if language != "en":  # in which the page was opened
        page_host.post("/settings", {"Comfy.Locale": language})
        reload_page(page)
    names = [name for name in page_host.get("/object_info") if name.startswith("MatrixGame")]
    titles = page_host.get("/i18n")[language]["nodeDefs"]
    panel = page.get_by_test_id("properties-panel")
    for name in names:
        page.evaluate(ADD, name)
        panel.get_by_role("tab", name=tab, exact=True).click()
        help_ = page.locator(".node-help-content")
        help_.locator("h1", has_text=titles[name]["display_name"]).wait_for(timeout=15_000)
        assert page.evaluate(CUT_OFF) == [], name
        if folder := os.environ.get("SCREENSHOT_FOLDER"):
            picture(page, Path(folder) / f"help_{name}_{language}_{page.named}.png")  # type: ignore[attr-defined]
