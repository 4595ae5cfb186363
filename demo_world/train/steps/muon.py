"""Muon (Jordan et al., 2024) for matrices and convolutions, AdamW for everything else, as one optimiser.

A matrix moves by its momentum with all singular values set to about one; networks this small and trained this
shortly get further with it than with AdamW alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

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
            moving = [p for p in group["params"] if p.grad is not None]
            if moving:
                (self._along_matrices if group["matrix"] else self._along_adam)(moving, group)

    def _along_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [cast(Tensor, p.grad) for p in parameters]
        momenta, beta = [self.state[p]["momentum"] for p in parameters], group["momentum"]
        torch._foreach_lerp_(momenta, gradients, 1 - beta)
        updates = torch._foreach_lerp(gradients, momenta, beta)
        alike: dict[torch.Size, list[int]] = {}
        for i, update in enumerate(updates):
            alike.setdefault(update.flatten(1).shape, []).append(i)
        for (rows, columns), members in alike.items():  # of one shape at once: a GPU is idle between small products
            moves = orthogonal(torch.stack([updates[i].flatten(1) for i in members])).unbind()
            shaped = [move.view_as(parameters[i]) for i, move in zip(members, moves, strict=True)]
            scale = max(1.0, rows / columns) ** 0.5
            torch._foreach_add_([parameters[i] for i in members], shaped, alpha=-group["lr"] * scale)

    def _along_adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p].update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            self.state[p]["step"] += 1
        states, (first, second) = [self.state[p] for p in parameters], ADAM_BETAS
        gradients = [cast(Tensor, p.grad) for p in parameters]
        means, squares = [s["mean"] for s in states], [s["square"] for s in states]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        sizes = torch._foreach_sqrt(torch._foreach_div(squares, [1 - second ** s["step"] for s in states]))
        torch._foreach_add_(sizes, ADAM_EPS)
        moves = torch._foreach_div(torch._foreach_div(means, [1 - first ** s["step"] for s in states]), sizes)
        torch._foreach_add_(moves, parameters, alpha=group["decay"])
        torch._foreach_add_(parameters, moves, alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Matrices [..., m, n] with the same singular vectors and singular values between about 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = (matrix.mT if tall else matrix).float()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if x.is_cuda:
        x = x.bfloat16()
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrix.dtype)


def _is_matrix(name: str, parameter: Tensor) -> bool:
    if any(part in name for part in LEFT_TO_ADAM):
        return False
    return parameter.ndim in (2, 4, 5) and min(parameter.shape[0], parameter[0].numel()) >= SMALLEST
