"""The device that would be used, and what it can do: each capability is asked of the code that would use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def about_device(name: str | None) -> Iterator[tuple[str, str]]:
    """name: of the device that is used; None for the best there is. Raises BackendError where it does not work."""
    import torch

    from ...compute.attention import available_backends
    from ...compute.devices import find_device, prefers_cudnn_attention

    device = find_device(name)
    yield "device", _title(device)
    yield "torch for", _built_for()
    yield "threads", f"{torch.get_num_threads()} of {os.cpu_count()}"
    yield "dtypes", ", ".join(_dtypes(device))
    backends = ", ".join(available_backends())
    yield "attention", f"{backends}{'; sdpa by cuDNN' if prefers_cudnn_attention(device) else ''}"
    for precision in ("fp8", "int8"):
        yield precision, _answer(lambda precision=precision: _computes_in(precision, device))
    yield "triton", _answer(lambda: _triton(device))
    yield "graphs", _answer(lambda: _graphs(device))


def _title(device: torch.device) -> str:
    import torch

    if device.type != "cuda":
        return str(device)
    about = torch.cuda.get_device_properties(device)
    others = torch.cuda.device_count() - 1
    more = f", and {others} more" if others else ""
    return f"{device}: {about.name}, compute capability {about.major}.{about.minor}{more}"


def _built_for() -> str:
    import torch

    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return "CPU" + (", MPS" if torch.backends.mps.is_built() else "")


def _dtypes(device: torch.device) -> Iterator[str]:
    """How weights stored in each dtype are computed with."""
    import torch

    from ...checkpoints.load import DTYPES, compute_dtype

    for name, dtype in DTYPES.items():
        computed = str(compute_dtype(dtype, device)).removeprefix("torch.")
        yield name if computed == name else f"{name} (computed in {computed})"
    if device.type == "cpu":
        yield f"cpu capability {torch.backends.cpu.get_cpu_capability()}"


def _computes_in(precision: str, device: torch.device) -> str:
    from ...compute.quantise import check_precision

    check_precision(precision, device)
    return "yes" if device.type == "cuda" else "yes, slowly: this device only tries what a GPU would compute"


def _triton(device: torch.device) -> str:
    from ...compute.fused import SWITCH, kernels

    if device.type != "cuda":
        return "not used: it is for CUDA"
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}"
    return "yes" if kernels(device) is not None else "not used: it is not installed, or does not run on this card"


def _graphs(device: torch.device) -> str:
    from ...networks.generator.recording import why_not_recorded

    return why_not_recorded(device) or "yes"


def _answer(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except Exception as error:
        return f"no: {error}"
