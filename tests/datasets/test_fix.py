"""Reading every layout, and `--fix`: a spoilt copy corrected is the dataset that it was, and nothing is lost."""

from __future__ import annotations

import filecmp
import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.errors import DatasetError, TargetError
from comfyui_matrixgame.media.datasets.find import find_dataset
from comfyui_matrixgame.media.datasets.fixes import parse_fix, shift_rows
from comfyui_matrixgame.media.datasets.write_fixed import write_fixed
from comfyui_matrixgame.terminal.main import main

from .sets import Played, played, vpt_line, write_fastvideo, write_gf_minecraft, write_lerobot, write_vpt

LAYOUTS: dict[str, Callable[[Path, Sequence[Played]], Path]] = {
    "LeRobot v2.1": write_lerobot,
    "films with inputs beside them": write_vpt,
    "GF-Minecraft": write_gf_minecraft,
    "FastVideo": write_fastvideo,
}


def short(seed: int = 1) -> Played:
    """A few frames: nothing is measured here."""
    clip = played(seed).at(slice(0, 40))  # type: ignore[arg-type]
    return clip._replace(keyboard=np.roll(clip.keyboard, 3, axis=0))


def rows(root: Path, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    inputs = find_dataset(root).clips[number].read()
    return inputs.track.keyboard, inputs.camera


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return request.param


def test_each_layout_is_read_row_for_row(layout: str, tmp_path: Path) -> None:
    clip = short()
    root = LAYOUTS[layout](tmp_path / "set", [clip, short(2)])
    dataset = find_dataset(root)
    assert (dataset.layout, len(dataset.clips)) == (layout, 2)
    keyboard, camera = rows(root)
    assert np.array_equal(keyboard, clip.keyboard)
    assert np.allclose(camera, clip.mouse, atol=1e-5)
    assert sum(1 for _ in dataset.clips[1].pixels(start=30)) == 10


@pytest.mark.parametrize(
    ("fix", "wrong"),
    [
        ("flip=pitch", lambda clip: clip._replace(mouse=clip.mouse * [-1, 1])),
        ("flip=yaw", lambda clip: clip._replace(mouse=clip.mouse * [1, -1])),
        ("swap=camera", lambda clip: clip._replace(mouse=clip.mouse[:, ::-1])),
        ("scale=0.5", lambda clip: clip._replace(mouse=clip.mouse * 2)),
        ("flip=forward,flip=right", lambda clip: clip._replace(keyboard=clip.keyboard[:, [1, 0, 3, 2]])),
        ("swap=keys", lambda clip: clip._replace(keyboard=clip.keyboard[:, [3, 2, 1, 0]])),
    ],
)
def test_what_was_wrong_is_right_in_the_copy(layout: str, fix: str, wrong: Any, tmp_path: Path) -> None:
    root = LAYOUTS[layout](tmp_path / "set", [wrong(short())])
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    write_fixed(root, tmp_path / "copy", parse_fix(fix))
    keyboard, camera = rows(tmp_path / "copy")
    assert np.array_equal(keyboard, short().keyboard)
    assert np.allclose(camera, short().mouse, atol=1e-5)
    assert {path: path.read_bytes() for path in before} == before
    for path in before:
        if path.suffix == ".mp4":
            assert filecmp.cmp(path, tmp_path / "copy" / path.relative_to(root), shallow=False)


def test_a_lag_is_undone_and_the_way_back_loses_nothing(layout: str, tmp_path: Path) -> None:
    clip = short()
    root = LAYOUTS[layout](tmp_path / "set", [clip])
    write_fixed(root, tmp_path / "late", parse_fix("lag=3"))
    keyboard, camera = rows(tmp_path / "late")
    assert np.array_equal(keyboard[3:], clip.keyboard[:-3])
    assert np.allclose(camera[3:], clip.mouse[:-3], atol=1e-5)
    assert (keyboard[:3] == clip.keyboard[0]).all()
    write_fixed(tmp_path / "late", tmp_path / "back", parse_fix("lag=-3"))
    keyboard, camera = rows(tmp_path / "back")
    assert np.array_equal(keyboard, clip.keyboard)
    assert np.allclose(camera, clip.mouse, atol=1e-5)
    assert len(json.loads((tmp_path / "back" / "fixes.json").read_text())) == 2


def test_what_is_no_input_stays(tmp_path: Path) -> None:
    clip = short()
    write_vpt(tmp_path / "vpt", [clip])
    lines = [vpt_line(clip, row, isGuiOpen=row < 5, milli=row * 40, xpos=row / 3) for row in range(40)]
    (tmp_path / "vpt" / "take0.jsonl").write_text("\n".join(lines))
    write_fixed(tmp_path / "vpt", tmp_path / "copy", parse_fix("lag=1,menus=still"))
    steps = [json.loads(line) for line in (tmp_path / "copy" / "take0.jsonl").read_text().splitlines()]
    assert [step["milli"] for step in steps] == [row * 40 for row in range(40)]
    assert [step["xpos"] for step in steps] == [row / 3 for row in range(40)]
    assert [step["isGuiOpen"] for step in steps] == [True, *(row < 5 for row in range(39))]
    assert all(step["mouse"] == {"dx": 0, "dy": 0} for step in steps[:6])
    (tmp_path / "gf").mkdir()
    write_gf_minecraft(tmp_path / "gf", [clip])
    write_fixed(tmp_path / "gf", tmp_path / "gf copy", parse_fix("lag=2"))
    about = json.loads((tmp_path / "gf copy" / "metadata" / "seed_0.json").read_text())
    assert about["biome"] == "plains"
    assert [about["actions"][str(row)]["pos"][0] for row in range(40)] == list(range(40))


def test_statistics_are_those_of_the_corrected_rows(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", [short()])
    write_fixed(root, tmp_path / "copy", parse_fix("flip=pitch,scale=2"))
    (line,) = (tmp_path / "copy" / "meta" / "episodes_stats.jsonl").read_text().splitlines()
    found = json.loads(line)["stats"]["action"]
    assert found["max"][4:] == pytest.approx((short().mouse * [-2, 2]).max(axis=0).tolist())
    assert found["count"] == [40]


def test_the_command_writes_and_checks_the_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_vpt(tmp_path / "set", [played(1).late(2)])
    assert main(["dataset", "check", str(root), "--fix", "lag=2", "-o", str(tmp_path / "copy")]) == 0
    assert "lag      0 frames" in capsys.readouterr().out
    assert main(["dataset", "check", str(root), "--fix", "lag=2"]) == 1
    assert "-o" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "lag=2.5", "flip=up", "scale=0", "scale=x", "lag=9999", "flip=yaw,flip=yaw"])
