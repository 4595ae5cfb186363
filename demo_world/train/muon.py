"""Muon (Jordan et al., 2024) for matrices and convolutions, AdamW for everything else, as one optimiser.

A matrix moves by its momentum with all singular values set to about one; networks this small and trained this
shortly get further with it than with AdamW alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

STEPS = 5  # of the iteration that makes a matrix orthogonal
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's quintic: quick rather than exact
SMALLEST = 8  # sides below this are left to AdamW
LEFT_TO_ADAM = ("patch_embedding", "time_", "img_emb", "cross_attn", "head.head")  # what goes in and out; the image
ADAM_BETAS, ADAM_EPS = (0.9, 0.98), 1e-8


class Muon(torch.optim.Optimizer):
    """Two groups of parameters: `matrix` ones, which Muon moves, and the others, which AdamW moves."""

    def __init__(
        self, parameters: Iterable[tuple[str, nn.Parameter]], lr: float, muon_lr: float, decay: float = 1e-3
    ) -> None:
        """lr: of AdamW. muon_lr: spectral size of a matrix's step. A schedule scales each group's `lr`."""
        groups = [
            {"params": [], "lr": muon_lr, "matrix": True},
            {"params": [], "lr": lr, "matrix": False},
        ]
        for name, parameter in parameters:
            groups[0 if _is_matrix(name, parameter) else 1]["params"].append(parameter)
        super().__init__([g for g in groups if g["params"]], {"decay": decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                move = self._along_matrix if group["matrix"] else self._along_adam
                parameter.add_(move(parameter, group), alpha=-group["lr"])

    def _along_matrix(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient, beta = parameter.grad, group["momentum"]
        assert gradient is not None
        state["momentum"].lerp_(gradient, 1 - beta)
        update = gradient.lerp(state["momentum"], beta).flatten(1)
        scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        return orthogonal(update).mul_(scale).view_as(parameter)

    def _along_adam(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        gradient, (first, second) = parameter.grad, ADAM_BETAS
        assert gradient is not None
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].lerp_(gradient.square(), 1 - second)
        mean = state["mean"] / (1 - first ** state["step"])
        square = state["square"] / (1 - second ** state["step"])
        return mean / (square.sqrt() + ADAM_EPS) + group["decay"] * parameter


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [m, n] with the same singular vectors and singular values between about 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = x / (x.norm() + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


def _is_matrix(name: str, parameter: Tensor) -> bool:
    if any(part in name for part in LEFT_TO_ADAM):
        return False
    return parameter.ndim in (2, 4, 5) and min(parameter.shape[0], parameter[0].numel()) >= SMALLEST
