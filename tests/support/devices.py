"""Fixtures: a test gets pretended CUDA devices, and fails at its end where work on them was out of order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..pretend_gpu import Machine


def _pretended(request: pytest.FixtureRequest, count: int) -> Iterator[Machine]:
    import torch

    from ..conftest import skip_or_fail
    from ..pretend_gpu import pretend_gpus

    built = torch.backends.cuda.is_built()
    skip_or_fail("This torch has CUDA, so that none can be pretended; install a build without it." if built else None)
    marker = request.node.get_closest_marker("card")
    settings = dict(marker.kwargs) if marker else {}
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("MATRIXGAME_TRITON", "0")  # its kernels are for real devices
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums in every thread
    try:
        with pretend_gpus(count, **settings) as found:
            yield found
    finally:
        torch.set_num_threads(threads)
    if found.races:
        pytest.fail("work out of order:\n  " + "\n  ".join(found.races), pytrace=False)


@pytest.fixture
def gpus(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One pretended device; `@pytest.mark.card(total=..., capability=...)` says which."""
    yield from _pretended(request, 1)


@pytest.fixture
def two_gpus(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Two pretended devices."""
    yield from _pretended(request, 2)


@pytest.fixture
def no_gpus(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """CUDA that finds no device."""
    yield from _pretended(request, 0)