def test_what_is_no_correction_is_a_sentence(text: str) -> None:
    with pytest.raises(DatasetError, match="--fix"):
        parse_fix(text)


def test_a_copy_takes_no_ones_place(tmp_path: Path) -> None:
    root = write_vpt(tmp_path / "set", [short()])
    for target in (root, root / "inside", tmp_path):
        with pytest.raises(TargetError):
            write_fixed(root, target, parse_fix("lag=1"))
    (root / "take0.jsonl").rename(root / "take0.keep")
    (root / "take0.csv").write_text("w,yaw\n1,0\n")
    with pytest.raises(DatasetError, match="actions convert"):
        write_fixed(root, tmp_path / "copy", parse_fix("lag=1"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_a_pickle_of_anything_else_is_not_run(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    root = write_fastvideo(tmp_path / "set", [short()])
    header = (root / "0_action.npy").read_bytes()
    at = header.index(b"\n") + 1
    (root / "0_action.npy").write_bytes(header[:at] + pickle.dumps(Bad()))
    with pytest.raises(DatasetError, match="mkdir"):
        find_dataset(root).clips[0].read()
    assert not (tmp_path / "ran").exists()


def test_shifted() -> None:
    assert shift_rows([1, 2, 3, 4], 2) == ([1, 1, 1, 2], [3, 4])
    assert shift_rows([1, 1, 1, 2], -2, [3, 4]) == ([1, 2, 3, 4], [1, 1])
    assert shift_rows([1], -3) == ([1], [1])
