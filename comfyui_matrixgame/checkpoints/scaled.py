"""Weights that other programs store in 8 bits with scales beside them: what they are, and their values.

The tables below hold all formats that are told apart. A weight `W` of 8 bits and its scale `s` stand for W * s,
which is made in float32 when the weight is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .containers.tensors import Damaged, TensorInfo, WeightsFile, printable_name, torch_dtype

SCALED = ", scaled"  # after the dtype of a weight that has a scale
_WEIGHT = ".weight"
SCALES = (".scale_weight", ".weight_scale", ".weight_scale_inv")
"""What stands in place of `.weight` in the name of its scale: of scaled fp8, of comfy_quant, of block-wise fp8."""
_FORMAT, _MARK = ".comfy_quant", "scaled_fp8"  # a layer's format as JSON in bytes; of the whole file
_FORMATS_IN_METADATA = "_quantization_metadata"
NOT_USED = (".scale_input", ".input_scale", _FORMAT)
"""Beside a layer's weight, and not needed for its values."""
READ = ("float8_e4m3fn", "float8_e5m2", "int8_tensorwise")
"""Formats of comfy_quant whose values are weight times scale."""
_EIGHT_BITS = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "int8")
_LONGEST_FORMAT = 4096

# ends of names -> the packing they show; the first that fits counts
PACKED = (
    ((".bitsandbytes__nf4",), "nf4 of bitsandbytes (4 bits)"),
    ((".bitsandbytes__fp4",), "fp4 of bitsandbytes (4 bits)"),
    ((".absmax", ".quant_map"), "4 or 8 bits of bitsandbytes"),
    ((".SCB",), "int8 of bitsandbytes"),
    ((".wscales", ".wtscale", ".smooth_factor"), "SVDQuant of Nunchaku (4 bits)"),
    ((".qweight", ".qzeros"), "GPTQ or AWQ (mostly 4 bits)"),
    ((".W_q",), "HQQ"),
    ((".weight_packed",), "compressed-tensors (mostly 4 bits)"),
    (("._data", "._scale", ".weight_qtype"), "quanto or torchao"),
    ((".weight_scale_2",), "nvfp4 (4 bits)"),
    ((".weight_s_rel", ".weight_s_channel", ".weight_codebook"), "4 bits with comfy_quant"),
)
_STORED = {"F4": "4 bits (F4)", "F6_E2M3": "6 bits (F6_E2M3)", "F6_E3M2": "6 bits (F6_E3M2)"}  # not in torch


def packed_as(tensors: Mapping[str, TensorInfo]) -> str | None:
    """The packing of a file's weights where it is not supported here; otherwise None."""
    for ends, what in PACKED:
        if any(name.endswith(ends) for name in tensors):
            return what
    return next((_STORED[info.dtype] for info in tensors.values() if info.dtype in _STORED), None)


def _scaled_by_exponents(file: WeightsFile, scales: Mapping[str, str]) -> str | None:
    """mxfp8: 32 values share an exponent of 2, stored in an order that is not the matrix's, often as a plain byte."""
    for name, scale in scales.items():
        about = file.tensors[scale]
        if about.dtype == "uint8" or (about.dtype == "float8_e8m0fnu" and about.size * 32 >= file.tensors[name].size):
            return "mxfp8"
    return None


def unscaled(file: WeightsFile) -> WeightsFile:
    """The same file with each scaled weight as one tensor, whose values are read in float32; a file without any is
    returned as it is, and one that is packed in another way with `packed` set. Raises Damaged where a scale does not
    fit."""
    scales = _scales(file)
    formats = _formats(file)
    marks = [name for name in file.tensors if name.rpartition(".")[2] == _MARK]
    packed = next(filter(None, map(_not_read, formats.values())), None) or packed_as(file.tensors)
    packed = packed or _scaled_by_exponents(file, scales)
    if packed is not None:
        return replace(file, packed=packed)
    if not scales and not formats and not marks:
        return file
    unused = {*scales.values(), *marks}
    layers = {name.removesuffix(_WEIGHT) for name in file.tensors if name.endswith(_WEIGHT)}
    unused |= {layer + end for layer in layers for end in NOT_USED if layer + end in file.tensors}
    tensors = {name: info for name, info in file.tensors.items() if name not in unused}
    for name, scale in scales.items():
        _blocks(tensors[name].shape, file.tensors[scale].shape, name)
        tensors[name] = replace(tensors[name], dtype=tensors[name].dtype + SCALED)
    return replace(file, tensors=tensors, read=_reader(file, scales))


