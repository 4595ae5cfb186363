"""How far each part of a picture moved between two frames: Lucas and Kanade's method over a pyramid, with torch alone.

Frames are small and grey here (`WIDTH` across) and of even contrast, so that a change of light is no motion. A flow
comes with what the picture could tell: along an edge only the motion across it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

WIDTH = 160
CELL = 8  # pixels across a cell, whose motion is one vector
LEVELS = 4
STEPS = 3  # on each level
REACH = 3  # pixels that a window reaches to each side, twice over
SOFT = 4e-3  # of a structure tensor: less contrast than this tells nothing
LARGEST = 2.0  # pixels of a level that one step may go
EVEN = 9  # pixels over which contrast is made even


@dataclass(frozen=True)
class Flow:
    """Motion of the cells of B pairs of frames, in pixels of `WIDTH`.

    vectors: [B, N, 2] x to the right, y down. known: [B, N, 2, 2] symmetric, eigenvalues 0 (nothing known of that
    direction) to 1. miss: [B, N] grey difference that is left where the motion is undone, in units of the contrast
    around. places: [N, 2] centres of the cells, from the middle of the picture. width: pixels.
    """

    vectors: Tensor
    known: Tensor
    miss: Tensor
    places: Tensor
    width: int


def small_grey(frames: Tensor) -> Tensor:
    """Frames [N, H, W, 3] of 8 bits -> [N, h, `WIDTH`] of even contrast; h is a multiple of a cell."""
    grey = frames.float().mean(dim=-1)[:, None]
    small = _small(grey)
    rest = small - _blur(small, EVEN)
    spread = _blur(rest.square(), EVEN).sqrt()
    return (rest / (spread + 6))[:, 0]  # six grey levels: noise stays noise


def small_colours(frames: Tensor) -> Tensor:
    """Frames [N, H, W, 3] of 8 bits -> [N, 3, h, `WIDTH`] of the same, as large as `small_grey`."""
    return _small(frames.permute(0, 3, 1, 2).float())


def _small(pictures: Tensor) -> Tensor:
    """Pictures [N, C, H, W] -> [N, C, h, `WIDTH`]."""
    height, width = pictures.shape[-2:]
    high = max(2 * CELL, round(WIDTH * height / width / CELL) * CELL)
    return F.interpolate(pictures, (high, WIDTH), mode="bilinear", align_corners=False, antialias=width > WIDTH)


def flow_between(before: Tensor, after: Tensor) -> Flow:
    """Flow between `small_grey` frames [B, h, w] and those some frames later."""
    return cells_of(*dense_flow(before, after))


def dense_flow(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for each pixel: flow [B, 2, h, w], structure tensor [B, 3, h, w] and miss [B, 1, h, w]."""
    pyramid = [(before[:, None], after[:, None])]
    for _ in range(LEVELS - 1):
        if min(pyramid[-1][0].shape[-2:]) < 4 * REACH:
            break
        a, b = (F.avg_pool2d(_soften(x), 2) for x in pyramid[-1])
        pyramid.append((a, b))
    flow = torch.zeros(len(before), 2, *pyramid[-1][0].shape[-2:])
    tensor = miss = flow
    for a, b in reversed(pyramid):
        if flow.shape[-2:] != a.shape[-2:]:
            scale = a.shape[-1] / flow.shape[-1]
            flow = F.interpolate(flow, a.shape[-2:], mode="bilinear", align_corners=False) * scale
        flow, tensor, miss = _level(a, b, flow)
    return flow, tensor, miss


def halfway_pictures(before: Tensor, after: Tensor, flow: Tensor) -> Tensor:
    """Pictures [B, C, h, w] half-way between two, each moved by half the flow [B, 2, h, w] towards the other."""
    grid = _grid(before)
    return (_warp(before, -flow / 2, grid)[0] + _warp(after, flow / 2, grid)[0]) / 2


def _level(a: Tensor, b: Tensor, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One level of the pyramid: better flow [B, 2, h, w], structure tensor [B, 3, h, w], miss [B, 1, h, w]."""
    gx, gy = _slopes(a)
    products = torch.cat([gx * gx, gx * gy, gy * gy], dim=1)
    grid = _grid(a)
    tensor = miss = products
    for _ in range(STEPS):
        moved, inside = _warp(b, flow, grid)
        change = (moved - a) * inside
        tensor = _window(products * inside)
        right = _window(torch.cat([gx * change, gy * change], dim=1))
        xx, xy, yy = tensor[:, 0:1] + SOFT, tensor[:, 1:2], tensor[:, 2:3] + SOFT
        det = xx * yy - xy * xy
        step = torch.cat([yy * right[:, 0:1] - xy * right[:, 1:2], xx * right[:, 1:2] - xy * right[:, 0:1]], 1) / det
        flow = flow - step.clamp(-LARGEST, LARGEST)
    moved, inside = _warp(b, flow, grid)
    miss = _window((moved - a).abs() * inside) + (1 - _window(inside))
    return flow, tensor, miss


def cells_of(flow: Tensor, tensor: Tensor, miss: Tensor) -> Flow:
    """The flow in the middle of each cell, and what its window knew."""
    height, width = flow.shape[-2:]
    vectors, tensors, left = (F.avg_pool2d(x, CELL).flatten(2).transpose(1, 2) for x in (flow, tensor, miss))
    xx, xy, yy = tensors.unbind(-1)
    rows, columns = height // CELL, width // CELL
    y = (torch.arange(rows) + 0.5) * CELL - height / 2
    x = (torch.arange(columns) + 0.5) * CELL - width / 2
    places = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
    s = 4 * SOFT  # known = G (G + s)^-1, in closed form
    det = (xx + s) * (yy + s) - xy * xy
    known = torch.stack([xx * (yy + s) - xy * xy, s * xy, s * xy, yy * (xx + s) - xy * xy], -1) / det[..., None]
    return Flow(vectors, known.unflatten(-1, (2, 2)), left[..., 0], places, width)


def _slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _grid(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    y, x_ = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x_, y]).float()[None]


def _warp(x: Tensor, flow: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    height, width = x.shape[-2:]
    at = grid + flow
    scale = torch.tensor([2 / width, 2 / height]).view(1, 2, 1, 1)
    unit = (at + 0.5) * scale - 1
    moved = F.grid_sample(x, unit.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    inside = (unit.abs() <= 1).all(dim=1, keepdim=True).float()
    return moved, inside


def _window(x: Tensor) -> Tensor:
    return _blur(_blur(x, REACH), REACH)


def _soften(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _blur(x: Tensor, reach: int) -> Tensor:
    reach = min(reach, (min(x.shape[-2:]) - 1) // 2)
    side = 2 * reach + 1
    across = F.avg_pool2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), (1, side), 1)
    return F.avg_pool2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), (side, 1), 1)
