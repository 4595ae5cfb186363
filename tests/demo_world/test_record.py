"""Recording: one row of inputs per frame, resumable, from the game and from a user's own files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.media.datasets.lerobot import (
    VIDEO_KEY,
    action_names,
    read_episode,
    table_path,
    video_path,
    write_video,
)
from comfyui_matrixgame.media.datasets.lines import read_lines
from comfyui_matrixgame.variants import UNIVERSAL
from demo_world.game import play
from demo_world.record import Plan, episode_track, record, record_folder

PLAN = Plan(episodes=2, frames=12, height=32, width=48)


def test_an_episode_holds_its_frames_and_inputs(tmp_path):
    assert record(tmp_path, PLAN) == 2
    frames, track = read_episode(tmp_path, 1)
    assert frames.shape == (12, 32, 48, 3)
    assert track == episode_track(PLAN, 1)[0]
    table = pq.read_table(table_path(tmp_path, 1))
    assert table.num_rows == 12
    assert table["frame_index"].to_pylist() == list(range(12))
    assert np.allclose(table["timestamp"].to_numpy(), np.arange(12) / 25)
    info = json.loads((tmp_path / "meta" / "info.json").read_text())
    assert info["total_frames"] == 24
    assert info["features"]["action"]["names"] == list(action_names(UNIVERSAL))
    assert info["features"]["observation.images.view"]["shape"] == [32, 48, 3]
    assert (tmp_path / info["data_path"].format(episode_chunk=0, episode_index=1)).exists()
    lines = [json.loads(line) for line in (tmp_path / "meta" / "episodes.jsonl").read_text().splitlines()]
    assert [line["length"] for line in lines] == [12, 12]
    assert lines[1]["tasks"] == [episode_track(PLAN, 1)[1]]
    assert table["index"].to_pylist() == list(range(12, 24))


def test_statistics_are_those_of_the_columns(tmp_path):
    record(tmp_path, PLAN)
    frames, track = read_episode(tmp_path, 1)
    lines = (tmp_path / "meta" / "episodes_stats.jsonl").read_text().splitlines()
    stats = json.loads(lines[1])["stats"]
    assert stats["action"]["mean"] == pytest.approx([*track.keyboard.mean(axis=0), *track.mouse.mean(axis=0)], abs=1e-6)
    assert stats["frame_index"] == {"min": [0], "max": [11], "mean": [5.5], "std": [np.arange(12).std()], "count": [12]}
    assert np.ravel(stats[VIDEO_KEY]["mean"]) == pytest.approx(frames[::10].mean(axis=(0, 1, 2)) / 255, abs=0.05)
    assert np.shape(stats[VIDEO_KEY]["std"]) == (3, 1, 1)
    info = json.loads((tmp_path / "meta" / "info.json").read_text())
    assert set(stats) == set(info["features"])


def test_a_stopped_recording_goes_on_and_keeps_what_is_there(tmp_path):
    record(tmp_path, PLAN)
    kept = table_path(tmp_path, 0).stat().st_mtime_ns
    table_path(tmp_path, 1).unlink()
    assert record(tmp_path, Plan(episodes=3, frames=12, height=32, width=48)) == 2
    assert table_path(tmp_path, 0).stat().st_mtime_ns == kept
    assert video_path(tmp_path, 2).exists()


def test_workers_make_the_same_recording(tmp_path):
    record(tmp_path / "one", PLAN)
    record(tmp_path / "two", PLAN, workers=2)
    for number in range(2):
        a, b = (read_episode(tmp_path / name, number) for name in ("one", "two"))
        assert np.array_equal(a[0], b[0])
        assert a[1] == b[1]


@pytest.mark.parametrize("size", [(32, 48), (48, 80)])
def test_the_same_frames_are_the_same_video(tmp_path, size):
    frames, _ = play(7, episode_track(PLAN, 0)[0], 12, *size)
    videos = set()
    for _ in range(30):  # x264's macroblock tree, where it is on, makes several
        write_video(tmp_path / "video.mp4", iter(frames.numpy()), 25)
        videos.add((tmp_path / "video.mp4").read_bytes())
    assert len(videos) == 1


def test_another_plan_in_the_same_folder_is_refused(tmp_path):
    record(tmp_path, PLAN)
    with pytest.raises(MatrixGameError, match="frames"):
        record(tmp_path, Plan(episodes=2, frames=13, height=32, width=48))


def test_a_folder_of_videos_and_lines_becomes_episodes(tmp_path):
    record(tmp_path / "game", PLAN)
    source = tmp_path / "mine"
    source.mkdir()
    (source / "walk.mp4").write_bytes(video_path(tmp_path / "game", 0).read_bytes())
    line = {"mouse": {"dx": 10.0, "dy": -4.0}, "keyboard": {"keys": ["key.keyboard.w", "key.keyboard.space"]}}
    (source / "walk.jsonl").write_text("\n".join([json.dumps(line)] * 12) + "\n")
    assert record_folder(tmp_path / "out", source) == 1
    frames, track = read_episode(tmp_path / "out", 0)
    assert len(frames) == len(track) == 12
    assert track.keyboard[0].tolist() == [1, 0, 0, 0]
    assert track.mouse[0].tolist() == pytest.approx([0.04, 0.1])
    assert record_folder(tmp_path / "out", source) == 0


def test_a_recording_with_its_inventory_open_does_not_turn_the_camera(tmp_path):
    """VPT's mouse moves the cursor of an open menu."""
    path = tmp_path / "a.jsonl"
    line = {"mouse": {"dx": 10.0, "dy": -4.0}, "keyboard": {"keys": ["key.keyboard.w"]}}
    path.write_text("\n".join(json.dumps(line | {"isGuiOpen": is_open}) for is_open in (False, True)))
    inputs = read_lines(path, UNIVERSAL)
    assert inputs.track.mouse.tolist() == [[pytest.approx(0.04), pytest.approx(0.1)], [0, 0]]
    assert inputs.track.keyboard[:, 0].tolist() == [1, 0]
    assert inputs.menus.tolist() == [False, True]
    assert inputs.cursor == pytest.approx(2.1)


def test_plain_lines_are_read_too(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"w": 1, "yaw": 0.1}\n{"s": true, "pitch": -9}\n')
    track = read_lines(path, UNIVERSAL).track
    assert track.keyboard.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert track.mouse.tolist() == [[0, pytest.approx(0.1)], [-1, 0]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [('{"w": 1}\nnonsense\n', "Line 2"), ("", "no lines"), ('{"w": 1}\n', "1 lines")],
)
def test_lines_that_do_not_fit_are_named(tmp_path, lines, message):
    record(tmp_path / "game", PLAN)
    (tmp_path / "walk.mp4").write_bytes(video_path(tmp_path / "game", 0).read_bytes())
    (tmp_path / "walk.jsonl").write_text(lines)
    with pytest.raises(MatrixGameError, match=message):
        record_folder(tmp_path / "out", tmp_path)


def test_a_video_without_inputs_is_named(tmp_path):
    (tmp_path / "walk.mp4").write_bytes(b"")
    with pytest.raises(MatrixGameError, match=r"walk\.jsonl is missing"):
        record_folder(tmp_path / "out", tmp_path)
