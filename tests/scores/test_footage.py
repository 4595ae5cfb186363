"""Clips with measured poses: what their cameras did, and what the estimator finds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.scoring.footage import HEIGHT, WIDTH, of_footage, signs_of_poses
from comfyui_matrixgame.errors import MatrixGameError

COUNT = 33
STEP = 0.02  # radians a frame


def poses(yaw: float = 0, pitch: float = 0, ahead: float = 0, right: float = 0) -> NDArray[np.float64]:
    """Poses [33, 3, 4] of a camera that turns and goes by this much a frame."""
    made, place = [], np.zeros(3)
    for t in range(COUNT):
        (sy, cy), (sp, cp) = ((math.sin(a * t), math.cos(a * t)) for a in (yaw, pitch))
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        made.append(np.column_stack([turn, place]))
        place = place + turn @ np.array([right, 0, ahead])
    return np.array(made)


@pytest.mark.parametrize(
    ("moves", "signs"),
    [
        ({"yaw": STEP}, (1, 0, 0, 0)), ({"pitch": STEP}, (0, 1, 0, 0)), ({"ahead": -1.0}, (0, 0, -1, 0)),
        ({"right": -1.0}, (0, 0, 0, -1)), ({"yaw": -STEP, "ahead": 1.0}, (-1, 0, 1, 0)),
        ({"ahead": 1.0, "right": 0.1}, (0, 0, 1, 0)), ({"yaw": 0.001, "ahead": 0.01}, (0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_what_a_camera_did(moves: dict[str, float], signs: tuple[int, ...]) -> None:
    made = poses(**moves)
    assert signs_of_poses(made).tolist() == [list(signs)] * 3
    assert signs_of_poses(made[::-1]).tolist() == [[-sign for sign in signs]] * 3


def clip(folder: Path, made: NDArray[np.float64], down: int) -> Path:
    """Pictures of a wall far away that goes by so many pixels a frame, and their poses."""
    (folder / "image_0").mkdir(parents=True)
    rough = np.random.default_rng(3).integers(0, 256, (60, 50), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(rough).resize((1000, 1200), Image.Resampling.BICUBIC))
    for t in range(COUNT):
        y = 400 + down * t
        Image.fromarray(wide[y : y + HEIGHT, :WIDTH]).save(folder / "image_0" / f"{t:06}.png")
    np.savetxt(folder / "poses.txt", made.reshape(COUNT, 12))
    return folder


@pytest.mark.parametrize("down", [-7, 7])
def test_the_estimator_is_held_against_it(down: int, tmp_path: Path) -> None:
    """A wall that goes by sideways would not do: a step past it looks as a turn does."""
    report = of_footage([clip(tmp_path / "clip", poses(pitch=math.copysign(STEP, -down)), down)])
    assert list(report["sets"]) == ["clip, forwards", "clip, backwards"]
    assert (report["axes"]["pitch"]["percent"], report["axes"]["pitch"]["blocks"]) == (100, 6)


def test_invalid_clips(tmp_path: Path) -> None:
    with pytest.raises(MatrixGameError, match=r"no poses\.txt"):
        of_footage([tmp_path])
    folder = clip(tmp_path / "clip", poses(), 0)
    (folder / "image_0" / "000000.png").unlink()
    with pytest.raises(MatrixGameError, match="32 pictures in its folders and 33 poses"):
        of_footage([folder])
