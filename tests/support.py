"""Named streams (tests/golden/README.md): weights and inputs that anyone can make again from their names."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def stream(name: str, shape: Sequence[int], scale: float = 1.0, mean: float = 0.0) -> Tensor:
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    return torch.from_numpy((mean + scale * values).astype(np.float32))


def weight(prefix: str, key: str, shape: Sequence[int]) -> Tensor:
    name = f"{prefix}/{key}"
    if key.endswith((".bias", ".beta")):
        return stream(name, shape, 0.05)
    if key.endswith(("modulation", "cls_embedding", "pos_embedding")):
        return stream(name, shape, 0.3)
    if key.endswith(".gamma") or (key.endswith(".weight") and len(shape) == 1):
        return stream(name, shape, 0.1, 1.0)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
    return stream(name, shape, fan_in**-0.5)


def weights(prefix: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    return {key: weight(prefix, key, shape) for key, shape in shapes.items()}


def shapes_of(module: torch.nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in module.state_dict().items()}


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def golden_metadata(name: str) -> dict[str, str]:
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        return file.metadata()


def manifest(name: str) -> dict[str, list[int]]:
    return json.loads((GOLDEN / "manifest" / f"{name}.json").read_text())


def largest_difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape, (a.shape, b.shape)
    return (a.double() - b.double()).abs().max().item()
