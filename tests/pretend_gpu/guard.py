"""The one thing that Python cannot pretend: torch's C++ asks for a guard of the device when a tensor is indexed."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import torch

REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"  # c10::impl::device_guard_impl_registry, an array of pointers
CUDA, META = 1, 14  # places in it (c10/core/DeviceType.h)


def let_devices_be_guarded() -> None:
    """Let CUDA have the meta device's guard, which does nothing; a build without CUDA has none of its own."""
    name = {"darwin": "libc10.dylib", "win32": "c10.dll"}.get(sys.platform, "libc10.so")
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
        guards = (ctypes.c_void_p * (META + 1)).in_dll(library, REGISTRY)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"No GPU can be pretended with torch {torch.__version__}: {error}. tests/pretend_gpu/guard.py looks for "
            "the device guards of torch's C++ under the name that torch 2.13 for Linux has for them; find out what "
            "this build calls them, and put that in."
        ) from error
    guards[CUDA] = guards[CUDA] or guards[META]
