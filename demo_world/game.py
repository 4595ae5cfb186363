"""The game's rules: where a player stands, how inputs move them, what they bump into.

25 frames a second. Input row t is what is held while frame t is on screen; it first acts on frame t + 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.variants import UNIVERSAL

from .render import render
from .scene import HALF, Scene, make_scene

RADIUS = 0.4  # of the player, for collisions
SPEED = 0.1  # units a frame: 2.5 units a second
PITCH_LIMIT = np.radians(35.0)


@dataclass(frozen=True)
class Pose:
    """Where a player stands and looks: x, y in units; yaw 0 is north, + to the right; pitch + is up (radians)."""

    x: float
    y: float
    yaw: float
    pitch: float = 0.0


def spawn(scene: Scene, seed: int = 0) -> Pose:
    """A free place with some view, the same for the same scene and seed."""
    rng = np.random.default_rng([scene.seed, seed, 0x5BA])
    best, best_room = Pose(0.0, 0.0, 0.0), -np.inf
    for _ in range(24):
        x, y = (float(v) for v in rng.uniform(-HALF + 1.5, HALF - 1.5, 2))
        yaw = float(rng.uniform(-np.pi, np.pi))
        if distance_to_things(scene, x, y) < RADIUS + 0.3:
            continue
        ahead = np.arange(0.5, 4.0, 0.5)
        room = sum(distance_to_things(scene, x + a * np.sin(yaw), y + a * np.cos(yaw)) > 0 for a in ahead)
        if room > best_room:
            best, best_room = Pose(x, y, yaw), room
        if room == len(ahead):
            break
    return best


def distance_to_things(scene: Scene, x: float, y: float) -> float:
    """Distance in the ground plane to the nearest thing one can bump into; negative inside it."""
    nearest = np.inf
    for b in scene.boxes:
        dx, dy = abs(x - b.x) - b.half_x, abs(y - b.y) - b.half_y
        outside = np.hypot(max(dx, 0.0), max(dy, 0.0))
        nearest = min(nearest, outside if outside > 0 else max(dx, dy))
    for c in scene.cylinders:
        nearest = min(nearest, np.hypot(x - c.x, y - c.y) - c.radius)
    return float(nearest)


def step(scene: Scene, pose: Pose, keys: NDArray[np.float32], camera: NDArray[np.float32]) -> Pose:
    """The pose one frame later. keys: [4] W S A D; camera: [2] `[pitch, yaw]`, 0.1 = 1.5 degrees.

    The camera turns first, then the player walks in the new direction and slides along what is in the way.
    """
    unit = np.radians(UNIVERSAL.camera.unit)
    yaw = float((pose.yaw + camera[1] * unit + np.pi) % (2 * np.pi) - np.pi)
    pitch = float(np.clip(pose.pitch + camera[0] * unit, -PITCH_LIMIT, PITCH_LIMIT))
    forward, right = float(keys[0] - keys[1]), float(keys[3] - keys[2])
    length = np.hypot(forward, right)
    if length == 0:
        return Pose(pose.x, pose.y, yaw, pitch)
    forward, right = SPEED * forward / length, SPEED * right / length
    dx = forward * np.sin(yaw) + right * np.cos(yaw)
    dy = forward * np.cos(yaw) - right * np.sin(yaw)
    x, y = pose.x, pose.y
    for mx, my in ((dx, dy), (dx, 0.0), (0.0, dy)):
        if distance_to_things(scene, x + mx, y + my) >= RADIUS:
            return Pose(float(x + mx), float(y + my), yaw, pitch)
    return Pose(x, y, yaw, pitch)


def walk(scene: Scene, start: Pose, track: ActionTrack, frames: int | None = None) -> list[Pose]:
    """Poses of frames 0..frames-1 (default: all rows of the track and one more frame)."""
    frames = len(track) + 1 if frames is None else frames
    assert track.mouse is not None  # the universal variant has a camera
    poses = [start]
    for t in range(frames - 1):
        poses.append(step(scene, poses[-1], track.keyboard[t], track.mouse[t]))
    return poses


@dataclass(frozen=True)
class Game:
    """One world with a player in it. A value: `after` gives the game one frame later."""

    scene: Scene
    pose: Pose

    @staticmethod
    def new(seed: int, place: int = 0) -> Game:
        scene = make_scene(seed)
        return Game(scene, spawn(scene, place))

    def after(self, keys: NDArray[np.float32], camera: NDArray[np.float32]) -> Game:
        return replace(self, pose=step(self.scene, self.pose, keys, camera))

    def frame(self, height: int, width: int, samples: int = 2) -> NDArray[np.uint8]:
        """What the player sees: [H, W, 3], 8 bits."""
        return render(self.scene, poses_array([self.pose]), height, width, samples)[0].numpy()


def poses_array(poses: list[Pose]) -> torch.Tensor:
    """[N, 4] float32: x, y, yaw, pitch."""
    return torch.tensor([[p.x, p.y, p.yaw, p.pitch] for p in poses], dtype=torch.float32)


def play(
    seed: int,
    track: ActionTrack,
    frames: int,
    height: int,
    width: int,
    *,
    place: int = 0,
    device: str = "cpu",
    samples: int = 2,
) -> tuple[torch.Tensor, list[Pose]]:
    """Frames [N, H, W, 3] (uint8, on `device`) and poses of a player who spawns in world `seed`.

    place: which of the world's starting places, drawn from this number.
    """
    if track.variant != UNIVERSAL:
        raise ValueError(f"The game takes the inputs of {UNIVERSAL.name}, not of {track.variant.name}.")
    scene = make_scene(seed)
    poses = walk(scene, spawn(scene, place), track, frames)
    return render(scene, poses_array(poses).to(device), height, width, samples), poses
