"""Films of several models side by side, and folders with very many films."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.scores.benchmark import ACTIONS, inputs_of_action
from comfyui_matrixgame.scores.films import scoring
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import UNIVERSAL

from .films import film, write_film


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films that do what their names say, and the same from the last frame to the first."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sets")
    for name in ("ours", "theirs"):
        (folder / name).mkdir()
    for number, action in enumerate(("camera_r", "forward")):
        frames = film(inputs_of_action(ACTIONS[action], UNIVERSAL, 33).track, 5)
        write_film(folder / "ours" / f"{number:04d}_{action}.mp4", frames)
        write_film(folder / "theirs" / f"{number:04d}_{action}.mp4", frames.flip(0))
    write_film(folder / "ours" / "0002_jump.mp4", frames[:3])
    (folder / "theirs" / "0009_left.mp4").write_bytes(b"broken")
    return folder


def test_sets_are_scored_side_by_side(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["score", str(sets / "ours"), f"Model B={sets / 'theirs'}", "-o", str(tmp_path)]
    assert main(command) == 1
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "scores.json").read_text())
    ours, theirs = (report["compared"]["sets"][name] for name in ("ours", "Model B"))
    assert (ours["yaw"]["percent"], theirs["yaw"]["percent"]) == (100, 0)
    assert (ours["forward"]["percent"], theirs["forward"]["percent"]) == (100, 0)
    assert [(part["scored"], part["films"]) for part in (ours, theirs)] == [(3, 3), (2, 3)]
    assert "PolyForm" in report["compared"]["without"]["ours"]["imaging_quality"]
    assert report["compared"]["notes"][0].startswith("The sets are of different films: 2 names in all of them")
    films = {(row["set"], row["name"]): row for row in report["films"]}
    assert films["ours", "0000_camera_r.mp4"]["key"] != films["Model B", "0000_camera_r.mp4"]["key"]
    assert any("no key for jump" in note for note in films["ours", "0002_jump.mp4"]["notes"])
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        assert [row["set"] for row in csv.DictReader(file)] == ["ours"] * 3 + ["Model B"] * 3
    for words in ("ours", "Model B", "3 of 3", "2 of 3", "(43.8-100)", "Model B: 0009_left.mp4: "):
        assert words in said
    tried: list[str] = []
    real = scoring.facts_of
    monkeypatch.setattr(scoring, "facts_of", lambda place: tried.append(place.name) or real(place))
    assert main(command) == 1
    assert tried == ["0009_left.mp4"]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["ours", "theirs"], "name one with -o"),
        (["ours", "ours"], "Two sets are called ours"),
        (["ours", "nowhere"], "There is no film or folder"),
        (["A=ours", "B="], "There is no film or folder"),
    ],
)
def test_sets_that_cannot_be_compared(
    sets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sources: list[str], words: str
) -> None:
    monkeypatch.chdir(sets)
    assert main(["score", *sources]) == 1
    assert words in capsys.readouterr().err
