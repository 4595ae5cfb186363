"""Arguments of the terminal as people write them: paths from home, pasted signs, numbers out of range, and options that
have no effect beside others."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.actions.read import load_actions
from comfyui_matrixgame.actions.ready_made.held import held_track
from comfyui_matrixgame.actions.sources import read_source
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.terminal import render
from comfyui_matrixgame.terminal.main import main, parser
from comfyui_matrixgame.terminal.shared.console import parse_size
from comfyui_matrixgame.variants import UNIVERSAL

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_path_from_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shell leaves the ~ in --output=~/x alone, and in quotes."""
    (home / "walk.mgs").write_text("w 9")
    assert main(["render", "--actions=~/walk.mgs", "--output=~/films/walk.mp4", "--world=~/walk.world"]) == 0
    assert (home / "films" / "walk.mp4").is_file()
    assert (home / "walk.world").is_file()
    assert not (home / "~").exists()
    capsys.readouterr()
    assert main(["inspect", "~/none.safetensors"]) == 1
    assert str(home / "none.safetensors") in capsys.readouterr().err
    assert main(["actions", "convert", "~/walk.mgs", "~/walk.csv"]) == 0
    assert (home / "walk.csv").is_file()


def test_nobodys_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["render", "-o", "~nobodyxyz/o.mp4"],
        ["inspect", "~nobodyxyz/x"],
        ["batch", "plan", "~nobodyxyz"],
    ):
        assert main(arguments) == 1
        assert "~nobodyxyz has no home folder here" in capsys.readouterr().err
    (home / "~nobodyxyz.mgs").write_text("w 9")
    assert main(["actions", "check", "~nobodyxyz.mgs"]) == 0


@pytest.mark.parametrize("mouse", ["-0.05,0.1", "\u22120.05,0.1", "\u20130.05, 0.1", "(-0.05, 0.1)", "[-0.05 0.1]"])
def test_a_camera_that_was_pasted(mouse: str) -> None:
    track = held_track(UNIVERSAL, "none", mouse, 9)
    assert not track.keyboard.any()
    assert track.mouse is not None
    assert np.allclose(track.mouse, (-0.05, 0.1))


def test_a_size_that_was_pasted() -> None:
    assert parse_size("640\u00d7352") == parse_size("640x352") == (352, 640)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["render", "--seed", "-1"], "a whole number from 0 to 18446744073709551615 is needed, got '-1'"),
        (["render", "--seed", "18446744073709551616"], "a whole number from 0 to"),
        (["render", "--seed", "1e3"], "got '1e3'"),
        (["play", "--seed", "-1"], "a whole number from 0 to"),
        (["render", "\u2014keys", "w"], "\u2014keys begins with a long dash; write --keys"),
        (["render", "\u2013\u2013blocks", "1"], "write --blocks"),
    ],
)
def test_invalid_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["render", "--blocks", "1000000000000"], "--blocks is at most 100,000"),
        (["render", "--actions", "", "-o", "x.mp4"], "the script has no steps"),
        (["render", "-o", "folder.mp4/"], "is a folder"),
        (["play", "--pattern", "--port", "99999"], "--port is a number from 1 to 65535"),
        (["play", "--pattern", "--port", "-1"], "--port is a number from 1 to 65535"),
        (["actions", "show", "preset:look_around", "--every", "0"], "--every is 1 to"),
        (["actions", "show", "preset:look_around", "--every", "9999999999"], "--every is 1 to"),
        (["actions", "plot", "preset:look_around", "walk.jpg"], "a plot is written as .png"),
        (["actions", "check", "list.json"], "none of the inputs that are known here; it holds a list of 3"),
    ],
)
@pytest.mark.usefixtures("home")
def test_values_that_cannot_be_meant(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.json").write_text(json.dumps([3, 2, 1]))
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert says in said.out + said.err
    assert sorted(path.name for path in Path().iterdir()) == ["list.json"]


def test_presets_and_benchmarks_are_the_same_everywhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In render, in actions and in job files, which README names them for."""
    for source in ("preset:look_around", "bench:3:40"):
        assert main(["actions", "convert", source, "x.csv"]) == 0
        found = read_source(source, UNIVERSAL)
        assert found is not None
        assert np.array_equal(found.track.keyboard, load_actions(home / "x.csv").track.keyboard)
        args = parser().parse_args(["render", "--actions", source])
        assert np.array_equal(render._inputs(args, UNIVERSAL)[0].keyboard, found.track.keyboard)
    args = parser().parse_args(["render", "--actions", "-"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("w 9"))
    assert render._inputs(args, UNIVERSAL)[0].keyboard[:, 0].sum() == 9
    (home / "bench:3").write_text("s 9")
    assert read_source("bench:3", UNIVERSAL) is None
    with pytest.raises(MatrixGameError, match="should be bench:SEED"):
        read_source("bench:x", UNIVERSAL)


def test_what_has_no_effect_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in (
        (["--actions", "w 9", "--keys", "d"], "--keys beside --actions: no effect"),
        (["--actions", "w 9", "--keys", "d", "--mouse", "0,1"], "--keys and --mouse beside --actions"),
        (["--from", "csv", "--keys", "w"], "--from without --actions"),
        (["--clip-actions", "w 9"], "--clip-actions without --continue-clip"),
        (["photo.jpg", "--continue-clip", "x.mp4"], "photo.jpg beside --continue-clip"),
    ):
        render._say_what_has_no_effect(parser().parse_args(["render", *arguments]))
        assert says in capsys.readouterr().err
    render._say_what_has_no_effect(parser().parse_args(["render", "-", "--continue-clip", "x.mp4"]))
    render._say_what_has_no_effect(parser().parse_args(["render", "--keys", "w"]))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("script", ["batch", "drift", "first_block"])
def test_measuring_writes_over_nobodys_file(script: str, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"name": "package"}')
    command = [sys.executable, str(ROOT / "bench" / f"{script}.py"), *(["plan"] if script == "batch" else [])]
    command += ["x.png"] if script == "first_block" else []
    done = subprocess.run([*command, "-o", str(tmp_path / "mine.json")], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "is no report that this program wrote" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "mine.json").read_text() == '{"name": "package"}'
