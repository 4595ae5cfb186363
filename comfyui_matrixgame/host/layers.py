"""Core's layers and attention, with the engine's arithmetic inside."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import comfy.ldm.modules.attention
import comfy.ops
from comfy.cli_args import args
from torch import Tensor, nn

from ..generator.attention import BACKENDS, Attention, get_attention
from ..ops import convolve3d, linear

ATTENTION_CHOICES = ("auto", "comfyui", *BACKENDS)


class HostOperations(comfy.ops.manual_cast):
    """Core's layers, which cast, patch and offload on the fly, with the engine's arithmetic inside."""

    class Linear(comfy.ops.manual_cast.Linear):
        def forward_comfy_cast_weights(self, x: Tensor) -> Tensor:
            weight, bias, stream = comfy.ops.cast_bias_weight(self, x, offloadable=True)
            y = linear(x, weight, bias)
            comfy.ops.uncast_bias_weight(self, weight, bias, stream)
            return y

        def _load_from_state_dict(self, *arguments: Any) -> None:
            # core makes a layer's parameters late unless it brings its own reader; the engine fills them one by one
            nn.Linear._load_from_state_dict(self, *arguments)

    class Conv3d(comfy.ops.manual_cast.Conv3d):
        def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any, **options: Any) -> Tensor:
            if x.device.type == "cpu":
                return convolve3d(x, weight, bias, self)
            return super()._conv_forward(x, weight, bias, *rest, **options)  # core's ways around faults of cuDNN

    @staticmethod
    def weights_of(module: nn.Module, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """See ops.OperationsLike."""
        return comfy.ops.cast_bias_weight(module, like)


def attention_function(choice: str) -> Attention:
    """The attention for a choice of the loader; `auto` respects the flags ComfyUI was started with."""
    flags = ("use_sage_attention", "use_flash_attention", "use_ck_attention")
    if choice == "comfyui" or (choice == "auto" and any(getattr(args, flag, False) for flag in flags)):
        return _core_attention
    return get_attention("sdpa" if choice == "auto" else choice)


def _core_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    function = comfy.ldm.modules.attention.optimized_attention
    return function(q, k, v, q.shape[1], skip_reshape=True, skip_output_reshape=True).transpose(1, 2)
