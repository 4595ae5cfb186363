"""Packages that only datasets need; a missing one is a sentence with the command that installs it."""

from __future__ import annotations

import importlib
from typing import Any

from ...errors import DatasetError


def import_extra(name: str) -> Any:
    """A module of a package that need not be installed. Raises DatasetError where it is not."""
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise DatasetError(f"This dataset needs {package}, which is not installed: `pip install {package}`.") from None
