"""Noise levels of the few denoising steps, and the two formulas that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...compute.devices import widest_float

TABLE_SIZE = 1000
SHIFT = 5.0


@dataclass(frozen=True)
class Schedule:
    """Timesteps and sigmas of the denoising steps, as Python floats so that no pass waits for the device.

    A step named t stands at index 1000 - t of a table of 1000 levels: base sigma 1 - i/1000, shifted to
    k s / (1 + (k - 1) s), k = 5 as published; timestep = 1000 sigma. 1000, 666, 333 become 1000, 908.843, 713.979
    (measured: golden/rollout_*, `timesteps`).
    """

    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]

    @staticmethod
    def of(steps: Sequence[int], shift: float = SHIFT) -> Schedule:
        """The schedule of steps named by their places out of 1000, first to last, of a table with this shift."""
        base = torch.linspace(1.0, 0.0, TABLE_SIZE + 1)[:-1]  # float32, as the published table
        table = shift * base / (1 + (shift - 1) * base)
        sigmas = table[[TABLE_SIZE - step for step in steps]]
        return Schedule(tuple((sigmas * TABLE_SIZE).tolist()), tuple(sigmas.tolist()))

    def __len__(self) -> int:
        return len(self.sigmas)


def clean_latents(noisy: Tensor, velocity: Tensor, sigma: float) -> Tensor:
    """x0 = x_t - sigma v, in float64 where the device has it; returns float32."""
    exact = widest_float(noisy.device)
    return (noisy.to(exact) - sigma * velocity.to(exact)).float()


def renoise(clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """(1 - sigma) x0 + sigma noise, float32: the input of the next step."""
    return (1 - sigma) * clean + sigma * noise
