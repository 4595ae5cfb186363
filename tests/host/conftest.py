"""One ComfyUI for all tests of this folder. Without one they are skipped, and say so; REQUIRE_HOST=1 forbids that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from .models import write_models
from .server import Host, why_no_host


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.host)
            item.add_marker(pytest.mark.xdist_group("host"))


def skip_or_fail(reason: str | None) -> None:
    """Skip with a reason, where there is one; fail instead where REQUIRE_HOST=1."""
    if reason is not None and os.environ.get("REQUIRE_HOST") == "1":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with small models and a picture."""
    skip_or_fail(why_no_host())
    folder = tmp_path_factory.mktemp("comfyui")
    write_models(folder / "models")
    (folder / "input").mkdir()
    gradient = Image.linear_gradient("L").resize((640, 360))
    Image.merge("RGB", (gradient, gradient.rotate(180), gradient.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).save(
        folder / "input" / "example.png"
    )
    return folder


@pytest.fixture(scope="session")
def host(base: Path) -> Iterator[Host]:
    running = Host(base)
    yield running
    running.stop()
