"""One ComfyUI for all tests of this folder. Without one they are skipped, and say so; REQUIRE_HOST=1 forbids that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ..conftest import skip_or_fail
from .models import write_models
from .server import Host, why_no_host

PROBE = Path(__file__).with_name("probe_pack")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with small models, a picture, and a node that tells what a timeline gave it."""
    skip_or_fail(why_no_host())
    folder = tmp_path_factory.mktemp("comfyui")
    (folder / "custom_nodes").mkdir()
    (folder / "custom_nodes" / "timeline_probe").symlink_to(PROBE, target_is_directory=True)
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
