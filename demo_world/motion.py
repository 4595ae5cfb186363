"""How a camera moved between two frames, estimated from the frames alone.

One linear fit over all pixels: brightness stays the same along the flow that turning and walking cause
(Lucas and Kanade's equation with a camera's six, here four, parameters in place of free flow). Turning moves all
pixels alike; walking moves near ones more, and how near a pixel is follows from where it lies: below the horizon
it is ground. What stands on the ground is taken for ground, so the figures are rough, and only their signs are used.
`bench/demo_world.py` measures how often the signs are right on the game's own frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .render import EYE, FOV

BLUR = 1.2  # deviation in pixels at a width of 112: flow must be small against it
REFERENCE_WIDTH = 112
FAR = 9.0  # distance that pixels at and above the horizon are taken for
RIDGE = 1e-4


@dataclass(frozen=True)
class Motion:
    """Mean motion per frame: yaw and pitch in degrees (+ right, up), forward and right in units."""

    yaw: float
    pitch: float
    forward: float
    right: float


def estimate_motion(frames: Tensor, pitch: float = 0.0) -> Motion:
    """Mean motion over consecutive frames [N, H, W, 3] (uint8, N >= 2); pitch in radians: where the horizon is."""
    grey = _smooth(frames)  # [N, H, W]
    before, after = grey[:-1], grey[1:]
    middle = (before + after) / 2
    gx = (torch.roll(middle, -1, 2) - torch.roll(middle, 1, 2)) / 2
    gy = (torch.roll(middle, -1, 1) - torch.roll(middle, 1, 1)) / 2
    flow = _flow_basis(frames.shape[1], frames.shape[2], pitch)  # [4, 2, H, W]
    rows = gx[:, None] * flow[None, :, 0] + gy[:, None] * flow[None, :, 1]  # [N-1, 4, H, W]
    change = before - after
    margin = max(2, frames.shape[2] // 28)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    a = rows[inner].permute(0, 2, 3, 1).reshape(-1, 4).double()
    b = change[inner].reshape(-1).double()
    weight = 1 / (1 + (b.abs() / 0.05))  # what appears or vanishes does not follow the flow
    gram = a.T @ (a * weight[:, None]) + RIDGE * torch.eye(4, dtype=torch.float64) * len(a) * 1e-3
    yaw, tilt, forward, right = torch.linalg.solve(gram, a.T @ (b * weight)).tolist()
    return Motion(math.degrees(yaw), math.degrees(tilt), forward, right)


def _smooth(frames: Tensor) -> Tensor:
    grey = frames.float().mean(dim=-1) / 255  # [N, H, W]
    sigma = BLUR * frames.shape[2] / REFERENCE_WIDTH
    reach = math.ceil(2.5 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    x = F.pad(grey[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))[:, 0]


def _flow_basis(height: int, width: int, pitch: float) -> Tensor:
    """Flow in pixels [4, 2 (x, y), H, W] of one radian of yaw, of pitch, and one unit forward, right."""
    focal = width / 2 / math.tan(FOV / 2)
    x = (torch.arange(width) + 0.5 - width / 2) / focal
    y = (torch.arange(height) + 0.5 - height / 2) / focal  # down
    y, x = torch.meshgrid(y, x, indexing="ij")
    below = y * math.cos(pitch) - math.sin(pitch)  # how far a ray falls for a unit along the view
    near = torch.clamp(below / EYE, min=1 / FAR)  # 1 / depth along the view
    zero = torch.zeros_like(x)
    c, s = math.cos(pitch), math.sin(pitch)
    flows = (
        (-(c + y * s + x * x * c), x * (s - y * c)),  # yaw to the right about the upright axis
        (x * y, 1 + y * y),  # pitch up
        (x * near * c, (y * c + s) * near),  # forward on the level
        (-near, zero),
    )
    return focal * torch.stack([torch.stack(f) for f in flows])
