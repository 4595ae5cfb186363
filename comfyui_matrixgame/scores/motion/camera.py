"""A camera's motion fitted to flow: what turns moves all things alike, what walks moves near things more.

How near a thing is cannot be told from two frames of an unknown camera and an unknown pace. What is used is that games
and photographs have a ground below the horizon, things that stand on it, and a far sky: walking is fitted as a sum of
what moves the ground, what stands there, and what lies ahead, none of them negative, once for each way it may go (on or
back, right or left). How much better one way fits than the other is what is told. What does not fit at all, such as a
tower close by, counts for little (an M-estimator). Where the horizon lies is not known either; some tilts are tried.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .flow import Flow

FIELD = math.radians(75.0)  # of view, across; signs hang little on it
TILTS = tuple(math.radians(degrees) for degrees in (-32, -16, 0, 16, 32))  # of the camera, up
WAYS = tuple(itertools.product((1, -1), (1, -1)))  # signs of forward and of right
GUESSES = tuple(itertools.product(TILTS, WAYS))
AXES = ("yaw", "pitch", "forward", "right")
DEEP = 0.45  # tangent of the lower edge of a wide picture: scales the parameters to about one another
STANDING, STANDS = 0.15, 0.4  # things reach so far over the horizon, and are as near as so much of the lower edge
MISS = 0.35  # of contrast: a cell that fits worse was covered, or came into view
SIZES = (4.0, 2.0, 1.0, 1.0, 1.0)  # pixels, one a round, at which a cell counts a quarter
SWEEPS = 12
RIDGE = 1e-3
FORWARD, RIGHT = slice(2, 5), slice(5, 7)  # parameters; yaw and pitch are the first two


@dataclass(frozen=True)
class Fit:
    """What was fitted to B pairs of frames under each of H guesses (GUESSES).

    motion: [B, H, 4] of AXES: radians (+ right, up), then pixels that the cells move on average by walking. cost:
    [B, H] mean misfit of a cell, 0 to 1. changed: [B] mean of what no motion explains, in units of contrast: much at
    a cut. moved: [B] pixels that known cells move on average.
    """

    motion: Tensor
    cost: Tensor
    changed: Tensor
    moved: Tensor


def fit_camera(flow: Flow) -> Fit:
    """Fit to all pairs under all guesses."""
    basis = torch.stack([_basis(flow.places, flow.width, tilt, way) for tilt, way in GUESSES]).permute(0, 2, 3, 1)
    trust = 1 / (1 + (flow.miss / MISS) ** 2) ** 2  # [B, N]
    guesses, _, _, count = basis.shape  # [H, N, 2, K]
    known_basis = torch.einsum("bncd,hndk->bhnck", flow.known, basis)
    known_flow = torch.einsum("bncd,bnd->bnc", flow.known, flow.vectors)
    grams = torch.einsum("hnck,bhncl->bhnkl", basis, known_basis).flatten(3)
    rights = torch.einsum("hnck,bnc->bhnk", basis, known_flow)
    ridge = torch.diag_embed(basis.square().mean(dim=(1, 2))) * RIDGE  # [H, K, K]
    weight = trust[:, None].expand(-1, guesses, -1)
    found, misfit = torch.zeros(len(trust), guesses, count), weight
    for size in SIZES:
        gram = (weight[..., None] * grams).mean(2).unflatten(-1, (count, count)) + ridge
        found = _not_negative(gram, (weight[..., None] * rights).mean(2), found)
        rest = flow.vectors[:, None] - torch.einsum("hnck,bhk->bhnc", basis, found)
        misfit = torch.einsum("bhnc,bncd,bhnd->bhn", rest, flow.known, rest).clamp(min=0) / size**2
        weight = trust[:, None] / (1 + misfit) ** 2
    total = trust.sum(-1).clamp(min=1e-6)
    cost = (trust[:, None] * misfit / (1 + misfit)).sum(-1) / total[:, None]
    pulls = found * basis.norm(dim=2).mean(1)
    ways = torch.tensor([way for _, way in GUESSES]).float()
    walked = [pulls[..., part].sum(-1) * ways[:, index] for index, part in enumerate((FORWARD, RIGHT))]
    motion = torch.stack([found[..., 0], found[..., 1], *walked], -1)
    sure = flow.known.diagonal(dim1=-2, dim2=-1).mean(-1) * trust  # [B, N]
    moved = (flow.vectors.norm(dim=-1) * sure).sum(-1) / sure.sum(-1).clamp(min=1e-6)
    return Fit(motion, cost, flow.miss.mean(-1), moved)


def _not_negative(gram: Tensor, right: Tensor, found: Tensor) -> Tensor:
    """Least squares with all but the turns not negative, by coordinate descent from what was found before."""
    found = found.clone()
    found[..., :2] = torch.linalg.solve(gram[..., :2, :2], right[..., :2])
    for _ in range(SWEEPS):
        for index in range(gram.shape[-1]):
            own = gram[..., index, index].clamp(min=1e-9)
            value = found[..., index] + (right[..., index] - (gram[..., index, :] * found).sum(-1)) / own
            found[..., index] = value if index < 2 else value.clamp(min=0)
    return found


def _basis(places: Tensor, width: int, tilt: float, way: tuple[int, int]) -> Tensor:
    """Flow in pixels [K, N, 2] of a radian of yaw and of pitch, then of a step forward and aside past what is near."""
    focal = width / 2 / math.tan(FIELD / 2)
    x, y = (places / focal).unbind(-1)  # y down
    c, s = math.cos(tilt), math.sin(tilt)
    below = y * c - s  # how far a ray falls for a unit along the view
    near = [below.clamp(min=0) / DEEP, (below + STANDING).clamp(0, STANDING) / STANDING * STANDS]
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    turns = [(-(c + y * s + x * x * c), x * (s - y * c)), (x * y, 1 + y * y)]
    forward = [(way[0] * x * c * inverse, way[0] * (y * c + s) * inverse) for inverse in (one, *near)]
    aside = [(-way[1] * inverse, zero) for inverse in near]
    return focal * torch.stack([torch.stack(part, -1) for part in (*turns, *forward, *aside)])
