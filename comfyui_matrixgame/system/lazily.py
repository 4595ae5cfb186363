"""Names of a package that are imported on first use, so that importing one of its files does not import all.

if TYPE_CHECKING:
    from .load import load_vae
__getattr__ = lazily(__name__, load="load_vae load_generator")
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(package: str, **names: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package. names: module -> the names that come from it, separated by spaces; an empty
    string names the module itself."""
    where = {name: module for module, text in names.items() for name in text.split()}

    def __getattr__(name: str) -> Any:
        if name in where:
            return getattr(import_module(f"{package}.{where[name]}"), name)
        if names.get(name) == "":
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
