"""World files whose fields or tensors are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from comfyui_matrixgame.world.files import FORMAT


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A file's fields and tensors, as the library reads them."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[FORMAT]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


FIELDS: list[tuple[str, Any]] = [
    *(("block", value) for value in (-1, 1.5, "1", None, True, [], {}, 1e308, float("inf"), float("nan"), 10**30)),
    *(("tokens", value) for value in (-1, 0, 7, 1.0, "6", None, 10**30)),
    *(("seeds", value) for value in ("", [], {}, [""], [1.5], [None], [True], [1, 2], 3, None)),
    *(("names", value) for value in ("", [], {}, [1], [""], ["x" * 10_000], ["a", "b"], None)),
    *(("variant", value) for value in ("", "other", 1, None, [], "templerun", "gta_drive")),
    *(("models_id", value) for value in (1, None, [], "x" * 10_000)),
    *(("decoder_id", value) for value in (1, None, [], {})),
]


def changed(tensors: dict[str, Tensor], name: str, how: str) -> dict[str, Tensor]:
    tensor = tensors[name]
    new: dict[str, Tensor] = {
        "one side less": tensor.flatten(0, 1) if tensor.ndim > 1 else tensor,
        "longer": torch.cat([tensor, tensor], dim=-1),
        "more worlds": torch.cat([tensor, tensor]),
        "empty": tensor[..., :0],
        "scalar": torch.zeros(()),
        "whole numbers": tensor.nan_to_num().to(torch.int64),
        "NaN": torch.full(tensor.shape, torch.nan),
        "one infinity": torch.where(torch.arange(tensor.numel()).reshape(tensor.shape) == 1, torch.inf, tensor.float()),
    }
    return tensors | {name: new[how].contiguous()}


HOWS = ("one side less", "longer", "more worlds", "empty", "scalar", "whole numbers", "NaN", "one infinity")
