"""The estimator of signs held against real footage whose camera's path was measured, forwards and backwards.

A clip is a folder as KITTI's odometry benchmark has them: frames in one folder of pictures, and `poses.txt` with twelve
numbers a frame, camera to world (x to the right, y down, z ahead). The importer of such poses does not help here: it
makes keys that are held or not, and here it counts how far the camera moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.scoring.calibration import LEAST, added, metered, shares
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.scores import protocol
from comfyui_matrixgame.scores.measures.signs import Signs, count_signs
from comfyui_matrixgame.scores.motion.camera import AXES
from comfyui_matrixgame.variants import frames_of_blocks

HEIGHT, WIDTH = 352, 640
PART = 0.25  # share of the whole way: less of it, such as sideways in a bend, does not count as a motion


def frames_and_poses(clip: Path) -> tuple[Tensor, NDArray[np.float64]]:
    """8-bit frames [N, 352, 640, 3], cut to their middles, and poses [N, 3, 4]. Raises MatrixGameError."""
    pictures = sorted(clip.glob("*/*.png"))
    try:
        poses = np.loadtxt(clip / "poses.txt", ndmin=2).reshape(-1, 3, 4)
    except (OSError, ValueError) as error:
        raise MatrixGameError(f"{clip} has no poses.txt with twelve numbers a frame: {error}") from None
    if len(pictures) != len(poses):
        raise MatrixGameError(f"{clip} has {len(pictures)} pictures in its folders and {len(poses)} poses.")
    return torch.stack([_middle(path) for path in pictures]), poses


def _middle(path: Path) -> Tensor:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    width = min(picture.width, round(picture.height * WIDTH / HEIGHT))
    left = (picture.width - width) // 2
    cut = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, (left, 0, left + width, picture.height))
    return torch.from_numpy(np.array(cut))


def signs_of_poses(poses: NDArray[np.float64]) -> NDArray[np.int64]:
    """What the camera did in each block, [blocks, 4]: signs of AXES, 0 for hardly any motion. poses: [N, 3, 4]."""
    turns, places = poses[:, :, :3], poses[:, :, 3]
    steps = np.einsum("nji,nj->ni", turns[:-1], np.diff(places, axis=0))  # as the camera sees them
    turned = np.einsum("nji,njk->nik", turns[:-1], turns[1:])
    yaw, pitch = np.arctan2(turned[:, 0, 2], turned[:, 2, 2]), np.arcsin(-turned[:, 1, 2])
    moved, blocks = np.stack([yaw, pitch, steps[:, 2], steps[:, 0]], axis=1), []
    while frames_of_blocks(len(blocks) + 1) <= len(poses):
        start, stop = max(0, frames_of_blocks(len(blocks)) - 1), frames_of_blocks(len(blocks) + 1) - 1
        of_block = moved[start:stop].sum(axis=0)
        least = np.maximum(LEAST, [0, 0, *[PART * float(np.hypot(*of_block[2:]))] * 2])
        blocks.append(np.where(abs(of_block) > least, np.sign(of_block), 0))
    return np.array(blocks, np.int64).reshape(-1, len(AXES))


def of_footage(clips: list[Path]) -> dict[str, Any]:
    """A report: what the estimator finds in each clip, in each played backwards, and in all. Raises MatrixGameError."""
    found: dict[str, dict[str, Signs]] = {}
    for clip in clips:
        frames, poses = frames_and_poses(clip)
        found[f"{clip.name}, forwards"] = count_signs(signs_of_poses(poses), metered(frames).blocks)
        back = metered(frames.flip(0)).blocks
        found[f"{clip.name}, backwards"] = count_signs(signs_of_poses(poses[::-1]), back)
    return {
        "of": "real footage whose camera's path was measured",
        "version": protocol.VERSION,
        "axes": shares(added(found.values())),
        "sets": {name: shares(counts) for name, counts in found.items()},
    }
