"""Measures of one film from vectors of its frames, while its frames come in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Temporal:
    """Mean over all frames but the first of the likeness to the frame before and to the first, each at least 0."""

    def __init__(self) -> None:
        self._first: Tensor | None = None
        self._before: Tensor | None = None
        self._sum, self._count = 0.0, 0

    def add(self, vectors: Tensor) -> None:
        """Vectors [N, D] of length 1, of the frames after those that were added before."""
        if self._first is None or self._before is None:
            self._first = self._before = vectors[0]
            vectors = vectors[1:]
        if len(vectors):
            before = torch.cat([self._before[None], vectors[:-1]])
            to_last = (vectors * before).sum(dim=-1).clamp(min=0)
            to_first = (vectors @ self._first).clamp(min=0)
            self._sum += float((to_last + to_first).sum()) / 2
            self._count += len(vectors)
            self._before = vectors[-1]

    @property
    def score(self) -> float | None:
        """0 to 1; None of a film of one frame."""
        return round(self._sum / self._count, 4) if self._count else None


class Mean:
    """The mean of a number of each frame."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, values: Tensor) -> None:
        """Values [N]."""
        self._sum += float(values.sum())
        self._count += len(values)

    @property
    def score(self) -> float | None:
        """None before the first frame."""
        return round(self._sum / self._count, 4) if self._count else None


def aesthetic(vectors: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Vectors [N, D] of length 1 -> LAION's score divided by 10, [N]. weight: [1, D]. bias: [1]."""
    return F.linear(vectors, weight, bias)[:, 0] / 10


def good_photo(vectors: Tensor, prompts: Tensor, scale: float) -> Tensor:
    """Vectors [N, D] of length 1 -> the share of the first of two prompts [2, D], [N]."""
    return (scale * vectors @ prompts.T).softmax(dim=-1)[:, 0]
