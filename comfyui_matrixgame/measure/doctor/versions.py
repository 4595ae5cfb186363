"""What is installed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from ... import __version__
from ...system.machine import processor_name

NEEDED = ("torch", "numpy", "safetensors", "transformers", "pillow", "av", "aiohttp", "einops")
OPTIONAL = (
    "triton", "triton-windows", "flash-attn", "flash-attn-3", "sageattention", "gguf", "ray", "fsspec",
    "huggingface-hub",
)  # fmt: skip


def about_versions() -> Iterator[tuple[str, str]]:
    """The package, Python, the system, and packages that matter."""
    yield "matrixgame", __version__
    yield (
        "python",
        f"{platform.python_version()} ({platform.python_implementation()}, {sys.maxsize.bit_length() + 1} bit)",
    )
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "processor", processor_name()
    yield "packages", ", ".join(f"{name} {version(name) or 'MISSING'}" for name in NEEDED)
    there = [f"{name} {found}" for name in OPTIONAL if (found := version(name))]
    yield "optional", ", ".join(there) or "none"


def version(package: str) -> str:
    """The version of an installed package; empty where there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
