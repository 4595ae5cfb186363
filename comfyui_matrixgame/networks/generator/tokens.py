"""The tokens on their way through the layers, to which each layer adds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...compute.quantise import QuantisedRows, norm_for
from .norms import EPS


class Tokens:
    """x [B, F*H*W, dim]. What is added to it waits for the next norm, which also makes the sum: one kernel in place of
    two."""

    def __init__(self, x: Tensor) -> None:
        self._x = x
        self._added: tuple[Tensor | None, Tensor] | None = None  # gate and y that wait

    @property
    def like(self) -> Tensor:
        """A tensor of the same dtype on the same device."""
        return self._x

    def add(self, y: Tensor, gate: Tensor | None = None) -> None:
        """x += gate * y; gate: [dim], or None for 1."""
        self.sum()
        self._added = gate, y

    def sum(self) -> Tensor:
        """x with all that was added."""
        if self._added is not None:
            (gate, y), self._added = self._added, None
            self._x = self._x + y if gate is None else torch.addcmul(self._x, gate, y)
        return self._x

    def norm(self, scale: Tensor, shift: Tensor, readers: Sequence[nn.Module] = ()) -> Tensor | QuantisedRows:
        """LN(x) * scale + shift, [dim] each. readers: the layers that it goes to, and no others; it is in 8 bits
        where they take it so."""
        if self._added is None:
            return F.layer_norm(self._x, self._x.shape[-1:], scale, shift, EPS)
        (gate, y), self._added = self._added, None
        self._x, normed = norm_for(readers, self._x, gate, y, scale, shift, EPS)
        return normed
