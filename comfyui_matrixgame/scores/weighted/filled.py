"""A network that was made without values gets those of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from ...checkpoints.reader import WeightsFile
from ...errors import CheckpointError

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class HeldWeights:
    """Weights that another program has in memory, read as those of a file are. name: what sentences call them."""

    name: str
    tensors: Mapping[str, Tensor]

    def tensor(self, name: str) -> Tensor:
        """One of them."""
        return self.tensors[name]


def fill_with_weights(
    network: Network, file: WeightsFile | HeldWeights, device: torch.device, wrong: str, fix: str
) -> Network:
    """The network, which is on the meta device until now, with the weights of a file in float32, to be run only. wrong,
    fix: said of a file that has others. Raises CheckpointError."""
    state = {}
    for name, place in network.state_dict().items():
        info = file.tensors.get(name)
        if info is None or tuple(info.shape) != tuple(place.shape):
            what = "is missing" if info is None else f"is {list(info.shape)} instead of {list(place.shape)}"
            raise CheckpointError(f"{file.name} {wrong}: {name} {what}; {fix}.")
        state[name] = file.tensor(name).to(device, torch.float32)
        if not torch.isfinite(state[name]).all():
            raise CheckpointError(f"{name} of {file.name} holds values that are not numbers; the file is damaged.")
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
