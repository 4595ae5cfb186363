"""A stub server with the real frontend, once for each renderer. Skipped, with the reason, without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .stub import Stub, frontend_path


@pytest.fixture(scope="module", params=["legacy", "nodes2"])
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def stub(renderer: str) -> Iterator[Stub]:
    frontend = frontend_path()
    if frontend is None:
        pytest.skip("comfyui-frontend-package is not installed; set COMFYUI_FRONTEND to its static folder.")
    running = Stub(frontend, {"Comfy.VueNodes.Enabled": renderer == "nodes2", "Comfy.ColorPalette": "dark"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def _page(browser, stub: Stub):
    from .page import TimelinePage

    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield TimelinePage(context.new_page(), stub, stub.url).open()
    context.close()


@pytest.fixture
def timeline(_page, stub: Stub):
    """A fresh node in an empty graph; no script of the page has failed."""
    stub.prompts.clear()
    _page.errors.clear()
    _page.add()
    yield _page
    assert not _page.errors
