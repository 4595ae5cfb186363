"""`matrixgame dataset check` on datasets of the demo game that are good, and on ones spoilt in one way each."""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.media.datasets.find import find_dataset
from comfyui_matrixgame.scores.datasets.check import Seen, check_clip, measure_clip
from comfyui_matrixgame.scores.datasets.pace import gaps_in_time
from comfyui_matrixgame.scores.datasets.report import Report, report_of
from comfyui_matrixgame.terminal.main import main

from .sets import FRAMES, Played, played, vpt_line, write_lerobot, write_vpt

SEEDS = (1, 2, 3)


@functools.cache
def seen(seed: int) -> Seen:
    """What the film of `played` shows, measured once."""
    with tempfile.TemporaryDirectory() as folder:
        return measure_clip(find_dataset(write_lerobot(Path(folder, "set"), [played(seed)])).clips[0])


def checked(root: Path, seeds: tuple[int, ...] = ()) -> Report:
    """seeds: those of the films, where `played` made them."""
    dataset = find_dataset(root)
    known = [seen(seed) for seed in seeds] or [None] * len(dataset.clips)
    checks = [
        check_clip(clip, looked=None if each is None else lambda *_, each=each: each)
        for clip, each in zip(dataset.clips, known, strict=True)
    ]
    return report_of(dataset, checks)


def test_a_good_dataset_is_good_in_both_layouts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [played(1), played(2)]
    write_lerobot(tmp_path / "lerobot", clips)
    write_vpt(tmp_path / "vpt", clips[:1], 20)
    for name, layout in (("lerobot", "LeRobot v2.1"), ("vpt", "films with inputs beside them")):
        assert main(["dataset", "check", str(tmp_path / name), "--json", str(tmp_path / "found.json")]) == 0
        found = json.loads((tmp_path / "found.json").read_text())
        assert (found["layout"], found["good"], found["lag"], found["fixes"]) == (layout, True, 0, [])
        assert found["frames"] == FRAMES * len(found["clips"])
        assert 0.6 < found["turn"] < 1.3
        assert {clip["rate"] for clip in found["clips"]} == {25.0 if name == "lerobot" else 20.0}
    assert "nothing is wrong with it" in capsys.readouterr().out


def spoilt(clip: Played, how: str) -> Played:
    if how == "lag":
        return clip.late(2)
    if how == "pitch":
        return clip._replace(mouse=clip.mouse * [-1, 1])
    if how == "swapped":
        return clip._replace(mouse=clip.mouse[:, ::-1])
    return clip._replace(mouse=clip.mouse * 2.5)  # in units of 6 degrees


@pytest.mark.parametrize(
    ("how", "fixes", "words"),
    [
        ("lag", ["lag=2"], "the picture comes 2 frames after its inputs"),
        ("pitch", ["flip=pitch"], "pitch is mirrored"),
        ("swapped", ["swap=camera"], "what asks for yaw moves pitch"),
        ("unit", None, "times what the camera asks for"),
    ],
)
def test_what_is_wrong_with_all_clips_is_said_with_its_correction(
    tmp_path: Path, how: str, fixes: list[str] | None, words: str
) -> None:
    found = checked(write_lerobot(tmp_path / "set", [spoilt(played(seed), how) for seed in SEEDS]), SEEDS)
    assert not found.good
    assert any(words in fault for fault in found.faults)
    if fixes is None:
        assert [fix.partition("=")[0] for fix in found.fixes] == ["scale"]
        assert 0.25 < float(found.fixes[0].partition("=")[2]) < 0.46
    else:
        assert found.fixes == fixes


def test_frames_that_come_twice_or_are_missing_and_cursors_are_found_where_they_are(tmp_path: Path) -> None:
    clip = played(2)
    index = np.arange(FRAMES)
    turns = abs(clip.mouse[:, 1]) > 0
    middle = next(t for t in range(10, FRAMES) if turns[t - 6 : t + 6].all())
    twice = index.copy()
    twice[middle] = middle - 1
    stands = np.concatenate([index[:middle], np.full(30, middle), index[middle:-30]])
    cursor = clip.at(stands)
    cursor.keyboard[middle : middle + 30], cursor.mouse[middle : middle + 30] = 0, [0.05, 0.2]
    clips = [clip._replace(frames=clip.frames[twice]), clip.at(np.delete(index, middle)), cursor]
    found = {c.name: c for c in checked(write_lerobot(tmp_path / "set", clips)).clips}
    assert found["episode_000000"].doubled == [middle]
    assert found["episode_000001"].dropped
    assert all(abs(frame - middle) <= 2 for frame in found["episode_000001"].dropped)
    rows = found["episode_000002"].cursor
    assert len(rows) > 15
    assert middle <= rows[0] <= rows[-1] <= middle + 31


