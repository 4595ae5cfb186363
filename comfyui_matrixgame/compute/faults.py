"""What torch says when a device fails, in a sentence for the user. The one place that reads its messages."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import BackendError, MatrixGameError

_KEPT = "What was finished is kept, and the same command goes on from there"
_LESS_MEMORY = "--memory stream, a tiny decoder (--decoder) or a smaller --size, or close other programs on it"

_ACCELERATOR: Any = getattr(torch, "AcceleratorError", ())  # torch before 2.8 has none
_NO_MEMORY = ("out of memory", "DefaultCPUAllocator", "_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED")
_OLD_DRIVER = "the NVIDIA driver is too old for this torch; update it, or install a torch for an older CUDA"
_REASONS = {  # what a message holds, in lower case -> what is wrong
    "driver on your system is too old": _OLD_DRIVER,
    "driver version is insufficient": _OLD_DRIVER,
    "no nvidia driver": "there is no NVIDIA driver",
    "no cuda gpus are available": "no CUDA GPU is visible",
    "invalid device ordinal": "there is no GPU with that number",
    "no kernel image": "this torch has no kernels for that GPU; install one that was built for it",
    "not compiled with": "this torch was built without it",
    "is lost": "it was lost: the driver can no longer reach it",
    "fallen off the bus": "it was lost: the driver can no longer reach it",
    "uncorrectable ecc": "its memory has a fault that it cannot correct",
    "busy or unavailable": "another program has exclusive use of it",
    "illegal memory access": "a kernel failed on it",
    "illegal instruction": "a kernel failed on it",
    "launch failure": "a kernel failed on it",
    "launch timed out": "the system stopped a kernel that took too long",
    "misaligned address": "a kernel failed on it",
    "device-side assert": "a kernel failed on it",
}
_OF_DEVICES = ("cuda error", "hip error", "cublas error", "cudnn error", "cudnn_status", "mps backend", "xpu", "nvml")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or main memory was full."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(part.lower() in str(error).lower() for part in _NO_MEMORY)


def reason_of(error: BaseException) -> str:
    """Why a device does not work, in a part of a sentence."""
    text = " ".join(str(error).split())
    for part, reason in _REASONS.items():
        if part in text.lower():
            return reason
    return text.partition(". ")[0].rstrip(".")[:200] or type(error).__name__


def device_fault(error: BaseException) -> MatrixGameError | None:
    """A torch error as one that a user can act on; None where it is not about the device."""
    if isinstance(error, MatrixGameError):
        return None
    if is_out_of_memory(error):
        if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
            return BackendError(f"There is not enough main memory: use a smaller --size or a tiny decoder. {_KEPT}.")
        return BackendError(f"The device ran out of memory: use {_LESS_MEMORY}. {_KEPT}.")
    if type(error).__module__.partition(".")[0] == "triton":
        why = " ".join(str(error).split())[:200]
        return BackendError(f"Triton's kernels do not work here ({why}); set MATRIXGAME_TRITON=0 to do without them.")
    text = str(error).lower()
    if isinstance(error, _ACCELERATOR) or (
        isinstance(error, (RuntimeError, AssertionError)) and any(part in text for part in (*_REASONS, *_OF_DEVICES))
    ):
        return BackendError(f"The device failed: {reason_of(error)}. {_KEPT}, once it works or with --device cpu.")
    return None
