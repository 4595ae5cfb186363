"""Modules of bench/."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parents[2] / "bench"


def bench(name: str) -> Any:
    """A module of bench/, which is not a package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        path = list(sys.path)
        spec.loader.exec_module(sys.modules[name])
        sys.path[:] = [*path, str(BENCH)]  # at the end, since a module of bench/ has the name of a package
    return sys.modules[name]