def test_gaps_in_time() -> None:
    assert gaps_in_time(np.array([0, 0.04, 0.08, 0.2, 0.24])) == [3]
    assert gaps_in_time(np.arange(9) / 25) == gaps_in_time(None) == []


def test_an_open_inventory_turns_nothing_and_is_counted(tmp_path: Path) -> None:
    clip = played(1)
    write_vpt(tmp_path, [clip])
    lines = [vpt_line(clip, row, isGuiOpen=40 <= row < 60, milli=50 * row + 200 * (row > 70)) for row in range(FRAMES)]
    (tmp_path / "take0.jsonl").write_text("\n".join(lines))
    (dataset_clip,) = find_dataset(tmp_path).clips
    inputs = dataset_clip.read()
    assert inputs.track.mouse is not None
    assert not inputs.track.mouse[40:60].any()
    assert not inputs.track.keyboard[40:60].any()
    assert np.allclose(inputs.track.mouse[:40], clip.mouse[:40], atol=1e-5)
    found = check_clip(dataset_clip)
    assert found.menus == 20
    assert 71 in found.dropped  # by its own clock


def test_a_broken_clip_is_said_and_the_rest_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_vpt(tmp_path, [played(1)] * 4)
    (tmp_path / "take1.mp4").write_bytes((tmp_path / "take1.mp4").read_bytes()[:900])
    (tmp_path / "take2.jsonl").write_text('{"w": 1}\nnonsense')
    (tmp_path / "take3.jsonl").unlink()
    assert main(["dataset", "check", str(tmp_path), "--json", str(tmp_path / "found.json")]) == 1
    found: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
    errors = {clip["name"]: clip["error"] for clip in found["clips"]}
    assert errors["take0.mp4"] == ""
    assert "take1.mp4 cannot be read as a video" in errors["take1.mp4"]
    assert errors["take2.mp4"].startswith("take2.jsonl: Line 2")
    assert "take3.jsonl is missing" in errors["take3.mp4"]
    assert "4 clips" in (out := capsys.readouterr().out)
    assert "3 cannot be read" in out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "There is no dataset in"),
        (lambda root: root.rmdir(), "There is no folder"),
        (lambda root: _info(root, "not json"), "cannot be read"),
        (lambda root: _info(root, '{"features": {"a": {"dtype": "video"}}}'), "names no columns|is not what"),
        (lambda root: _info(root, '{"features": {}}'), "has no feature that is a video"),
    ],
)
def test_what_is_no_dataset_is_a_sentence(tmp_path: Path, make: Any, words: str, capsys: Any) -> None:
    root = tmp_path / "set"
    root.mkdir()
    make(root)
    assert main(["dataset", "check", str(root)]) == 1
    assert re.search(words, capsys.readouterr().err)


def _info(root: Path, text: str) -> None:
    (root / "meta").mkdir()
    (root / "meta" / "info.json").write_text(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", [None, b"[" * 100_000, b"\xff\xfe\xff"], ids=["pipe", "nested", "bytes"])
@pytest.mark.parametrize("name", ["meta/episodes.jsonl", "data/chunk-000/episode_000000.parquet", "meta/info.json"])
def test_what_is_no_text_or_table_is_said_and_never_waited_for(
    name: str, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lerobot(tmp_path / "set", [played(1)]) / name
    path.unlink(missing_ok=True)
    if content is None:
        if not hasattr(os, "mkfifo"):
            pytest.skip("This system has no named pipes.")
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    assert main(["dataset", "check", str(tmp_path / "set")]) != 0
    said = "".join(capsys.readouterr())
    assert "Traceback" not in said
    assert "cannot be read" in said or "is not what a dataset" in said or "There is no dataset" in said


@pytest.mark.parametrize("name", ["merge.txt", "videos2caption.json"])
def test_an_invalid_list_is_reported(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "videos2caption.json").write_text("[]")
    (tmp_path / name).write_bytes(b"[" * 100_000 if name.endswith("json") else b"\x00\x01\x02\xff" * 100)
    assert main(["dataset", "check", str(tmp_path)]) == 1
    assert name in capsys.readouterr().err
