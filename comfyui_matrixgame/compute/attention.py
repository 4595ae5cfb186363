"""Attention behind one small interface: every backend takes and returns [B, L, heads, dim]."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BackendError
from .choices import BACKENDS
from .devices import prefers_cudnn_attention
from .faults import is_out_of_memory
from .ops import cpu_has_matrix_registers, cpu_multiplies_bfloat16


@dataclass(frozen=True)
class Attention:
    """(q [B, Lq, H, D], k [B, Lk, H, D], v [B, Lk, H, D]) -> [B, Lq, H, D]; scale 1/sqrt(D), no mask.

    name: part of cache keys, so no two that differ in a bit may share one. approximation: what figures and worlds
    call it where it is coarser than its inputs; None otherwise.
    """

    name: str
    run: Callable[[Tensor, Tensor, Tensor], Tensor]
    approximation: str | None = None

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.run(q, k, v)


_MODULES = {"flash2": "flash_attn", "flash3": "flash_attn_interface", "sage": "sageattention"}
log = logging.getLogger(__name__)

CUDNN_KEYS = 1024  # fewer are left to torch's choice (measured on an H100: 257 keys 0.073 ms against 0.091)
MANY_KEYS = 512  # from here on, tiles pay on a CPU in bfloat16
TILE_ROWS = 120  # queries whose scores are made at once: 2.5 MB of them at full size


def _sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if _tiles_pay(q, k) and not torch.is_grad_enabled():
        return _tiled(q, k, v)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if k.shape[2] >= CUDNN_KEYS and q.dtype.itemsize == 2 and _prefers_cudnn(q.device):
        y = _cudnn(q, k, v)
        if y is not None:
            return y.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


sdpa = Attention("sdpa", _sdpa)
"""PyTorch's own attention: runs everywhere, picks the fastest kernel it has."""


def _tiles_pay(q: Tensor, k: Tensor) -> bool:
    halves = q.device.type == "cpu" and q.dtype == torch.bfloat16
    # with matrix registers torch's kernel is ahead: on a Xeon 560 GFLOP/s a core against 146 of ours
    return halves and k.shape[1] >= MANY_KEYS and cpu_multiplies_bfloat16() and not cpu_has_matrix_registers()


def _tiled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention on a CPU in bfloat16 over whole rows: scores in float32, weights times values in bfloat16.

    As close to float32 as torch's kernel, and 1.3 times as fast on an AMD EPYC (measured: 104 GFLOP/s a core against
    78; scores in bfloat16 would give 155, at two to five times the error).
    """
    out = torch.empty_like(q)
    scores = torch.empty(TILE_ROWS, k.shape[1])
    for world in range(q.shape[0]):
        for head in range(q.shape[2]):
            keys = k[world, :, head].float().t()
            values = v[world, :, head].contiguous()
            queries = q[world, :, head].float() * q.shape[-1] ** -0.5
            for start in range(0, q.shape[1], TILE_ROWS):
                rows = queries[start : start + TILE_ROWS]
                weights = torch.mm(rows, keys, out=scores[: len(rows)]).softmax(-1).bfloat16()
                out[world, start : start + TILE_ROWS, head] = weights @ values
    return out


def _prefers_cudnn(device: torch.device) -> bool:
    return not torch.is_grad_enabled() and not _cudnn_failed() and prefers_cudnn_attention(device)


@cache
def _cudnn_failed() -> list[str]:
    """Why cuDNN's attention is no longer used: one reason, or none."""
    return []


def _cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor | None:
    """cuDNN's attention by name. `sdpa_kernel` would choose it too, but by flags of the whole process, which threads
    would set for each other. None where it fails, after which it is not tried again."""
    try:
        return torch.ops.aten._scaled_dot_product_cudnn_attention(q, k, v, None, False)[0]
    except RuntimeError as error:  # no plan for these sizes, no cuDNN, another signature in another torch
        if is_out_of_memory(error):
            raise
        _cudnn_failed().append(str(error))
        log.info("cuDNN's attention is not used (%s); torch's choice is.", str(error).partition("\n")[0])
        return None


def available_backends() -> list[str]:
    """The backends that are installed here; `sdpa` always is."""
    return ["sdpa", *(name for name, module in _MODULES.items() if importlib.util.find_spec(module))]


def get_attention(name: str) -> Attention:
    """The backend called `name`. Raises BackendError where it is unknown or not installed."""
    if name == "sdpa":
        return sdpa
    if name not in _MODULES:
        raise BackendError(f"There is no attention backend '{name}'; use one of {', '.join(BACKENDS)}.")
    try:
        module = importlib.import_module(_MODULES[name])
    except ImportError as error:
        raise BackendError(
            f"Attention '{name}' was asked for, but the package {_MODULES[name]} cannot be imported ({error}); "
            f"install it or choose sdpa."
        ) from error
    return _sage(module) if name == "sage" else _flash(name, module)


def _flash(name: str, module: Any) -> Attention:
    function = module.flash_attn_func

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        _needs_half(q, "flash-attn")
        result = function(q, k, v)
        return result[0] if isinstance(result, tuple) else result  # some releases return the log-sums too

    return Attention(name, attention)


def _sage(module: Any) -> Attention:
    function = module.sageattn

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        _needs_half(q, "SageAttention")
        return function(q, k, v, tensor_layout="NHD", is_causal=False)

    return Attention("sage", attention, approximation="sage")


def _needs_half(q: Tensor, name: str) -> None:
    if q.device.type != "cuda" or q.dtype.itemsize != 2:
        raise BackendError(
            f"{name} needs a CUDA device and bfloat16 or float16, got {str(q.dtype).removeprefix('torch.')} on "
            f"{q.device.type}; choose sdpa."
        )
