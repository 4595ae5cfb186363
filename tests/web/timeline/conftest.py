"""One page for each renderer, for all tests of this folder: loading one takes as long as twenty of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ...conftest import chromium
from ..conftest import RENDERERS, running_stub, timeline_page
from ..page import TimelinePage
from ..stub import Stub


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="package", params=RENDERERS)
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="package")
def stub(renderer: str) -> Iterator[Stub]:
    with running_stub(renderer) as running:
        yield running


@pytest.fixture(scope="package")
def _page(browser: Any, stub: Stub) -> Iterator[TimelinePage]:
    with timeline_page(browser, stub) as page:
        yield page


@pytest.fixture
def timeline(_page: TimelinePage, stub: Stub) -> Iterator[TimelinePage]:
    """A fresh node in an empty graph; no script of the page has failed."""
    stub.prompts.clear()
    _page.errors.clear()
    _page.add()
    yield _page
    assert not _page.errors
