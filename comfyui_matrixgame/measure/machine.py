"""What is measured on, and how fast torch is there at best."""

from __future__ import annotations

import platform
import subprocess
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import __version__
from ..checkpoints.load import compute_dtype
from ..compute.attention import sdpa
from ..compute.fused import narrow_convolution
from ..compute.ops import convolve3d, cpu_has_matrix_registers, cpu_multiplies_bfloat16
from ..system.machine import processor_name
from .clock import clock_name, load_average, sustained


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    about = {
        "matrixgame": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "processor": processor_name(),
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


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.strip().splitlines()[0] if found.strip() else "unknown"


FULL = (44, 80)  # latent size of 640x352


def machine_limits(
    device: torch.device, latent: tuple[int, int] = FULL, decoded: tuple[int, int] = FULL, calls: int = 20
) -> dict[str, float]:
    """Billions a second that torch and this engine reach here, by the fastest route there is, at sizes that are used.

    linear, attention, convolution: floating-point operations, for each dtype that is computed in; convolutions as if
    computed directly, so that a quicker method counts. copy: bytes read and written on the device. to_host: bytes
    from the device into pinned memory. latent: latent size of a pass. decoded: latent size of
    what is decoded. calls: see `sustained`.
    """
    limits = {}
    tokens = 3 * latent[0] * latent[1] // 4  # of a block
    for dtype in (torch.float32, torch.bfloat16):
        if device.type == "cpu" and dtype == torch.bfloat16 and compute_dtype(dtype, device) != dtype:
            continue  # emulated, 10 times slower than float32: never used
        name = str(dtype).removeprefix("torch.")
        with torch.inference_mode():
            limits[f"linear_{name}"] = _linear(device, dtype, tokens, calls)
            limits[f"attention_{name}"] = _attention(device, dtype, tokens, calls)
            limits[f"convolution_{name}"] = _convolution(device, dtype, decoded, calls)
    x = torch.empty(2**28 if device.type == "cuda" else 2**25, dtype=torch.uint8, device=device)
    y = torch.empty_like(x)
    limits["copy"] = 2 * x.nbytes / sustained(lambda: y.copy_(x), device, calls) / 1e9
    if device.type == "cuda":
        host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
        limits["to_host"] = x.nbytes / sustained(lambda: host.copy_(x, non_blocking=True), device, calls) / 1e9
    return limits


def _linear(device: torch.device, dtype: torch.dtype, tokens: int, calls: int) -> float:
    """Times of the widest product of a pass, both ways: the feed-forward's."""
    rates = []
    for inner, outer in ((1536, 8960), (8960, 1536)):
        x = torch.randn(tokens, inner, device=device, dtype=dtype)
        w = torch.randn(outer, inner, device=device, dtype=dtype)
        seconds = [sustained(lambda x=x, w=w: F.linear(x, w), device, calls)]
        if device.type == "cpu":  # oneDNN takes a 1x1 convolution where torch keeps the product
            image, kernel = x.view(1, 1, *x.shape).permute(0, 3, 1, 2), w[..., None, None]
            seconds.append(sustained(lambda image=image, kernel=kernel: F.conv2d(image, kernel), device, calls))
        rates.append(2 * x.numel() * outer / min(seconds) / 1e9)
    return max(rates)


def _attention(device: torch.device, dtype: torch.dtype, tokens: int, calls: int) -> float:
    """Times of attention from a block's queries to a full window."""
    q = torch.randn(1, 12, tokens, 128, device=device, dtype=dtype)
    k = torch.randn(1, 12, 2 * tokens, 128, device=device, dtype=dtype)
    rows = [x.transpose(1, 2).contiguous() for x in (q, k, k)]
    routes = [lambda: F.scaled_dot_product_attention(q, k, k), lambda: sdpa(*rows)]
    if device.type == "cpu":
        routes.append(lambda: _two_products(q, k))
    seconds = [sustained(route, device, calls) for route in routes]
    return 8 * tokens * tokens * 128 * 12 / min(seconds) / 1e9


def _two_products(q: Tensor, k: Tensor) -> Tensor:
    return torch.matmul(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(dim=-1), k)


def _convolution(device: torch.device, dtype: torch.dtype, latent: tuple[int, int], calls: int) -> float:
    """Times of the decoder's stages: 384 channels at twice the latent's sides, 192 at four times, 96 at eight times."""
    return max(
        _one_convolution(device, dtype, channels, (latent[0] * scale, latent[1] * scale), calls)
        for channels, scale in ((384, 2), (192, 4), (96, 8))
    )


def _one_convolution(
    device: torch.device, dtype: torch.dtype, channels: int, sides: tuple[int, int], calls: int
) -> float:
    frames = 4 if device.type == "cuda" else 1
    x = torch.randn(1, channels, frames + 2, *sides, device=device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    layer = torch.nn.Conv3d(channels, channels, 3, padding=(0, 1, 1), bias=False, device=device, dtype=dtype)
    w, none = layer.weight, torch.zeros(channels, device=device, dtype=dtype)
    routes = [lambda: F.conv3d(x, w, padding=(0, 1, 1)), lambda: convolve3d(x, w, None, layer)]
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        one = [1, 1, 1]
        routes.append(lambda: torch.mkldnn_convolution(x, w, None, [0, 1, 1], one, one, 1))
    elif narrow_convolution(x, w, none, None) is not None:
        routes.append(lambda: narrow_convolution(x, w, none, None))  # type: ignore[arg-type]
    seconds = min(sustained(route, device, calls) for route in routes)
    return 2 * channels * channels * 27 * frames * sides[0] * sides[1] / seconds / 1e9
