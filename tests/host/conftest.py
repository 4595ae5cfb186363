"""One ComfyUI for all tests of this folder, and another with the newest frontend for those of the page. Without one
they are skipped, and say so; REQUIRE_HOST=1 forbids that.

Tests of the page take `page_host` and `renderer`: the oldest and the newest frontend, each in both renderers. Long
ones are marked `alternates` and run in two of the four; $FRONTENDS asks for one or for all (tests/support/pairs.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ..conftest import skip_or_fail
from ..support.pairs import by_turns, deselect, frontends, is_left_out
from ..web.stub import frontend_path
from .archive import install
from .browser import RENDERERS
from .models import write_models
from .server import Host, why_no_host

PROBE = Path(__file__).with_name("probe_pack")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.host)
    deselect(items, config, lambda item: here in item.path.parents and others_stand_for(item))


def others_stand_for(item: pytest.Item) -> bool:
    """Whether a test of the page is for a renderer, or for a pair of frontend and renderer, that others stand for."""
    chosen = item.callspec.params if hasattr(item, "callspec") else {}
    renderer = chosen.get("renderer") or chosen.get("page")
    if renderer is None:
        return False
    if "page_host" not in chosen:
        return frontends() == 1 and renderer != by_turns(item.nodeid, tuple(RENDERERS))
    long = item.get_closest_marker("alternates") is not None
    return is_left_out(item.nodeid, (chosen["page_host"], renderer), long)


def make_base(folder: Path) -> Path:
    """Fill a base directory with small models, a picture, and a node that tells what a timeline gave it."""
    skip_or_fail(why_no_host())
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
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("comfyui"))


@pytest.fixture(scope="session")
def host(base: Path) -> Iterator[Host]:
    """A host with the oldest frontend that it accepts, the one it asks for, and this checkout as its pack."""
    running = Host(base, forked=False)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with the newest frontend, and the pack as the registry installs it."""
    frontend = frontend_path()
    skip_or_fail(None if frontend else "comfyui-frontend-package is not installed; set COMFYUI_FRONTEND to its folder.")
    pytest.importorskip("pathspec", reason="pathspec is not installed")
    folder = make_base(tmp_path_factory.mktemp("newest"))
    install(folder / "custom_nodes")
    running = Host(folder, "--front-end-root", str(frontend), forked=False)
    yield running
    running.stop()


@pytest.fixture(scope="session", params=["oldest", "newest"])
def page_host(request: pytest.FixtureRequest) -> Host:
    """Each host, for what is done in its page: nothing of it is started before it is needed."""
    return request.getfixturevalue({"oldest": "host", "newest": "newest"}[request.param])


@pytest.fixture(scope="session", params=RENDERERS)
def renderer(request: pytest.FixtureRequest) -> str:
    """Each renderer of nodes."""
    return request.param
