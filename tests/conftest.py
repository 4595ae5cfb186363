"""What tests of several folders share: Chromium, pretended GPUs, and their division between processes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import settings

from .support.devices import gpus, no_gpus, two_gpus  # noqa: F401 (fixtures)

# The same examples each time: what others would find is a fault, but not one of the change under test. The nightly run
# tries others.
settings.register_profile("same", derandomize=True)
if "FUZZ_SEED" not in os.environ:
    settings.load_profile("same")

# The last --disable-features counts, so those that Playwright switches off stand here too. The popups of the address
# bar are pages of their own, which no test sees and which cost each new page half a second of the processor.
NOT_TESTED = (
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,AimEnabled,AvoidCorsURLLoaderRestartOnRedirect,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsFirstBalancedModeAutoEnable,HttpsUpgrades,"
    "LensOverlay,MediaRouter,NetworkTimeServiceQuerying,OptimizationHints,PaintHolding,PreconnectToSearch,"
    "TcpPortRandomizationWin,ThirdPartyStoragePartitioning"
)
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    f"--disable-features={NOT_TESTED}",
]  # fmt: skip
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


PAGES, HOST, TIMELINE = "tests/host/pages/", "tests/host/", "tests/web/timeline/"
LONGEST = (HOST, TIMELINE, "tests/worlds/test_golden_rollout.py", "tests/cuda/", "tests/kills/", "tests/terminal/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process still has much to do when the others are done."""
    items.sort(key=lambda item: next((i for i, each in enumerate(LONGEST) if item.nodeid.startswith(each)), 99))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process for all tests of a file, so that its servers and pages are started once; one for all that need a
    ComfyUI, one for all that need its page, and one for those of the timeline without it. (Groups by mark, which
    pytest-xdist has for this, do nothing with pytest 9.2 and pytest-xdist 3.8.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByServer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((each for each in (PAGES, HOST, TIMELINE) if nodeid.startswith(each)), nodeid.split("::")[0])

    config.option.loadscopereorder = False
    return ByServer(config, log)


@pytest.fixture(autouse=True)
def nothing_is_warm() -> None:
    """The engine remembers warm-ups for a whole process; a test must not find those of another."""
    warm = sys.modules.get("comfyui_matrixgame.world.warm")
    if warm is not None:
        warm._warm.clear()


@pytest.fixture(autouse=True, scope="session")
def no_error_is_kept_at_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Errors that tests provoke are not kept as the developer's last one."""
    os.environ.setdefault("MATRIXGAME_STATE", str(tmp_path_factory.mktemp("state")))


def skip_or_fail(reason: str | None) -> None:
    """Skip with a reason, where there is one; fail instead where REQUIRE_HOST=1."""
    if reason is not None and os.environ.get("REQUIRE_HOST") == "1":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium.

    It lives no longer than its module: as long as Playwright runs, its event loop counts as running in this thread, and
    nothing else can have one.
    """
    with chromium() as running:
        yield running


@contextmanager
def chromium() -> Iterator[Any]:
    """The system's Chromium: $CHROMIUM, or else the one on the path."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)
    skip_or_fail(None if path else "There is no Chromium on the PATH; set CHROMIUM to one.")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield running
        running.close()
