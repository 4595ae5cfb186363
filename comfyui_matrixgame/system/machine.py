"""The machine's processor and main memory. Needs no installed package."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path


def processor_name() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main_memory() -> tuple[int, int]:
    """Bytes of main memory: in all, and available now. Zeros where the system does not report them."""
    if sys.platform == "win32":
        return _windows_memory()
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0, 0
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return total, next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):  # macOS, which has no such number
        return total, total


def _windows_memory() -> tuple[int, int]:
    class Status(ctypes.Structure):
        # length and load, then seven sizes in bytes: total and free memory are the first two
        _fields_ = (*((name, ctypes.c_ulong) for name in ("length", "load")), ("sizes", ctypes.c_ulonglong * 7))

    status = Status()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return 0, 0
    return int(status.sizes[0]), int(status.sizes[1])
