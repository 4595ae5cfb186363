"""What is measured on, and how fast torch is there at best."""

from __future__ import annotations

import math
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import __version__
from ..checkpoints.load import compute_dtype
from ..ops import cpu_has_matrix_registers, cpu_multiplies_bfloat16
from .clock import best, clock_name, load_average


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    about = {
        "matrixgame": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "cpu_capability": _capability(),
        "load_average": load_average(),
        "clock": clock_name(device),
    }
    if device.type == "cuda":
        about["device"] = torch.cuda.get_device_name(device)
        about["device_memory"] = torch.cuda.get_device_properties(device).total_memory
        about["cuda"] = torch.version.cuda
        about["cudnn"] = torch.backends.cudnn.version()
        about["driver"] = _driver()
    return about


def _capability() -> str:
    """What decides which route torch and this engine take."""
    more = {"bfloat16": cpu_multiplies_bfloat16(), "AMX": cpu_has_matrix_registers()}
    return " + ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, has in more.items() if has)])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.strip().splitlines()[0] if found.strip() else "unknown"


def machine_limits(device: torch.device) -> dict[str, float]:
    """Billions a second that torch reaches here at sizes of the full model, by the fastest route it has.

    linear, attention, convolution: floating-point operations, for each dtype that is computed in. copy: bytes read
    and written on the device. to_host: bytes from the device into pinned memory.
    """
    limits = {}
    for dtype in (torch.float32, torch.bfloat16):
        if device.type == "cpu" and dtype == torch.bfloat16 and compute_dtype(dtype, device) != dtype:
            continue  # emulated, 10 times slower than float32: never used
        name = str(dtype).removeprefix("torch.")
        limits[f"linear_{name}"] = _linear(device, dtype)
        limits[f"attention_{name}"] = _attention(device, dtype)
        limits[f"convolution_{name}"] = _convolution(device, dtype)
    x = torch.empty(2**28 if device.type == "cuda" else 2**25, dtype=torch.uint8, device=device)
    y = torch.empty_like(x)
    limits["copy"] = 2 * x.nbytes / best(lambda: y.copy_(x), device).spent / 1e9
    if device.type == "cuda":
        host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
        limits["to_host"] = x.nbytes / best(lambda: host.copy_(x, non_blocking=True), device).spent / 1e9
    return limits


def _linear(device: torch.device, dtype: torch.dtype) -> float:
    x = torch.randn(2640, 1536, device=device, dtype=dtype)
    w = torch.randn(8960, 1536, device=device, dtype=dtype)
    seconds = [best(lambda: F.linear(x, w), device).spent]
    if device.type == "cpu":  # oneDNN takes a 1x1 convolution where torch keeps the product
        image, kernel = x.view(1, 1, *x.shape).permute(0, 3, 1, 2), w[..., None, None]
        seconds.append(best(lambda: F.conv2d(image, kernel), device).spent)
    return 2 * x.numel() * 8960 / min(seconds) / 1e9


def _attention(device: torch.device, dtype: torch.dtype) -> float:
    q = torch.randn(1, 12, 1320, 128, device=device, dtype=dtype)
    k = torch.randn(1, 12, 5280, 128, device=device, dtype=dtype)
    seconds = [best(lambda: F.scaled_dot_product_attention(q, k, k), device).spent]
    if device.type == "cpu":
        seconds.append(best(lambda: _two_products(q, k), device).spent)
    return 4 * 1320 * 5280 * 128 * 12 / min(seconds) / 1e9


def _two_products(q: Tensor, k: Tensor) -> Tensor:
    return torch.matmul(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(dim=-1), k)


def _convolution(device: torch.device, dtype: torch.dtype) -> float:
    x = torch.randn(1, 96, 6, 88, 160, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)
    w = torch.randn(96, 96, 3, 3, 3, device=device, dtype=dtype)
    routes = [lambda: F.conv3d(x, w, padding=(0, 1, 1))]
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        one = [1, 1, 1]
        routes.append(lambda: torch.mkldnn_convolution(x, w, None, [0, 1, 1], one, one, 1))
    seconds = math.inf
    for route in routes:
        seconds = min(seconds, best(route, device).spent)
    return 2 * 96 * 96 * 27 * 4 * 88 * 160 / seconds / 1e9
