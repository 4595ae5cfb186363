"""Attention behind one small interface: every backend takes and returns [B, L, heads, dim]."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ..errors import BackendError

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(q [B, Lq, H, D], k [B, Lk, H, D], v [B, Lk, H, D]) -> [B, Lq, H, D]; scale 1/sqrt(D), no mask."""

_MODULES = {"flash2": "flash_attn", "flash3": "flash_attn_interface", "sage": "sageattention"}
BACKENDS = ("sdpa", *_MODULES)


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's own attention: runs everywhere, picks the fastest kernel it has."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


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
    return {"flash2": _flash, "flash3": _flash, "sage": _sage}[name](module)


def _flash(module: object) -> Attention:
    function = module.flash_attn_func  # type: ignore[attr-defined]

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        _needs_half(q, "flash-attn")
        result = function(q, k, v)
        return result[0] if isinstance(result, tuple) else result  # some releases return the log-sums too

    return attention


def _sage(module: object) -> Attention:
    function = module.sageattn  # type: ignore[attr-defined]

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        _needs_half(q, "SageAttention")
        return function(q, k, v, tensor_layout="NHD", is_causal=False)

    return attention


def _needs_half(q: Tensor, name: str) -> None:
    if q.device.type != "cuda" or q.dtype.itemsize != 2:
        raise BackendError(
            f"{name} needs a CUDA device and bfloat16 or float16, got {str(q.dtype).removeprefix('torch.')} on "
            f"{q.device.type}; choose sdpa."
        )
