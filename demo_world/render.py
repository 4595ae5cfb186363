"""Draws a scene: one ray per sample, cast against every object, on any torch device.

No randomness and no state: the same scene and pose give the same picture.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .scene import HALF, Ball, Box, Cylinder, Scene

Thing = Box | Cylinder | Ball

FOV = math.radians(78.0)  # horizontal
EYE = 0.75
FOG = 26.0  # distance at which two thirds of a colour are gone
HAZE = (0.80, 0.86, 0.90)
ZENITH = (0.30, 0.53, 0.82)
GRASS = ((0.46, 0.62, 0.30), (0.34, 0.51, 0.25))
SAND = (0.80, 0.71, 0.50)
HILL = ((0.52, 0.62, 0.68), (0.42, 0.56, 0.52))
FAR = 1e4
CHUNK_CPU, CHUNK_GPU = 60_000, 16_000_000  # rays at a time: fits a CPU's cache, bounds a GPU's memory
TEXTURE = 400  # texels along the ground
WIDEST = math.radians(60.0)


class Rays(NamedTuple):
    """Where rays start (x, y; all at the height of the eye) and where they go; each [R]."""

    x: Tensor
    y: Tensor
    dx: Tensor
    dy: Tensor
    dz: Tensor


def render(scene: Scene, poses: Tensor, height: int, width: int, samples: int = 2) -> Tensor:
    """Pictures [N, H, W, 3] (uint8) seen from poses [N, 4] (x, y, yaw, pitch; float32, radians).

    samples: rays per pixel in each direction; 1 is quickest, 2 smooths the edges.
    """
    rays = _camera_rays(height * samples, width * samples, poses.device)  # [h*w, 3]
    ground = _ground_texture(scene, poses.device)
    per_chunk = max(1, (CHUNK_CPU if poses.device.type == "cpu" else CHUNK_GPU) // len(rays))
    pictures = []
    for part in poses.split(per_chunk):
        colour = _trace(scene, ground, part, rays)  # [n, h*w, 3]
        colour = colour.view(len(part), height, samples, width, samples, 3).mean(dim=(2, 4))
        pictures.append((colour.clamp(0, 1) * 255).round().to(torch.uint8))
    return torch.cat(pictures)


def _camera_rays(h: int, w: int, device: torch.device) -> Tensor:
    """Directions (right, forward, up) of the samples of a level camera; [h*w, 3], not normalised."""
    scale = math.tan(FOV / 2)
    across = ((torch.arange(w, device=device) + 0.5) / w * 2 - 1) * scale
    down = ((torch.arange(h, device=device) + 0.5) / h * 2 - 1) * scale * h / w
    right, up = torch.meshgrid(across, -down, indexing="xy")
    return torch.stack([right, torch.ones_like(right), up], dim=-1).view(-1, 3)


def _trace(scene: Scene, ground: Tensor, poses: Tensor, rays: Tensor) -> Tensor:
    """Colours [n, h*w, 3]: first what each ray hits, then each thing's colour on its own rays only."""
    n, m = len(poses), len(rays)
    yaw, pitch = poses[:, 2:3], poses[:, 3:4]
    right, forward, up = rays.unbind(-1)
    level = forward * torch.cos(pitch) - up * torch.sin(pitch)
    dz = forward * torch.sin(pitch) + up * torch.cos(pitch)
    dx = level * torch.sin(yaw) + right * torch.cos(yaw)
    dy = level * torch.cos(yaw) - right * torch.sin(yaw)
    norm = torch.rsqrt(dx * dx + dy * dy + dz * dz)
    at = Rays(*(v.expand(n, m).reshape(-1) for v in (poses[:, 0:1], poses[:, 1:2], dx * norm, dy * norm, dz * norm)))

    depth = torch.where(at.dz < -1e-4, -EYE / at.dz.clamp(max=-1e-4), FAR)
    owner = torch.where(at.dz < -1e-4, -1, -2).to(torch.int16)  # -2 sky, -1 ground, else a thing
    things = [t for t in (*scene.boxes, *scene.cylinders, *scene.balls) if _in_view(t, poses)]
    for i, thing in enumerate(things):
        hit = HITS[type(thing)](thing, at)
        nearer = hit < depth
        depth = torch.where(nearer, hit, depth)
        owner = owner.masked_fill(nearer, i)

    colour = torch.empty(n * m, 3, device=poses.device)
    for i in range(-2, len(things)):
        mine = (owner == i).nonzero().squeeze(1)
        if len(mine) == 0:
            continue
        part, away = Rays(*(v[mine] for v in at)), depth[mine]
        if i == -2:
            colour[mine] = _sky(scene, part.dx, part.dy, part.dz)
            continue
        shade = _ground(ground, part, away) if i == -1 else SHADES[type(things[i])](things[i], scene.sun, part, away)
        colour[mine] = _mix(shade, _rgb(HAZE, shade), (1 - torch.exp(-away / FOG))[:, None])
    return colour.view(n, m, 3)


