"""Camera paths to inputs and back, and the errors that are reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.actions.formats.poses import poses_of_track, read_realestate, track_of_poses, write_realestate
from comfyui_matrixgame.actions.read import load_actions, read_text
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL

WALK = "w 12; w+left 24; d 12; s+a 12; idle+yaw(0 -> 0.2 smooth) 24; look(0.1, 0.05) 12; w+look(-0.1, -0.1) 12; idle 1"


def test_a_track_survives_its_poses() -> None:
    track = parse_script(WALK).track
    again, report = track_of_poses(poses_of_track(track), UNIVERSAL)
    np.testing.assert_array_equal(again.keyboard, track.keyboard)
    np.testing.assert_allclose(again.mouse[:-1], track.mouse[:-1], atol=1e-5)
    assert max(report.yaw_error, report.pitch_error, report.roll, report.way_error, report.climb) < 1e-4
    assert report.speed_spread < 1e-6
    assert "Heading within 0.0 degrees" in str(report)


def test_full_turns_are_followed() -> None:
    track = parse_script("right(0.8) 100; idle 1").track
    again, report = track_of_poses(poses_of_track(track), UNIVERSAL)
    assert again.mouse[:, 1].sum() * 15 == pytest.approx(1200, rel=1e-4)
    assert report.yaw_error < 1e-3


def test_directions() -> None:
    poses = np.tile(np.eye(4), (2, 1, 1))
    for move, keys in (((0, 0, 1), "w"), ((0, 0, -1), "s"), ((-1, 0, 0), "a"), ((1, 0, 1), "wd"), ((0.1, 0, 1), "w")):
        poses[1, :3, 3] = move
        track, _ = track_of_poses(poses, UNIVERSAL)
        assert "".join(k for k, on in zip(UNIVERSAL.keys, track.keyboard[0], strict=True) if on) == keys
    poses[1, :3, 3] = 0
    poses[1, :3, :3] = [[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]]  # nose up
    track, _ = track_of_poses(poses, UNIVERSAL)
    assert track.mouse[0].tolist() == pytest.approx([np.degrees(0.1) / 15, 0])


def test_the_first_pose_does_not_matter() -> None:
    track = parse_script(WALK).track
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    frame = np.eye(4)
    frame[:3, :3] = turn * np.sign(np.linalg.det(turn))
    frame[:3, 3] = (3, -2, 8)
    again, _ = track_of_poses(frame @ poses_of_track(track), UNIVERSAL)
    np.testing.assert_array_equal(again.keyboard, track.keyboard)


def test_other_frame_rates() -> None:
    poses = poses_of_track(parse_script("w+left 49; idle 1").track)
    track, report = track_of_poses(poses, UNIVERSAL, fps=50)
    assert len(track) == 26 or len(track) == 25
    np.testing.assert_allclose(track.mouse[:-1, 1], -0.2, atol=1e-3)
    assert track.keyboard[:-1, 0].all()
    assert report.yaw_error < 1e-3


def test_what_cannot_be_followed_is_reported() -> None:
    poses = np.tile(np.eye(4), (30, 1, 1))
    angle = np.radians(np.linspace(0, 580, 30))  # 20 degrees a frame; 15 is the most
    poses[:, 0, 0], poses[:, 0, 2], poses[:, 2, 0], poses[:, 2, 2] = (
        np.cos(angle),
        np.sin(angle),
        -np.sin(angle),
        np.cos(angle),
    )
    poses[:, 1, 3] = np.linspace(0, 5, 30)
    _, report = track_of_poses(poses, UNIVERSAL)
    assert report.yaw_error == pytest.approx(29 * 5, rel=0.01)
    assert report.climb == pytest.approx(1)
    assert report.standing == 1
    track, report = track_of_poses(poses_of_track(parse_script("w+up 24; idle 1").track), GTA_DRIVE)
    assert report.pitch_error == pytest.approx(36, rel=1e-3)
    assert not track.mouse[:, 0].any()


def test_roll_is_reported() -> None:
    poses = np.tile(np.eye(4), (5, 1, 1))
    angle = np.radians(30)
    poses[3, :2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    track, report = track_of_poses(poses, UNIVERSAL)
    assert report.roll == pytest.approx(30)
    assert not track.mouse.any()


def test_realestate_text() -> None:
    track = parse_script(WALK).track
    text = write_realestate(track)
    assert all(len(line.split()) == 19 for line in text.splitlines()[1:])
    again, _ = read_realestate(text, UNIVERSAL)
    np.testing.assert_array_equal(again.keyboard, track.keyboard)
    np.testing.assert_allclose(again.mouse[:-1], track.mouse[:-1], atol=1e-4)
    assert read_text(text).kind == "realestate"
    frozen = "\n".join(" ".join(["0", *line.split()[1:]]) for line in text.splitlines()[1:])
    assert len(read_realestate(frozen, UNIVERSAL, 25)[0]) == len(track)


def test_files_of_poses(tmp_path: Path) -> None:
    track = parse_script(WALK).track
    np.savez(tmp_path / "a.npz", c2w=poses_of_track(track)[:, :3], intrinsics=np.eye(3))
    np.save(tmp_path / "poses.npy", poses_of_track(track))
    for name in ("a.npz", "poses.npy", "."):
        loaded = load_actions(tmp_path / name)
        np.testing.assert_array_equal(loaded.track.keyboard, track.keyboard)
        assert "Heading" in loaded.notes[0]
    np.savez(tmp_path / "b.npz", other=np.eye(3))
    with pytest.raises(ActionError, match="keyboard_cond"):
        load_actions(tmp_path / "b.npz")
    np.save(tmp_path / "poses.npy", np.zeros((3, 4, 4)))
    with pytest.raises(ActionError, match="not a rotation"):
        load_actions(tmp_path / "poses.npy")


@pytest.mark.parametrize(
    "poses",
    [
        np.eye(4),
        np.eye(4)[None],
        np.zeros((3, 4, 4)),
        np.full((3, 4, 4), np.nan),
        np.tile(np.diag([1.0, 1.0, -1.0, 1.0]), (3, 1, 1)),
        np.array([["a"]]),
    ],
)
def test_broken_poses(poses: np.ndarray) -> None:
    with pytest.raises(ActionError, match="camera path"):
        track_of_poses(poses, UNIVERSAL)


def test_poses_need_a_camera_input_and_times_that_grow() -> None:
    poses = np.tile(np.eye(4), (3, 1, 1))
    with pytest.raises(ActionError, match="no camera input"):
        track_of_poses(poses, TEMPLERUN)
    with pytest.raises(ActionError, match="must grow"):
        track_of_poses(poses, UNIVERSAL, times=[0, 0, 1])
    with pytest.raises(ActionError, match="at most"):
        track_of_poses(poses, UNIVERSAL, times=[0, 1, 1e6])
    for text, message in (("a b", "two lines"), ("x\n1 2 3", "Line 2"), ("x\n" + "y " * 19, "Line 2")):
        with pytest.raises(ActionError, match=message):
            read_realestate(text, UNIVERSAL)
