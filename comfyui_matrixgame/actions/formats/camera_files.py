"""Camera paths as other programs store them: KITTI, TUM, EuRoC, COLMAP, NeRF's transforms.json and HY-WorldPlay's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ActionError
from ...system.words import counted
from ...variants import FPS, FRAMES_PER_LATENT, Variant
from .imported import Imported
from .poses import MAX_POSES, Numbers, track_of_poses
from .tables import MAX_COMMENTS, lines_of, more_lines_than

KITTI, TUM = 12, 8  # values in a line
COLMAP = 10  # words in the first of the two lines of an image
_EUROC = "q_RS_w"  # a column that its first line names
_EUROC_CAMERA = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""The camera's axes in those of the IMU, as EuRoC's cam0 is mounted, to a degree and a half."""
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # y up and z backward, as NeRF has its cameras
_NO_RATE = f"The path says no times, so {FPS} poses a second were taken."


def read_kitti(text: str, variant: Variant) -> Imported:
    """KITTI's odometry poses: a line for each frame, the 12 values of a camera-to-world matrix [3, 4]."""
    return _imported(_rows(text, KITTI).reshape(-1, 3, 4), variant, note=_NO_RATE)


def read_tum(text: str, variant: Variant) -> Imported:
    """TUM's trajectories: `time tx ty tz qx qy qz qw` in seconds, camera to world."""
    table = _rows(text, TUM)
    return _timed(table[:, 0], _poses(_rotations(table[:, 4:]), table[:, 1:4]), variant)


def read_euroc(text: str, variant: Variant) -> Imported:
    """EuRoC's and TUM-VI's ground truth: `timestamp, p_RS_R_x .. z, q_RS_w, .. x .. z, ...`, in nanoseconds, IMU to
    world."""
    table = _rows("\n".join(" ".join(line.split(",", TUM)[:TUM]) for line in lines_of(text)), TUM)
    poses = _poses(_rotations(table[:, [5, 6, 7, 4]]) @ _EUROC_CAMERA, table[:, 1:4])
    note = "Its poses are the IMU's; the camera is taken to be mounted as EuRoC's cam0 is."
    return _timed((table[:, 0] - table[:1, 0]) / 1e9, poses, variant, note)


