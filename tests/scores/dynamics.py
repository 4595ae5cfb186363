"""A small inverse dynamics model with named-stream weights."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from comfyui_matrixgame.networks.inverse_dynamics import InverseDynamics, Sizes, unused_weights

from ..support.networks import shapes_of, weight

SMALL = Sizes(span=5, channels=(8, 4, 8, 8), blocks=2, dense=256, width=64, hidden=256, layers=2, heads=4)


def layout(sizes: Sizes) -> dict[str, list[int]]:
    """Name -> shape of a file of weights."""
    with torch.device("meta"):
        network = InverseDynamics(sizes)
    return shapes_of(network) | {name: list(shape) for name, shape in unused_weights(sizes).items()}


@cache
def tensors() -> dict[str, Tensor]:
    """The tensors of its file."""
    torch.set_num_threads(1)
    return {name: weight("idm", name, shape) if 0 not in shape else torch.zeros(shape)
            for name, shape in layout(SMALL).items()}  # fmt: skip
