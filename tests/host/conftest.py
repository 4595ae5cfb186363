"""One ComfyUI for all tests of this folder. Without one they are skipped, and say so; REQUIRE_HOST=1 forbids that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import Host, why_no_host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    reason = why_no_host()
    if reason is not None:
        if os.environ.get("REQUIRE_HOST") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    running = Host(tmp_path_factory.mktemp("comfyui"))
    yield running
    running.stop()
