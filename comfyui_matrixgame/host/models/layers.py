"""Core's layers and attention, with the engine's arithmetic inside."""

# pyright: reportMissingImports=false

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import comfy.ldm.modules.attention
import comfy.ops
import torch
from comfy.cli_args import args
from torch import Tensor, nn

from ...compute.attention import Attention, get_attention
from ...compute.ops import GELU_AFTER, GELU_BEFORE, convolve2d, convolve3d, linear
from ...compute.quantise import (
    Quantised,
    can_be_quantised,
    named_layers,
    quantise_weight,
    quantised_linear,
    quantised_size,
)

# of core's attentions, those that compute in 8 bits
_APPROXIMATIONS = {"attention_sage": "sage", "attention_comfy_kitchen_int8": "int8"}


class HostOperations(comfy.ops.manual_cast):
    """Core's layers, which cast, patch and offload on the fly, with the engine's arithmetic inside."""

    class Linear(comfy.ops.manual_cast.Linear):
        precision: str | None = None  # of a fast mode
        kept: tuple[Quantised, Tensor | None] | None = None

        @property
        def gelu_fits(self) -> str:
            """See ops.OperationsLike."""
            return GELU_AFTER if self.precision is None else GELU_BEFORE

        @property
        def eight_bits(self) -> torch.dtype | None:
            """See ops.OperationsLike: none until there is a weight in 8 bits."""
            return None if self.kept is None else self.kept[0].values.dtype

        def forward_comfy_cast_weights(self, x: Tensor, gelu: bool = False, gelu_first: bool = False) -> Tensor:
            if self.kept is not None:
                return quantised_linear(x, *self.kept, gelu_first)
            with HostOperations.weights_in_use(self, x) as (weight, bias):
                if self.precision is None:
                    return linear(x, weight, bias, gelu)
                # patched and on the device, whatever core did for that: a LoRA is in what is quantised
                self.kept = quantise_weight(weight, self.precision), None if bias is None else bias.clone()
            return quantised_linear(x, *self.kept, gelu_first)

        def _load_from_state_dict(self, *arguments: Any) -> None:
            # core makes a layer's parameters late unless it brings its own reader; the engine fills them one by one
            nn.Linear._load_from_state_dict(self, *arguments)

    class Conv2d(comfy.ops.manual_cast.Conv2d):
        def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return convolve2d(x, weight, bias, self)

    class Conv3d(comfy.ops.manual_cast.Conv3d):
        def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any, **options: Any) -> Tensor:
            if x.device.type == "cpu":
                return convolve3d(x, weight, bias, self)
            return super()._conv_forward(x, weight, bias, *rest, **options)  # core's ways around faults of cuDNN

    @staticmethod
    def weights_in_use(module: nn.Module, like: Tensor) -> AbstractContextManager[tuple[Tensor, Tensor | None]]:
        """See ops.OperationsLike. Core pins what it brings; without an end of the use it would keep it for good."""
        return comfy.ops.CastBiasWeightContext(module, like, offloadable=True)


class _Numbered(nn.ModuleDict):
    def __getitem__(self, key: str | int) -> nn.Module:
        return super().__getitem__(str(key))


def let_numbers_find_layers(network: nn.Module) -> None:
    """Let core's bypass loader find `ffn.0`: it asks for the number 0, as other models have lists there, and leaves out
    what it does not find."""
    for module in network.modules():
        if type(module) is nn.ModuleDict:
            module.__class__ = _Numbered


def quantise_when_run(generator: nn.Module, precision: str) -> None:
    """Have the large linears compute in 8 bits from the weights they find when they first run."""
    for _, layer in named_layers(generator):
        if can_be_quantised(layer):
            layer.precision = precision  # type: ignore[assignment]


def forget_quantised(generator: nn.Module) -> None:
    """Let the 8-bit weights go: the next run may have other patches."""
    for _, layer in named_layers(generator):
        layer.kept = None  # type: ignore[assignment]


def quantised_bytes(generator: nn.Module) -> int:
    """Memory that the 8-bit weights take on the device, beside what core keeps there; 0 in exact mode."""
    return sum(quantised_size(layer) for _, layer in named_layers(generator) if layer.precision is not None)


def attention_function(choice: str) -> Attention:
    """The attention for a choice of the loader; `auto` respects the flags ComfyUI was started with."""
    flags = ("use_sage_attention", "use_flash_attention", "use_ck_attention")
    if choice == "comfyui" or (choice == "auto" and any(getattr(args, flag, False) for flag in flags)):
        return _core_attention()
    return get_attention("sdpa" if choice == "auto" else choice)


def _core_attention() -> Attention:
    """The attention that core chose at its start, under the name of that one."""
    function = comfy.ldm.modules.attention.optimized_attention

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return function(q, k, v, q.shape[1], skip_reshape=True, skip_output_reshape=True).transpose(1, 2)

    name = function.__name__
    return Attention(f"comfyui {name}", attention, _APPROXIMATIONS.get(name))
