"""The terminal commands for inputs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame.actions.drawing.chart import plot_lanes, text_lanes
from comfyui_matrixgame.actions.formats.exporters import write_arrays
from comfyui_matrixgame.actions.read import read_actions
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.variants import TEMPLERUN, UNIVERSAL, VARIANTS

from .command import call


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mgs"
    path.write_text(":start\nw 2b\nw+left 12\nidle 12\n")
    return path


def test_convert(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = read_actions(walk)
    for name in ("a.csv", "a.npz", "folder", "b.mgs"):
        assert call("convert", walk, tmp_path / name) == 0
        assert read_actions(tmp_path / name) == track
    assert call("convert", walk, tmp_path / "a.json") == 0
    assert '"name": "start"' in (tmp_path / "a.json").read_text()
    assert ":start at 0" in (tmp_path / "b.mgs").read_text()
    assert call("convert", tmp_path / "a.json", tmp_path / "c.mgs") == 0
    assert ":start at 0" in (tmp_path / "c.mgs").read_text()
    assert call("convert", walk, tmp_path / "poses.txt", "--to", "realestate") == 0
    assert "universal, 48 rows (1.9 s, 5 blocks)" in capsys.readouterr().out


def test_convert_errors(walk: Path, tmp_path: Path) -> None:
    with pytest.raises(ActionError, match=r"a\.doc.* does not say what to write"):
        call("convert", walk, tmp_path / "a.doc")
    with pytest.raises(ActionError, match="cannot be written: No such file"):
        call("convert", walk, tmp_path / "no" / "a.csv")
    with pytest.raises(ActionError, match="cannot be read"):
        call("convert", tmp_path / "no.mgs", tmp_path / "a.csv")
    with pytest.raises(ActionError, match="this format"):
        call("convert", walk, tmp_path / "a", "--to", "hy")
    walk.write_text("fwd 3")
    with pytest.raises(ActionError, match=r"walk\.mgs:1:1: error: unknown action 'fwd'"):
        call("show", walk)


def test_convert_writes_no_script_that_cannot_be_read(tmp_path: Path) -> None:
    turns = np.random.default_rng(0).uniform(-0.3, 0.3, (8000, 2)).astype(np.float32)
    write_arrays(ActionTrack(UNIVERSAL, np.zeros((8000, 4), np.float32), turns), tmp_path)
    with pytest.raises(ActionError, match=r"long\.mgs would be longer .* timeline file \(\.json\) or \.npy"):
        call("convert", tmp_path, tmp_path / "long.mgs")
    assert not (tmp_path / "long.mgs").exists()
    assert call("convert", tmp_path, tmp_path / "long.json") == call("check", tmp_path / "long.json") == 0


def test_an_archive_has_the_name_it_was_given(walk: Path, tmp_path: Path) -> None:
    assert call("convert", walk, tmp_path / "a.data", "--to", "npz") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"walk.mgs", "a.data"}


def test_a_branch_of_a_timeline(walk: Path, tmp_path: Path) -> None:
    assert call("convert", walk, tmp_path / "a.json") == 0
    document = json.loads((tmp_path / "a.json").read_text())
    branch = {"id": "b1", "name": "left turn", "fork": 0, "tracks": {"w": [], "s": [[0, 9]]}}
    (tmp_path / "a.json").write_text(json.dumps({**document, "branches": [branch]}))
    assert call("convert", tmp_path / "a.json", tmp_path / "b.mgs", "--branch", "left turn") == 0
    held = read_actions(tmp_path / "b.mgs").keyboard
    assert (held[:9, 1].all(), held[:, 0].any()) == (True, False)
    with pytest.raises(ActionError, match="no branch 'right'"):
        call("show", tmp_path / "a.json", "--branch", "right")


def test_show(walk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert call("show", walk) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "row   0                   20                  40"
    assert lines[1] == "      |       |           |           |           |"
    assert "w     " + "#" * 36 + "." * 12 in lines
    assert "yaw   " + "." * 24 + "<" * 12 + "." * 12 in lines
    assert any("start at 0" in line for line in lines)


def test_show_packs_and_wraps() -> None:
    track = parse_script("w 6; idle 6; up 12; look(0, -0.1) 1; left 1; right 1; idle 9").track
    text = text_lanes(track, 100, 6)
    assert "w     #....." in text
    assert "yaw   ....~." in text
    assert "pitch ..^^v." in text
    wrapped = text_lanes(track, 26, 1)
    assert wrapped.count("pitch") == 2
    assert max(len(line) for line in wrapped.splitlines()) <= 26


def test_plot(walk: Path, tmp_path: Path) -> None:
    assert call("plot", walk, tmp_path / "a.png", "--width", 600) == 0
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape[1] == 600
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5
    with pytest.raises(ActionError, match="cannot be written"):
        call("plot", walk, tmp_path / "no" / "a.png")
    with pytest.raises(ActionError, match="200 to 20000"):
        call("plot", walk, tmp_path / "a.png", "--width", 5)


def test_the_plot_shows_where_keys_are_held() -> None:
    picture = np.asarray(plot_lanes(parse_script("idle 24; w 24").track, 1200))
    blue = np.flatnonzero((picture == (40, 90, 160)).all(axis=-1).any(axis=0))
    assert blue.min() == pytest.approx(92 + 1096 / 2, abs=3)
    assert blue.max() == pytest.approx(92 + 1096, abs=3)


@pytest.mark.parametrize("rows", [1, 9, 4089, 90_009])
@pytest.mark.parametrize("kind", list(VARIANTS))
def test_any_length_can_be_shown(kind: str, rows: int) -> None:
    track = ActionTrack.idle(VARIANTS[kind], rows)
    assert text_lanes(track).count("\n") >= 3
    assert plot_lanes(track, 300).width == 300


def test_check(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", walk, "bench:3", "bench:3:57", "preset:orbit_left") == 0
    out = capsys.readouterr().out
    assert f"{walk}: script, universal, 48 rows" in out
    assert "bench:3:57: bench, universal, 57 rows (2.3 s, 5 blocks)" in out
    bad = tmp_path / "bad.mgs"
    bad.write_text("w 12\nup+up 3")
    assert call("check", walk, bad, tmp_path / "none.csv", "bench:x", "preset:fly") == 1
    captured = capsys.readouterr()
    assert f"{bad}:2:4: error: pitch is set twice in one step\n  2 | up+up 3\n    |    ^^" in captured.err
    for words in ("none.csv cannot be read", "should be bench:SEED", "no preset 'fly'"):
        assert words in captured.err
    assert "script, universal" in captured.out


def test_piped_input_and_variants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("jump 12; run 9"))
    assert call("convert", "-", tmp_path / "a.csv", "--variant", "templerun") == 0
    assert read_actions(tmp_path / "a.csv", TEMPLERUN).keyboard[:12, 1].all()
    monkeypatch.setattr("sys.stdin", io.StringIO("w-3, left-1"))
    assert call("convert", "-", tmp_path / "b.csv", "--from", "hy") == 0
    assert read_actions(tmp_path / "b.csv", UNIVERSAL).mouse[12, 1] == np.float32(-0.05)
    assert "templerun" in capsys.readouterr().out
