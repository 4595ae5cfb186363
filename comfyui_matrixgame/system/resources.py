"""Memory given back to the system, and sizes as text."""

from __future__ import annotations

import ctypes
import sys

import torch


def give_back(device: torch.device) -> None:
    """Return freed memory to the system, where the C library would keep it.

    glibc holds on to freed pieces of up to 32 MB, which is what most weights and activations take: more than a
    gigabyte at full size.
    """
    if device.type == "cpu" and sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def gigabytes(count: float) -> str:
    """Bytes as text: `3.24 GB`, or `12.0 MB` where that reads better."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
