"""What the tests of variants share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfyui_matrixgame.variants import VARIANTS, registry


@pytest.fixture
def known() -> Iterator[None]:
    """Whatever a test adds is forgotten."""
    variants, folders, read = dict(VARIANTS), list(registry._folders), dict(registry._read)
    yield
    VARIANTS.clear()
    VARIANTS.update(variants)
    registry._folders[:] = folders
    registry._read.clear()
    registry._read.update(read)
