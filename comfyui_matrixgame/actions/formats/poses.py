"""Camera paths as keys and camera turns, and back.

Poses are camera-to-world matrices in the OpenCV convention: x right, y down, z forward. The first pose is taken as
level. A path becomes what a walking player could do: turning by yaw and pitch, and the nearest of the eight ways
that the movement keys allow. What is lost is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ActionError
from ...system.words import counted
from ...variants import FPS, Variant
from ..check_document import MAX_FRAMES
from ..track import ActionTrack
from .arrays import Arrays
from .tables import MAX_COMMENTS, lines_of, more_lines_than

Numbers = NDArray[np.float64]
MAX_POSES = 2 * MAX_FRAMES  # of a path: an hour at 50 a second
FARTHEST = 1e12  # of a position
STILL = 0.25  # of the usual speed: slower than this is standing
POSE_NAMES = ("c2w", "extrinsics_c2w", "cam_c2w", "poses", "camera_to_world")
STEP = 0.05  # length of one row of walking in the poses that a track makes


@dataclass(frozen=True)
class PoseReport:
    """How far the track is from the path.

    yaw_error, pitch_error: largest difference of the heading, degrees. roll: largest roll that was left out, degrees.
    way_error: mean angle between movement and keys, degrees. standing: share of rows without a movement key.
    climb: share of the path's length that goes up or down, which no key does. speed_spread: standard deviation of
    the walking speed, of its mean: keys know one speed.
    """

    yaw_error: float
    pitch_error: float
    roll: float
    way_error: float
    standing: float
    climb: float
    speed_spread: float

    def __str__(self) -> str:
        return (
            f"Heading within {self.yaw_error:.1f} degrees, pitch within {self.pitch_error:.1f}; left out: roll up to "
            f"{self.roll:.1f} degrees, {self.climb:.0%} of the way that climbs; keys point {self.way_error:.0f} "
            f"degrees off on average and know one speed (the path varies by {self.speed_spread:.0%})."
        )


def track_of_poses(poses: Any, variant: Variant, fps: float = FPS, times: Any = None) -> tuple[ActionTrack, PoseReport]:
    """The track that comes nearest to camera-to-world `poses` [N, 4, 4] or [N, 3, 4], one row for each 1/25 s.

    fps: of the poses; times: [N] seconds instead. Row t goes from frame t to t + 1; the last row is idle.
    """
    matrices = _matrices(poses)
    if not variant.mouse:
        raise ActionError(f"{variant.name} has no camera input, so a camera path cannot be followed.")
    seconds = _seconds(times, len(matrices), fps)
    matrices = np.linalg.inv(matrices[0]) @ matrices
    angles = _angles(matrices[:, :3, :3])  # [N, 3] yaw, pitch, roll in degrees
    rows = max(2, round((seconds[-1] - seconds[0]) * FPS) + 1)
    if rows > MAX_FRAMES:
        raise ActionError(f"The path makes {rows} rows, and a track has at most {MAX_FRAMES}.")
    grid = np.arange(rows) / FPS + seconds[0]
    path = np.concatenate([angles, matrices[:, :3, 3]], axis=1)
    path = np.stack([np.interp(grid, seconds, column) for column in path.T], axis=1)  # [T, 6]
    mouse, heading = _turns(path, variant)
    keyboard, moved = _walk(path, variant)
    track = ActionTrack(variant, keyboard, mouse)
    error = np.abs(heading - path[:, [1, 0]]).max(axis=0)
    report = PoseReport(float(error[1]), float(error[0]), float(np.abs(path[:, 2]).max()), *moved)
    return track, report


def _turns(path: Numbers, variant: Variant) -> tuple[NDArray[np.float32], Numbers]:
    """Camera rows [T, 2] that follow the path as fast as is allowed, and the heading [T, 2] they reach (pitch, yaw)."""
    unit = variant.camera.unit
    limit = variant.camera.limit * unit
    mouse = np.zeros((len(path), 2), np.float32)
    heading = np.zeros((len(path), 2))
    for t in range(len(path) - 1):
        wanted = path[t + 1, [1, 0]] - heading[t]
        turn = np.clip(wanted, -limit, limit) * (variant.pitch, 1)
        mouse[t] = turn / unit
        heading[t + 1] = heading[t] + turn
    return mouse, heading


def _walk(path: Numbers, variant: Variant) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    """Keys [T, keys] of the nearest way, and (way_error, standing, climb, speed_spread) of PoseReport."""
    steps = np.diff(path[:, 3:], axis=0)  # [T - 1, 3] x right, y down, z forward, in the first camera
    yaw = np.radians(path[:-1, 0])
    forward = steps[:, 0] * np.sin(yaw) + steps[:, 2] * np.cos(yaw)
    right = steps[:, 0] * np.cos(yaw) - steps[:, 2] * np.sin(yaw)
    speed = np.hypot(forward, right)
    usual = float(np.median(speed[speed > 1e-9])) if (speed > 1e-9).any() else 0.0
    walking = speed > max(STILL * usual, 1e-9)
    keyboard = np.zeros((len(path), len(variant.keys)), np.float32)
    pointing = np.zeros((len(steps), 2))  # forward, right
    for key, part, sign, axis in (("w", forward, 1, 0), ("s", forward, -1, 0), ("d", right, 1, 1), ("a", right, -1, 1)):
        if key in variant.keys:
            on = walking & (sign * part > np.sin(np.radians(22.5)) * speed)
            keyboard[:-1, variant.keys.index(key)] = on
            pointing[on, axis] = sign
    held = walking & pointing.any(axis=1)
    off = np.degrees(np.arctan2(right, forward) - np.arctan2(pointing[:, 1], pointing[:, 0]))
    off = np.abs((off + 180) % 360 - 180)[held]
    length = float(np.linalg.norm(steps, axis=1).sum())
    return keyboard, (
        float(off.mean()) if len(off) else 0.0,
        float(1 - held.mean()),
        float(np.abs(steps[:, 1]).sum() / length) if length > 1e-9 else 0.0,
        float(speed[walking].std() / speed[walking].mean()) if walking.any() else 0.0,
    )


def poses_of_track(track: ActionTrack, step: float = STEP) -> Numbers:
    """Camera-to-world poses [T, 4, 4] of a player who does what the track says, at `step` a row; approximate."""
    count = len(track)
    turns = np.zeros((count, 2)) if track.mouse is None else track.mouse.astype(np.float64)
    heading = np.zeros((count, 2))
    heading[1:] = np.radians(np.cumsum(turns[:-1], axis=0) * track.variant.camera.unit)
    pitch, yaw = heading[:, 0], heading[:, 1]
    keys = {name: track.keyboard[:, i] for i, name in enumerate(track.variant.keys)}
    none = np.zeros(count)
    ahead = keys.get("w", none) - keys.get("s", none)
    aside = keys.get("d", none) - keys.get("a", none)
    scale = step / np.maximum(np.hypot(ahead, aside), 1)
    ahead, aside = ahead * scale, aside * scale
    moves = np.stack([ahead * np.sin(yaw) + aside * np.cos(yaw), none, ahead * np.cos(yaw) - aside * np.sin(yaw)], 1)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = _rotation(yaw, pitch)
    poses[1:, :3, 3] = np.cumsum(moves[:-1], axis=0)
    return poses


def read_poses(path: str | Path, variant: Variant, fps: float = FPS) -> tuple[ActionTrack, PoseReport]:
    """The camera path of an .npz or .npy file with camera-to-world matrices."""
    with Arrays(path) as arrays:
        name = "" if "" in arrays else arrays.first(POSE_NAMES)
        if name is None:
            raise ActionError(f"{Path(path).name} holds {', '.join(arrays.names)[:200]}; the poses must be called c2w.")
        return track_of_poses(arrays.read(name), variant, fps)


def read_realestate(text: str, variant: Variant, fps: float = FPS) -> tuple[ActionTrack, PoseReport]:
    """RealEstate10K text: a line for each frame, `time fx fy cx cy 0 0` and 12 world-to-camera values.

    Times are microseconds; where they do not grow, `fps` counts.
    """
    if more_lines_than(text, MAX_POSES + MAX_COMMENTS):
        raise ActionError(f"The camera path has more than {MAX_POSES} poses; split it.")
    rows = []
    for number, line in enumerate(lines_of(text), 1):
        words = line.split(maxsplit=19)
        if len(rows) > MAX_POSES:
            raise ActionError(f"The camera path has more than {MAX_POSES} poses; split it.")
        if len(words) != 19:
            if number == 1 or not words:
                continue  # the address of the video stands in the first line
            raise ActionError(f"Line {number} of the camera path has {counted(len(words), 'value')}, expected 19.")
        try:
            rows.append([float(word) for word in words])
        except ValueError:
            raise ActionError(f"Line {number} of the camera path has a value that is not a number.") from None
    if len(rows) < 2:
        raise ActionError(
            "The camera path needs two lines or more of 19 values (time, 4 intrinsics, 0 0, 12 of a pose)."
        )
    table = np.array(rows)
    if not np.isfinite(table).all():
        raise ActionError("The camera path has a value that is not a number.")
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3] = table[:, 7:].reshape(-1, 3, 4)
    times = table[:, 0] / 1e6
    return track_of_poses(_inverse(poses), variant, fps, times if (np.diff(times) > 0).all() else None)


def write_realestate(track: ActionTrack) -> str:
    """RealEstate10K text of the poses that a track makes, with the intrinsics of a 90 degree view."""
    lines = ["matrixgame"]
    for t, pose in enumerate(np.linalg.inv(poses_of_track(track))):
        values = " ".join(f"{v:.9f}" for v in pose[:3].ravel())
        lines.append(f"{round(t * 1e6 / FPS)} 0.5 0.909091 0.5 0.5 0 0 {values}")
    return "\n".join(lines) + "\n"


def _matrices(poses: Any) -> Numbers:
    array = np.asarray(poses)
    if array.dtype.kind not in "iuf" or array.ndim != 3 or array.shape[1:] not in ((4, 4), (3, 4)) or len(array) < 2:
        raise ActionError(f"A camera path is an array [N, 4, 4] or [N, 3, 4] of two poses or more, got {array.shape}.")
    out = np.tile(np.eye(4), (len(array), 1, 1))
    out[:, :3] = array[:, :3]
    if not np.isfinite(out).all():
        raise ActionError("The camera path has a value that is not a number.")
    if np.abs(out).max() > FARTHEST:
        raise ActionError("The camera path has a value that is too large to be a place.")
    turned = out[:, :3, :3] @ out[:, :3, :3].transpose(0, 2, 1)
    if np.abs(turned - np.eye(3)).max() > 0.01 or (np.linalg.det(out[:, :3, :3]) < 0).any():
        raise ActionError("The camera path has a matrix that is not a rotation; give camera-to-world poses.")
    return out


def _inverse(poses: Numbers) -> Numbers:
    try:
        return np.linalg.inv(poses).astype(np.float64)
    except np.linalg.LinAlgError:
        raise ActionError("The camera path has a matrix that cannot be inverted.") from None


def _seconds(times: Any, count: int, fps: float) -> Numbers:
    if times is None:
        if not 0 < fps < 1e6:
            raise ActionError(f"The frame rate of a camera path is above 0, got {fps}.")
        return np.arange(count) / fps
    seconds = np.asarray(times, np.float64)
    if seconds.shape != (count,) or not np.isfinite(seconds).all() or not (np.diff(seconds) > 0).all():
        raise ActionError("The times of a camera path must grow, one for each pose.")
    return seconds


def _angles(rotations: Numbers) -> Numbers:
    """Yaw, pitch, roll [N, 3] in degrees of rotations = yaw(about y) pitch(about x) roll(about z); + right and up."""
    forward = rotations[:, :, 2]
    yaw = np.unwrap(np.arctan2(forward[:, 0], forward[:, 2]))
    pitch = np.arcsin(np.clip(-forward[:, 1], -1, 1))
    rest = _rotation(yaw, pitch).transpose(0, 2, 1) @ rotations
    roll = np.arctan2(rest[:, 1, 0], rest[:, 0, 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def _rotation(yaw: Numbers, pitch: Numbers) -> Numbers:
    """Camera-to-world rotations [N, 3, 3] of headings in radians; yaw + is right, pitch + is up."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)
    turn = np.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], axis=1).reshape(-1, 3, 3)
    tilt = np.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], axis=1).reshape(-1, 3, 3)
    return turn @ tilt
