"""Weights files for tests: a small generator, and headers without a network behind them."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from comfyui_matrixgame.checkpoints.untrained import small_config
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.variants import VARIANTS

from ..support.networks import shapes_of, weights


@functools.cache
def generator_tensors(name: str = "universal") -> dict[str, torch.Tensor]:
    """A small generator's weights by our names."""
    with torch.device("meta"):
        shapes = shapes_of(Generator(small_config(VARIANTS[name])))
    return weights(f"small/{name}", shapes)


def save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a .safetensors file."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def raw_safetensors(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """Write a file with this header, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def empty(shape: list[int], dtype: str = "BF16") -> dict[str, Any]:
    """A header's entry without data."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}


TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 30}


Q8_0 = 8


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(tensors: Mapping[str, Tensor], packed: Mapping[str, bytes] | None = None, architecture: str = "wan") -> bytes:
    """A file as converters write it: a tensor of five sides is stored with four, and its shape beside it."""
    packed = packed or {}
    values = [text("general.architecture") + struct.pack("<I", 8) + text(architecture)]
    entries, data = [], b""
    for name, tensor in tensors.items():
        shape = list(tensor.shape)
        if len(shape) > 4:
            numbers = struct.pack(f"<{len(shape)}I", *shape)
            values.append(text(f"comfy.gguf.orig_shape.{name}") + struct.pack("<IIQ", 9, 4, len(shape)) + numbers)
            shape = [int(np.prod(shape[:-1])), shape[-1]]
        kind = Q8_0 if name in packed else TYPES[tensor.dtype]
        entries.append(
            text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1]) + struct.pack("<IQ", kind, len(data))
        )
        data += packed.get(name) or tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(entries), len(values)) + b"".join(values) + b"".join(entries)
    return head + bytes(-len(head) % 32) + data


class Runs:
    """Would write a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))