def _in_view(thing: Thing, poses: Tensor) -> bool:
    """Whether any of the cameras may see the thing; errs on the side of yes."""
    reach = math.hypot(thing.half_x, thing.half_y) if isinstance(thing, Box) else thing.radius
    x, y, yaw, _ = poses.unbind(1)
    rx, ry = thing.x - x, thing.y - y
    ahead = rx * torch.sin(yaw) + ry * torch.cos(yaw)
    aside = (rx * torch.cos(yaw) - ry * torch.sin(yaw)).abs()
    # half of the widest view: a tilted camera sees up to about 57 degrees aside in its corners
    off = aside * math.cos(WIDEST) - ahead * math.sin(WIDEST)
    return bool(((off < reach) & (ahead > -reach)).any())


def _sky(scene: Scene, dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
    up = dz.clamp(min=0)
    azimuth = torch.atan2(dx, dy)
    p = scene.phases
    colour = _mix(_rgb(HAZE, dx), _rgb(ZENITH, dx), (1 - torch.exp(-3.2 * up))[..., None])
    flat = 1 / (up + 0.25)  # clouds lie on a plane high above
    cx, cy = dx * flat, dy * flat
    cloud = torch.sin(1.9 * cx + p[0]) * torch.sin(1.6 * cy + p[1]) + 0.5 * torch.sin(3.1 * (cx + cy) + p[2])
    cloud = _smooth(0.1, 0.9, cloud) * _smooth(0.05, 0.3, up) * 0.75
    colour = _mix(colour, _rgb((0.98, 0.98, 0.97), dx), cloud[..., None])
    sun = math.sin(scene.sun) * 0.85 * dx + math.cos(scene.sun) * 0.85 * dy + 0.53 * dz
    colour = _mix(colour, _rgb((1.0, 0.95, 0.80), dx), (_smooth(0.90, 1.0, sun) * 0.6)[..., None])
    for i, tint in enumerate(HILL):  # two rows of hills at the horizon
        k, low = (3 - i, 0.10 - 0.05 * i)
        ridge = low + 0.035 * torch.sin(k * azimuth + p[3 + i]) + 0.02 * torch.sin((2 * k + 1) * azimuth + p[5 + i])
        colour = _mix(colour, _rgb(tint, dx), _smooth(-0.012, 0.012, ridge - dz)[..., None])
    return colour


@lru_cache(maxsize=4)
def _ground_texture(scene: Scene, device: torch.device) -> Tensor:
    """The ground seen from above, [1, 5, N, N]: two tones of colour pattern in the last two, shadows in all.

    Channels: colour without the fine pattern (3), strength of the pattern on it (1), shadow (1).
    """
    side = torch.linspace(-HALF, HALF, TEXTURE, device=device)
    gy, gx = torch.meshgrid(side, side, indexing="ij")
    p = scene.phases
    tiles = torch.tanh(3 * torch.sin(gx * 1.6 + p[6]) * torch.sin(gy * 1.6 + p[7]))
    bend = gy - 2.2 * torch.sin(0.35 * gx + p[0])  # a sandy way through the garden
    grass = _smooth(0.8, 1.15, bend.abs())
    mean = _mix(_rgb(GRASS[0], gx), _rgb(GRASS[1], gx), torch.tensor(0.5, device=device))
    colour = _mix(_rgb(SAND, gx), mean, grass[..., None])
    shadow = torch.ones_like(gx)
    for b in scene.boxes:
        ox, oy = ((gx - b.x).abs() - b.half_x).clamp(min=0), ((gy - b.y).abs() - b.half_y).clamp(min=0)
        shadow = torch.minimum(shadow, 0.55 + 0.45 * _smooth(0.0, 0.8, torch.hypot(ox, oy)))
    for c in scene.cylinders:
        away = torch.hypot(gx - c.x, gy - c.y) - c.radius
        shadow = torch.minimum(shadow, 0.6 + 0.4 * _smooth(0.0, 0.7, away))
    return torch.cat([colour, (tiles * grass)[..., None], shadow[..., None]], dim=-1).permute(2, 0, 1)[None]


def _ground(texture: Tensor, at: Rays, depth: Tensor) -> Tensor:
    place = torch.stack([at.x + at.dx * depth, at.y + at.dy * depth], dim=-1) / HALF
    texels = F.grid_sample(texture, place[None, None], padding_mode="border", align_corners=True)[0, :, 0].T  # [R, 5]
    fade = torch.exp(-depth / 9.0) * texels[:, 3]  # the pattern gets finer than a pixel far away
    half = (_rgb(GRASS[1], depth) - _rgb(GRASS[0], depth)) / 2
    return (texels[:, :3] + half * fade[:, None]) * texels[:, 4:5]


def _hit_box(b: Box, at: Rays) -> Tensor:
    near, far = _slabs(b, at)[3:]
    return torch.where((near < far) & (near > 1e-3), near, FAR)


def _slabs(b: Box, at: Rays) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Where rays enter the three pairs of planes, and the box's own entry and exit."""
    near_x, far_x = _between(b.x - b.half_x - at.x, b.x + b.half_x - at.x, at.dx)
    near_y, far_y = _between(b.y - b.half_y - at.y, b.y + b.half_y - at.y, at.dy)
    near_z, far_z = _between(-EYE, b.height - EYE, at.dz)
    near = torch.maximum(torch.maximum(near_x, near_y), near_z)
    return near_x, near_y, near_z, near, torch.minimum(torch.minimum(far_x, far_y), far_z)


def _shade_box(b: Box, sun: float, at: Rays, depth: Tensor) -> Tensor:
    near_x, _, near_z, near, _ = _slabs(b, at)
    on_x, on_z = near_x >= near, near_z >= near
    light_x = _lambert(-torch.sign(at.dx) * math.sin(sun))
    light_y = _lambert(-torch.sign(at.dy) * math.cos(sun))
    light = torch.where(on_z, 1.05, torch.where(on_x, light_x, light_y))
    if b.band:
        along = torch.where(on_x, at.y + at.dy * depth, at.x + at.dx * depth)
        tone = 1 + 0.13 * _stripes(along, b.band) * torch.exp(-depth / 12)
        light = light * torch.where(on_z, 1.0, tone)
    light = light * _foot(EYE + at.dz * depth)
    return _rgb(b.colour, light) * light[:, None]


def _hit_cylinder(c: Cylinder, at: Rays) -> Tensor:
    ox, oy = at.x - c.x, at.y - c.y
    a = at.dx * at.dx + at.dy * at.dy
    half_b = ox * at.dx + oy * at.dy
    root = half_b * half_b - a * (ox * ox + oy * oy - c.radius**2)
    side = (-half_b - root.clamp(min=0).sqrt()) / a.clamp(min=1e-6)
    z = EYE + at.dz * side
    on_side = (root > 0) & (side > 1e-3) & (z > 0) & (z < c.height)
    top = (c.height - EYE) / torch.where(at.dz.abs() < 1e-6, 1e-6, at.dz)
    tx, ty = ox + at.dx * top, oy + at.dy * top
    on_top = (top > 1e-3) & (tx * tx + ty * ty < c.radius**2)
    return torch.where(on_side, side, torch.where(on_top, top, FAR))


def _shade_cylinder(c: Cylinder, sun: float, at: Rays, depth: Tensor) -> Tensor:
    nx, ny = (at.x + at.dx * depth - c.x) / c.radius, (at.y + at.dy * depth - c.y) / c.radius
    z = EYE + at.dz * depth
    on_top = z > c.height - 1e-3
    facing = (nx * math.sin(sun) + ny * math.cos(sun)).clamp(-1, 1)
    tone = 1 + 0.12 * _stripes(z, c.band) * torch.exp(-depth / 12) if c.band else 1.0
    light = torch.where(on_top, 1.05, _lambert(facing) * tone) * _foot(z)
    return _rgb(c.colour, light) * light[:, None]


def _hit_ball(b: Ball, at: Rays) -> Tensor:
    ox, oy, oz = at.x - b.x, at.y - b.y, EYE - b.z
    half_b = ox * at.dx + oy * at.dy + oz * at.dz
    root = half_b * half_b - (ox * ox + oy * oy + oz * oz - b.radius**2)
    near = -half_b - root.clamp(min=0).sqrt()
    return torch.where((root > 0) & (near > 1e-3), near, FAR)


def _shade_ball(b: Ball, sun: float, at: Rays, depth: Tensor) -> Tensor:
    nx, ny = (at.x + at.dx * depth - b.x) / b.radius, (at.y + at.dy * depth - b.y) / b.radius
    nz = (EYE + at.dz * depth - b.z) / b.radius
    facing = 0.7 * (nx * math.sin(sun) + ny * math.cos(sun)) + 0.6 * nz
    light = _lambert(facing.clamp(-1, 1))
    return _rgb(b.colour, light) * light[:, None]


HITS = {Box: _hit_box, Cylinder: _hit_cylinder, Ball: _hit_ball}
SHADES = {Box: _shade_box, Cylinder: _shade_cylinder, Ball: _shade_ball}


def _lambert(facing: Tensor) -> Tensor:
    """Brightness of a side that faces the sun with this cosine: never dark, never burnt."""
    return 0.80 + 0.24 * facing


def _foot(z: Tensor) -> Tensor:
    """Things are a little darker where they meet the ground."""
    return 0.72 + 0.28 * _smooth(0.0, 0.6, z)


def _stripes(at: Tensor, width: float) -> Tensor:
    return torch.tanh(4 * torch.sin(at * (math.pi / width)))


def _between(low: Tensor | float, high: Tensor | float, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Distances at which rays enter and leave the space between two planes."""
    inverse = 1 / torch.where(direction.abs() < 1e-6, 1e-6, direction)
    a, b = low * inverse, high * inverse
    return torch.minimum(a, b), torch.maximum(a, b)


def _smooth(low: float, high: float, value: Tensor) -> Tensor:
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _mix(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return a + (b - a) * t


def _rgb(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32, device=like.device)