def read_colmap(text: str, variant: Variant) -> Imported:
    """COLMAP's images.txt, in the order of the pictures' names: `IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`, world
    to camera, and a line of the picture's points, which may be empty."""
    images: list[tuple[str, str]] = []
    lines = enumerate(lines_of(text), 1)
    for number, line in lines:
        words = line.split(maxsplit=COLMAP - 1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < COLMAP:
            raise ActionError(f"Line {number} of the camera path has {counted(len(words), 'word')}, expected {COLMAP}.")
        if len(images) == MAX_POSES:
            raise ActionError(f"The camera path has more than {MAX_POSES} poses; split it.")
        images.append((words[-1], " ".join(words[1:8])))
        next(lines, None)
    images.sort(key=lambda image: _in_order(image[0]))
    table = _rows("\n".join(pose for _, pose in images), 7)
    rotations = _rotations(table[:, [1, 2, 3, 0]]).transpose(0, 2, 1)
    return _imported(_poses(rotations, -(rotations @ table[:, 4:, None])[..., 0]), variant, note=_NO_RATE)


def read_transforms(data: Mapping[str, Any], variant: Variant) -> Imported:
    """NeRF's transforms.json: `frames` with `transform_matrix`, camera to world, x right, y up, z backward.

    In the order of the pictures' names where each has one, else as they stand.
    """
    frames = data["frames"]
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise ActionError("The camera path needs frames with a transform_matrix each.")
    names = [frame.get("file_path") for frame in frames]
    if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        frames = sorted(frames, key=lambda frame: _in_order(frame["file_path"]))
    poses = _matrices([frame.get("transform_matrix") for frame in frames]) @ _OPENGL
    fps, note = _rate(data)
    return _imported(poses, variant, fps, note=note)


def read_pose_frames(data: Mapping[str, Any], variant: Variant) -> Imported:
    """Frames "0", "1" ... with a matrix each. `extrinsic`: HY-WorldPlay's camera to world of a latent frame, which is
    4 rows here; `w2c`, `c2w`: of a frame of the video."""
    frames = [data[name] for name in sorted((n for n in data if re.fullmatch(r"[0-9]{1,9}", n)), key=int)]
    if not frames or not isinstance(frames[0], dict):
        raise ActionError('The camera path needs poses called "0", "1", ... with a matrix each.')
    kind = next((name for name in ("extrinsic", "w2c", "c2w") if name in frames[0]), "")
    poses = _matrices([frame.get(kind) if isinstance(frame, dict) else None for frame in frames])
    if kind == "extrinsic":
        note = f"Its poses are those of latent frames: {FRAMES_PER_LATENT} rows each."
        return _imported(poses, variant, FPS / FRAMES_PER_LATENT, note=note)
    if kind == "w2c":
        try:
            poses = np.linalg.inv(poses)
        except np.linalg.LinAlgError:
            raise ActionError("The camera path has a matrix that cannot be inverted.") from None
    fps, note = _rate(data)
    return _imported(poses, variant, fps, note=note)


def pose_kind(lines: Sequence[str]) -> str:
    """`kitti`, `tum` or `realestate` for stripped lines of as many numbers as those have, `colmap` for its words and
    `euroc` for its heading; else nothing."""
    if lines and lines[0].startswith("#") and _EUROC in lines[0]:
        return "euroc"
    lines = [line for line in lines if not line.startswith("#")][:2]
    counts = [_count(line) for line in lines]
    if 19 in counts:
        return "realestate"
    words = lines[0].split(maxsplit=COLMAP - 1) if lines else []
    if len(words) == COLMAP and _count(" ".join(words[:-1])) and not _count(words[-1]) and "." in words[-1]:
        return "colmap"
    return {KITTI: "kitti", TUM: "tum"}.get(counts[0], "") if counts else ""


def _count(line: str) -> int:
    """How many numbers a line has; 0 where it has anything else."""
    words = line.split(maxsplit=20)
    try:
        return len([float(word) for word in words])
    except ValueError:
        return 0


def _timed(times: Numbers, poses: Numbers, variant: Variant, note: str = "") -> Imported:
    """Poses [T, 4, 4] at times [T] in seconds."""
    if not (np.diff(times) > 0).all():
        note = f"{note} The path's times do not grow, so {FPS} poses a second were taken.".lstrip()
        return _imported(poses, variant, note=note)
    return _imported(poses, variant, times=times, note=note)


def _imported(
    poses: NDArray[Any], variant: Variant, fps: float = FPS, times: Numbers | None = None, note: str = ""
) -> Imported:
    track, report = track_of_poses(poses, variant, fps, times)
    return Imported(track, (*([note] if note else []), str(report)))


def _rows(text: str, width: int) -> Numbers:
    """Lines of `width` numbers as [T, width]; lines with # are comments."""
    if more_lines_than(text, MAX_POSES + MAX_COMMENTS):
        raise ActionError(f"The camera path has more than {MAX_POSES} poses; split it.")
    rows = []
    for number, line in enumerate(lines_of(text), 1):
        words = line.split(maxsplit=width)
        if not words or words[0].startswith("#"):
            continue
        if len(rows) == MAX_POSES:
            raise ActionError(f"The camera path has more than {MAX_POSES} poses; split it.")
        try:
            row = [float(word) for word in words]
        except ValueError:
            raise ActionError(f"Line {number} of the camera path has a value that is not a number.") from None
        if len(row) != width:
            raise ActionError(f"Line {number} of the camera path has {counted(len(row), 'value')}, expected {width}.")
        rows.append(row)
    table = np.array(rows).reshape(-1, width)
    if not np.isfinite(table).all():
        raise ActionError("The camera path has a value that is not a number.")
    return table


def _matrices(values: list[Any]) -> Numbers:
    """Matrices of JSON [N, 4, 4]; a last row that is left out is filled in."""
    if len(values) > MAX_POSES:
        raise ActionError(f"The camera path has more than {MAX_POSES} poses; split it.")
    try:
        poses = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise ActionError("The camera path has a matrix that is not one of 4 x 4 numbers.") from None
    if poses.ndim != 3 or poses.shape[1:] not in ((4, 4), (3, 4)) or not np.isfinite(poses).all():
        raise ActionError("The camera path has a matrix that is not one of 4 x 4 numbers.")
    out = np.tile(np.eye(4), (len(poses), 1, 1))
    out[:, :3] = poses[:, :3]
    return out


def _rate(data: Mapping[str, Any]) -> tuple[float, str]:
    fps = data.get("fps")
    if fps is None:
        return FPS, _NO_RATE
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 1 <= fps <= 1000:
        raise ActionError(f"The fps of a camera path is a number from 1 to 1000, got {str(fps)[:40]}.")
    return float(fps), ""


def _in_order(name: str) -> list[tuple[int, str]]:
    """Names with numbers in the order of the numbers: frame_2 before frame_10."""
    parts = re.split(r"([0-9]{1,100})", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _poses(rotations: Numbers, places: Numbers) -> Numbers:
    """Rotations [N, 3, 3] and places [N, 3] as poses [N, 4, 4]."""
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotations, places
    return poses


def _rotations(quaternions: Numbers) -> Numbers:
    """Quaternions [N, 4] (x, y, z, w) of any length as rotations [N, 3, 3]. Raises ActionError for those of none."""
    with np.errstate(over="ignore"):
        sizes = np.linalg.norm(quaternions, axis=1, keepdims=True)
    if not ((sizes > 1e-6) & (sizes < 1e6)).all():
        raise ActionError("The camera path has a quaternion of zeros, or one that is no rotation.")
    x, y, z, w = (quaternions / sizes).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
