"""Weights files for tests: a small generator, and headers without a network behind them."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

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
