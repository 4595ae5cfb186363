"""The sums between the matrix products, as one call each: Triton on CUDA where it is installed, torch elsewhere.

Both ways compute the same within rounding. Where Triton cannot be used (Windows without it, an old card), the log
says so once, and torch's own operations serve.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from .devices import multiplies_bfloat16
from .trials import trial_is_chosen

log = logging.getLogger(__name__)
SWITCH = "MATRIXGAME_TRITON"  # set to 0 to do without


@cache
def kernels(device: torch.device) -> ModuleType | None:
    """The Triton kernels, once it is known that they run on this device; None where they do not."""
    if os.environ.get(SWITCH) == "0":
        return None
    try:
        from . import kernels as module

        _try(module, device)
    except Exception as error:  # a missing package, a missing compiler, a card that is too old: each its own class
        log.info("Triton kernels are not used (%s); torch's own operations are.", error)
        return None
    return module


def _try(module: ModuleType, device: torch.device) -> None:
    half = torch.bfloat16 if multiplies_bfloat16(device) else torch.float16
    with torch.cuda.device(device):  # where Triton launches
        for dtype in (torch.float32, half):
            x = torch.ones(2, 64, device=device, dtype=dtype)
            one = torch.ones(64, device=device, dtype=dtype)
            module.residual_norm(x, None, x, one, one, 1e-6, torch.empty_like(x), torch.empty_like(x))
        torch.cuda.synchronize(device)


def triton_for(x: Tensor) -> ModuleType | None:
    """The kernels where they serve a tensor: on CUDA, with no gradient to keep, and outside autocast, which hands out
    other dtypes than the kernels were made for."""
    if not x.is_cuda or torch.is_grad_enabled() or under_autocast(x):
        return None
    return kernels(x.device)


def under_autocast(x: Tensor) -> bool:
    """Whether operations on x may come out in another dtype than x's."""
    kind = x.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def residual_norm(
    x: Tensor, gate: Tensor | None, y: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """x + gate y (gate [W]; None: 1), and the layer norm of that with weight and bias [W]; x, y: [..., W]."""
    module = triton_for(x)
    if module is None or not (x.is_contiguous() and y.is_contiguous()):
        x = x + y if gate is None else torch.addcmul(x, gate, y)
        return x, F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    total, normed = torch.empty_like(x), torch.empty_like(x)
    module.residual_norm(x, gate, y, weight, bias, eps, total, normed)
    return total, normed


def residual_norm_rows(
    x: Tensor, gate: Tensor | None, y: Tensor, weight: Tensor, bias: Tensor, eps: float,
    dtype: torch.dtype, largest: float, smallest: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """residual_norm with its norm as quantise_rows gives it: x + gate y, the rows [N, W] of 8 bits, and their scales
    [N, 1]. The norm itself never goes through memory."""
    module = triton_for(x)
    if module is None or not (x.is_contiguous() and y.is_contiguous()):
        total, normed = residual_norm(x, gate, y, weight, bias, eps)
        return total, *quantise_rows(normed.flatten(0, -2), dtype, largest, smallest)
    total = torch.empty_like(x)
    values = torch.empty(x.numel() // x.shape[-1], x.shape[-1], dtype=dtype, device=x.device)
    scales = torch.empty(values.shape[0], 1, dtype=torch.float32, device=x.device)
    module.residual_norm_rows(x, gate, y, weight, bias, eps, total, values, scales, largest, smallest)
    return total, values, scales


def channel_norm_silu_into(out: Tensor, x: Tensor, gamma: Tensor) -> None:
    """Unit RMS over the channels of x [B, C, T, H, W], times gamma [C, 1, 1, 1], then SiLU, into out of that shape."""
    module = triton_for(x)
    last = torch.channels_last_3d
    if module is not None and x.is_contiguous(memory_format=last) and out.stride(1) == 1:
        module.channel_norm_silu(x, gamma.flatten(), out)
        return
    size = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min_(1e-12)  # as F.normalize has it
    torch.div(x, size, out=out).mul_(gamma * x.shape[1] ** 0.5)
    torch.ops.aten.silu_(out)


def add_into(x: Tensor, bias: Tensor, y: Tensor | None) -> bool:
    """x += bias [C] + y, of [B, C, T, H, W] in one pass; False where no kernel serves them, with nothing done."""
    module, last = triton_for(x), torch.channels_last_3d
    if module is None or not x.is_contiguous(memory_format=last):
        return False
    if y is not None and not y.is_contiguous(memory_format=last):
        return False
    module.add(x, bias, y)
    return True


def narrow_convolution(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor | None) -> Tensor | None:
    """Convolution over time and space of x [B, C, T + 2, H, W], plus bias and y; None where cuDNN does better.

    On Hopper cuDNN runs these channel counts at 215 TFLOP/s in a kernel of the generation before, and the bias and y
    cost a pass each (measured on an H100: 2.07 ms against 1.40).
    """
    module, last = triton_for(x), torch.channels_last_3d
    out_channels, channels, *kernel = weight.shape
    if module is None or kernel != [3, 3, 3] or x.dtype.itemsize != 2 or not x.is_contiguous(memory_format=last):
        return None
    if channels % 32 or not NARROW[0] <= min(channels, out_channels) <= max(channels, out_channels) <= NARROW[1]:
        return None
    if torch.cuda.get_device_capability(x.device)[0] != HOPPER:
        return None
    if y is not None and not y.is_contiguous(memory_format=last):
        return None
    shape = (x.shape[0], out_channels, x.shape[2] - 2, *x.shape[3:])
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=last)
    module.convolve(x, weight.contiguous(memory_format=last), bias, y, out, trial_is_chosen("96-in-two"))
    return out


HOPPER = 9  # compute capability
NARROW = (64, 128)  # channels
MOST_FEW = 16  # keys that `few_keys` takes


def few_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor | None:
    """Attention of q [N, L, H, D] over a handful of k, v [N, K, H, D], scale 1/sqrt(D), in the layout of q; None
    without a kernel."""
    module = triton_for(q)
    last = (q.shape[-1], 1)
    if module is None or k.shape[1] > MOST_FEW or k.stride() != v.stride():
        return None
    if q.stride()[2:] != last or k.stride()[2:] != last:
        return None
    out = torch.empty_like(q)
    module.few_keys(q, k, v, out)
    return out


def quantise_rows(
    x: Tensor, dtype: torch.dtype, largest: float, smallest: float, gelu: bool = False
) -> tuple[Tensor, Tensor]:
    """x [N, K] -> rows in 8 bits whose largest magnitude is `largest`, and the float32 scales [N, 1], at least
    `smallest`, that bring them back. gelu: of the rows' GELU (tanh form). Division and rounding are in float32."""
    module = triton_for(x)
    if module is not None and x.stride(1) == 1:
        values = torch.empty(x.shape, dtype=dtype, device=x.device)
        scales = torch.empty(x.shape[0], 1, dtype=torch.float32, device=x.device)
        module.quantise_rows(x, values, scales, largest, smallest, gelu)
        return values, scales
    x = F.gelu(x, approximate="tanh") if gelu else x
    size = torch.linalg.vector_norm(x, ord=float("inf"), dim=-1, keepdim=True).float()
    scales = (size / largest).clamp_min_(smallest)
    scaled = x.float() / scales
    return (scaled if dtype.is_floating_point else scaled.round_()).to(dtype), scales


def scale_product(sums: Tensor, rows: Tensor, columns: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """What comes after a product of 8-bit numbers: its sums [N, out] of any dtype times the scales of rows [N, 1] and
    columns [out], plus bias [out], in float32 -> [N, out] of dtype."""
    module = triton_for(sums)
    if module is None or not sums.is_contiguous():
        y = sums * (rows * columns)
        return (y if bias is None else y + bias.to(y.dtype)).to(dtype)
    out = torch.empty(sums.shape, dtype=dtype, device=sums.device)
    module.scale_product(sums, rows, columns, bias, out)
    return out
