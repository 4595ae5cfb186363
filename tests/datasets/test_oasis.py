"""Open-Oasis's actions beside a film, and the camera paths of Sekai, which are no inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.media.datasets.find import find_dataset
from comfyui_matrixgame.media.datasets.fixes import parse_fix
from comfyui_matrixgame.media.datasets.lerobot import write_video
from comfyui_matrixgame.media.datasets.write_fixed import write_fixed
from comfyui_matrixgame.scores.datasets.check import check_clip

from .sets import Played, played

NAME = "Player1.chunk_000"


def compressed(degrees: np.ndarray) -> np.ndarray:
    """As Open-Oasis stores a camera: 80 steps, and those from -1 to 1."""
    share = np.clip(degrees, -20, 20) / 20
    steps = np.round((np.sign(share) * np.log(1 + 2.7 * abs(share)) / np.log(3.7) * 20 + 20) / 0.5)
    return (steps - 40) / 40


def write_oasis(root: Path, clip: Played) -> Path:
    write_video(root / f"{NAME}.mp4", iter(clip.frames), 25)
    rows = torch.zeros(len(clip.frames), 25)
    rows[:, 11:15] = torch.from_numpy(clip.keyboard.astype(np.float32))
    rows[:, 15] = torch.from_numpy(compressed(-clip.mouse[:, 0] * 15))
    rows[:, 16] = torch.from_numpy(compressed(clip.mouse[:, 1] * 15))
    rows[:, 21] = 1  # attacks
    torch.save(rows, root / f"{NAME}.one_hot_actions.pt")
    return root


def test_actions_of_oasis_belong_to_the_film(tmp_path: Path) -> None:
    own = played(1)
    dataset = find_dataset(write_oasis(tmp_path, own))
    assert (dataset.layout, dataset.lost) == ("films with Open-Oasis's actions beside them", {})
    (clip,) = dataset.clips
    inputs = clip.read()
    assert np.array_equal(inputs.track.keyboard, own.keyboard)
    assert np.allclose(inputs.camera, own.mouse, atol=0.02)  # its steps are up to 0.5 degrees apart at this speed
    assert any("attack" in note for note in inputs.notes)
    with pytest.raises(MatrixGameError, match="dataset export"):
        write_fixed(tmp_path, tmp_path.with_name("fixed"), parse_fix("lag=1"))
    found = check_clip(clip)
    assert (found.lag, found.error) == (0, "")
    assert all(axis["right"] >= 4 * axis["wrong"] for axis in found.signs.values())


def test_a_camera_is_what_was_compressed(tmp_path: Path) -> None:
    wanted = np.array([-20, -7.3, -0.6, 0, 0.2, 3, 20])
    rows = torch.zeros(len(wanted), 25)
    rows[:, 15] = torch.from_numpy(compressed(wanted))
    torch.save(rows, tmp_path / "a.one_hot_actions.pt")
    (tmp_path / "a.mp4").touch()
    (clip,) = find_dataset(tmp_path).clips
    degrees = clip.read().camera * 15
    assert np.allclose(degrees[:, 0], -wanted, atol=0.25)  # down is positive there
    assert not degrees[:, 1].any()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(4, 24), r"shape \[4, 24\], and Open-Oasis's actions are \[T, 25\]"),
        (torch.full((4, 25), 3.0), "camera beyond -1 to 1"),
        ([{"forward": 1, "camera": np.array([40, 40])}], "one_hot_actions makes of it as a.one_hot_actions.pt"),
    ],
)
def test_what_is_no_tensor_of_actions_is_said(value: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.actions.pt" if isinstance(value, list) else "a.one_hot_actions.pt")
    torch.save(value, path)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(MatrixGameError, match=said):
        find_dataset(tmp_path).clips[0].read()
    path.write_bytes(b"no file of torch's")
    with pytest.raises(MatrixGameError, match=r"PyTorch file|Python objects"):
        find_dataset(tmp_path).clips[0].read()


def test_a_camera_path_of_sekai_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", extrinsic=np.tile(np.eye(4), (9, 1, 1)), intrinsic=np.eye(3))
    (tmp_path / "a.mp4").touch()
    assert "camera path and no inputs, as the datasets of Sekai do" in check_clip(find_dataset(tmp_path).clips[0]).error
