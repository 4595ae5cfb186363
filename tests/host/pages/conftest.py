"""A page of its own for each test, in each renderer of the oldest and the newest frontend. Files whose tests share one,
or want another, have their own `page`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.page import TimelinePage

from ..browser import RENDERERS, open_page
from ..server import Host


@pytest.fixture
def page(browser: Any, page_host: Host, renderer: str) -> Iterator[Any]:
    with open_page(browser, page_host, RENDERERS[renderer]) as opened:
        opened.renderer = renderer
        yield opened


@pytest.fixture
def timeline(browser: Any, page_host: Host, renderer: str) -> Iterator[TimelinePage]:
    """The timeline of a node that tells what it was given, in a page that can be touched."""
    page_host.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": RENDERERS[renderer]})
    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    page = TimelinePage(context.new_page(), None, page_host.url, node="TimelineHostProbe").open()
    page.page.renderer = renderer
    yield page
    context.close()
    assert not page.errors
