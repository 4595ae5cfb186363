"""What stands in a world: a walled garden with towers, trees and low walls, laid out from a seed.

Axes: x east, y north, z up, in units of about a metre. Nothing here draws or moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HALF = 10.0  # the garden reaches from -HALF to HALF in x and y
WALL_HEIGHT = 1.6
WALL_THICKNESS = 0.5

Colour = tuple[float, float, float]

# Outer walls in the order north, east, south, west: a player can tell where they look.
WALL_COLOURS: tuple[Colour, ...] = ((0.76, 0.50, 0.38), (0.80, 0.66, 0.42), (0.52, 0.58, 0.66), (0.58, 0.44, 0.56))
TOWER_COLOURS: tuple[Colour, ...] = (
    (0.83, 0.27, 0.24),
    (0.24, 0.44, 0.78),
    (0.93, 0.72, 0.23),
    (0.90, 0.88, 0.83),
    (0.55, 0.32, 0.66),
    (0.91, 0.51, 0.22),
)
CROWN_COLOURS: tuple[Colour, ...] = ((0.24, 0.50, 0.26), (0.33, 0.57, 0.24), (0.80, 0.48, 0.26))
TRUNK_COLOUR: Colour = (0.42, 0.30, 0.22)
STONE_COLOUR: Colour = (0.70, 0.68, 0.64)


@dataclass(frozen=True)
class Box:
    """An axis-aligned box standing on the ground: centre, half sizes in x and y, height, colour.

    band: width in units of the light and dark bands on its sides (0: plain).
    """

    x: float
    y: float
    half_x: float
    half_y: float
    height: float
    colour: Colour
    band: float = 0.8


@dataclass(frozen=True)
class Cylinder:
    """An upright cylinder standing on the ground."""

    x: float
    y: float
    radius: float
    height: float
    colour: Colour
    band: float = 0.8


@dataclass(frozen=True)
class Ball:
    """A ball with its centre at height z; it is not in a player's way (a crown, a lamp)."""

    x: float
    y: float
    z: float
    radius: float
    colour: Colour


@dataclass(frozen=True)
class Scene:
    """All that can be seen and bumped into, and the phases of ground, hills and clouds."""

    seed: int
    boxes: tuple[Box, ...]
    cylinders: tuple[Cylinder, ...]
    balls: tuple[Ball, ...]
    phases: tuple[float, ...]  # eight angles in radians
    sun: float  # azimuth of the sun in radians, 0 = north, + = towards east


def make_scene(seed: int) -> Scene:
    """The world of a seed; the same seed gives the same world on every machine."""
    rng = np.random.default_rng([seed, 0x5CE9E])
    boxes = list(_outer_walls())
    cylinders: list[Cylinder] = []
    balls: list[Ball] = []
    taken: list[tuple[float, float, float]] = []
    colours = [TOWER_COLOURS[i] for i in rng.permutation(len(TOWER_COLOURS))]
    for i in range(4):  # square towers
        half = float(rng.uniform(0.5, 0.9))
        x, y = _place(rng, taken, half * 1.5)
        boxes.append(Box(x, y, half, half, float(rng.uniform(1.8, 3.2)), colours[i], 0.8))
    for i in range(3):  # round towers with a ball on top
        radius = float(rng.uniform(0.4, 0.7))
        x, y = _place(rng, taken, radius)
        height = float(rng.uniform(1.2, 2.4))
        colour = colours[(4 + i) % len(colours)]
        cylinders.append(Cylinder(x, y, radius, height, colour))
        balls.append(Ball(x, y, height + radius * 0.55, radius * 0.95, TOWER_COLOURS[3]))
    for _ in range(5):  # trees
        x, y = _place(rng, taken, 0.4)
        trunk = float(rng.uniform(0.7, 1.1))
        crown = float(rng.uniform(0.6, 0.95))
        cylinders.append(Cylinder(x, y, 0.16, trunk + 0.2, TRUNK_COLOUR, 0.0))
        balls.append(Ball(x, y, trunk + crown * 0.8, crown, CROWN_COLOURS[int(rng.integers(len(CROWN_COLOURS)))]))
    for _ in range(2):  # low walls
        long, thin = float(rng.uniform(1.2, 2.2)), 0.2
        half_x, half_y = (long, thin) if rng.random() < 0.5 else (thin, long)
        x, y = _place(rng, taken, long)
        boxes.append(Box(x, y, half_x, half_y, 0.55, STONE_COLOUR, 0.8))
    phases = tuple(float(p) for p in rng.uniform(0, 2 * np.pi, 8))
    return Scene(seed, tuple(boxes), tuple(cylinders), tuple(balls), phases, float(rng.uniform(0, 2 * np.pi)))


def _outer_walls() -> tuple[Box, ...]:
    t, far = WALL_THICKNESS / 2, HALF + WALL_THICKNESS / 2
    north, east, south, west = WALL_COLOURS
    return (
        Box(0, far, far + t, t, WALL_HEIGHT, north, 2.5),
        Box(far, 0, t, far + t, WALL_HEIGHT, east, 2.5),
        Box(0, -far, far + t, t, WALL_HEIGHT, south, 2.5),
        Box(-far, 0, t, far + t, WALL_HEIGHT, west, 2.5),
    )


def _place(rng: np.random.Generator, taken: list[tuple[float, float, float]], radius: float) -> tuple[float, float]:
    """A free place: a way wide enough to walk is left around everything, as far as there is room."""
    best, best_gap = (0.0, 0.0), -np.inf
    for _ in range(40):
        x, y = (float(v) for v in rng.uniform(-HALF + 1.8, HALF - 1.8, 2))
        gap = min((np.hypot(x - ox, y - oy) - radius - r for ox, oy, r in taken), default=np.inf)
        if gap > best_gap:
            best, best_gap = (x, y), gap
        if gap > 1.6:
            break
    taken.append((*best, radius))
    return best