def plain_dtype(dtype: str) -> str:
    """The dtype to keep a weight in: bfloat16 for what is packed or has a scale beside it."""
    return dtype if torch_dtype(dtype) is not None else "bfloat16"


def _reader(file: WeightsFile, scales: Mapping[str, str]) -> Callable[[str], Tensor]:
    def read(name: str) -> Tensor:
        scale = scales.get(name)
        return file.read(name) if scale is None else _product(file.read(name), file.read(scale), name)

    return read


def _scales(file: WeightsFile) -> dict[str, str]:
    """The name of each scaled weight -> that of its scale."""
    found = {}
    for name, info in file.tensors.items():
        if not name.endswith(_WEIGHT) or info.dtype not in _EIGHT_BITS:
            continue
        layer = name.removesuffix(_WEIGHT)
        scale = next((layer + end for end in SCALES if layer + end in file.tensors), None)
        if scale is not None:
            found[name] = scale
    return found


def _formats(file: WeightsFile) -> dict[str, Any]:
    """Layer -> its format, as comfy_quant states it in tensors or in the metadata."""
    found: dict[str, Any] = {}
    try:
        for name, info in file.tensors.items():
            if name.endswith(_FORMAT):
                if info.dtype not in ("uint8", "int8") or info.size > _LONGEST_FORMAT:
                    raise ValueError("no text")
                found[name.removesuffix(_FORMAT)] = json.loads(file.read(name).numpy().tobytes())
        about = json.loads(file.metadata.get(_FORMATS_IN_METADATA, "{}"))
        found |= dict(about.get("layers", {}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Damaged("its quantisation metadata is not JSON") from None
    return found


def _not_read(about: Any) -> str | None:
    """The name of a layer's format where it is not supported here."""
    name = about.get("format") if isinstance(about, dict) else None
    if not isinstance(name, str):
        return "a format without a name"
    parameters = about.get("params")
    if about.get("convrot") or (isinstance(parameters, dict) and parameters.get("convrot")):
        return printable_name(name, 40) + " with rotation"
    return None if name in READ else printable_name(name, 40)


def _blocks(shape: tuple[int, ...], scale: tuple[int, ...], name: str) -> tuple[int, ...]:
    """How many values of a weight, along each of its sides, share one value of its scale."""
    sides = [side for side in scale if side != 1] and list(scale)
    sides += [1] * (len(shape) - len(sides))
    if len(sides) != len(shape) or any(not s or side % s for side, s in zip(shape, sides, strict=True)):
        raise Damaged(f"the scale of {printable_name(name)} is {list(scale)}, which does not fit {list(shape)}")
    return tuple(side // s for side, s in zip(shape, sides, strict=True))


def _product(weight: Tensor, scale: Tensor, name: str) -> Tensor:
    """weight * scale in float32; a scale is for all values, for each row, or for blocks of one size."""
    blocks = _blocks(tuple(weight.shape), tuple(scale.shape), name)
    factors = scale.float()
    if not torch.isfinite(factors).all():
        raise Damaged(f"the scale of {printable_name(name)} is not a number")
    factors = factors.reshape([side // block for side, block in zip(weight.shape, blocks, strict=True)])
    values = weight.float()
    parts = [part for side, block in zip(values.shape, blocks, strict=True) for part in (side // block, block)]
    wide = [part for count in factors.shape for part in (count, 1)]
    return (values.reshape(parts) * factors.reshape(wide)).reshape(weight.shape)
