"""A stub server with the real frontend, once for each renderer. Skipped, with the reason, without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..support.pairs import by_turns, deselect, frontends
from .stub import Stub, frontend_path

RENDERERS = ("legacy", "nodes2")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where long tests run in one pair of frontend and renderer, these run in one renderer by turns."""
    if frontends() == 1:
        deselect(items, config, is_for_the_other)


def is_for_the_other(item: pytest.Item) -> bool:
    """Whether a test of this folder is for the renderer whose turn it is not."""
    if Path(__file__).parent not in item.path.parents or not hasattr(item, "callspec"):
        return False
    return item.callspec.params.get("renderer") not in (None, by_turns(item.nodeid, RENDERERS))


@pytest.fixture(scope="module", params=RENDERERS)
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def stub(renderer: str) -> Iterator[Stub]:
    with running_stub(renderer) as running:
        yield running


@pytest.fixture(scope="module")
def _page(browser: Any, stub: Stub) -> Iterator[Any]:
    with timeline_page(browser, stub) as page:
        yield page


@contextmanager
def running_stub(renderer: str) -> Iterator[Stub]:
    """A stub server whose page begins with a renderer."""
    frontend = frontend_path()
    if frontend is None:
        pytest.skip("comfyui-frontend-package is not installed; set COMFYUI_FRONTEND to its static folder.")
    running = Stub(frontend, {"Comfy.VueNodes.Enabled": renderer == "nodes2", "Comfy.ColorPalette": "dark"})
    yield running
    running.stop()


@contextmanager
def timeline_page(browser: Any, stub: Stub) -> Iterator[Any]:
    """A page of a stub server that can be touched, with a timeline."""
    from .page import TimelinePage

    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield TimelinePage(context.new_page(), stub, stub.url).open()
    context.close()
