"""Keyboard and mouse accuracy by predictions of the inverse dynamics model that are read from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.scores.weighted.predicted import NAMES, accuracies, read_predictions
from comfyui_matrixgame.terminal.main import main

from .films import film, write_film


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """Rows of predictions; what a row does not name is 0."""
    none = dict.fromkeys(NAMES, 0) | {"camera": [0.0, 0.0], "ESC": 0}
    path.write_text("".join(json.dumps(none | row) + "\n" for row in rows))
    return path


def found(path: Path, track: ActionTrack, frames: int) -> list[float | str]:
    values = accuracies(read_predictions(path), track, frames)
    return [why if value is None else value for value, why in values.values()]


def test_accuracies_are_the_published_ones(tmp_path: Path) -> None:
    track = read_text("w+left 2; s+up 1; a+d 1; w 1", "universal").track
    path = write(
        tmp_path / "film.jsonl",
        {"forward": 1, "camera": [0, -3.0]},  # right, right, turned left
        {"back": 1, "camera": [0, 0.009]},  # wrong, and no turn to speak of
        {"back": 1, "left": 1, "camera": [[-0.5, 0]]},  # sideways wrong; up
        {"forward": 1, "back": 1, "jump": 1},  # two that undo each other are none, and the variant has no jump
        {"forward": 1, "camera": [4, 4]},  # the keys right, down and right though nothing turns
    )
    keyboard, mouse = found(path, track, 6)
    assert keyboard == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert mouse == pytest.approx(3 / 5)


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    walk, run = read_text("w 5", "universal").track, read_text("jump 5", "templerun").track
    path = write(tmp_path / "film.jsonl", *[{"jump": 1}] * 4)
    assert found(path, walk, 6) == ["the predictions have 4 lines for 6 frames"] * 2
    assert found(path, walk, 1) == ["the film has one frame"] * 2
    assert found(path, run, 5) == [1.0, "templerun has no camera"]  # left, right and jump are keys that it has


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}", "has no 'back'"), ("[1]", "is none"), ("{", "is none"), ("\x00", "is none"),
     (json.dumps(dict.fromkeys(NAMES, 0) | {"camera": [1]}), "is none"),
     (json.dumps(dict.fromkeys(NAMES, 0) | {"camera": [float("nan"), 0]}), "more than a circle"),
     (json.dumps(dict.fromkeys(NAMES, 3) | {"camera": [0, 0]}), "0 or 1")],
)  # fmt: skip
def test_damaged_predictions(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "film.jsonl").write_text(text + "\n")
    with pytest.raises(ActionError, match=words):
        read_predictions(tmp_path / "film.jsonl")


def test_the_report_has_them_with_their_deviations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = read_text("w+left 8", "universal").track
    for name in ("one", "two"):
        write_film(tmp_path / f"{name}.mp4", film(track, 5), track)
    (tmp_path / "seen").mkdir()
    write(tmp_path / "seen" / "one.jsonl", *[{"forward": 1, "camera": [0, -5]}] * 9)
    command = ["score", str(tmp_path), "--predictions", str(tmp_path / "seen")]
    assert main(command) == 0
    said = capsys.readouterr().out
    films = json.loads((tmp_path / "scores" / "scores.json").read_text())["films"]
    assert [film["values"].get("mouse_accuracy") for film in films] == [1, None]
    assert "keyboard_accuracy" not in films[0]["without"]
    assert "no predictions two.jsonl" in films[1]["without"]["keyboard_accuracy"]
    assert "Note: keyboard_accuracy: Seen by this program's network" in said
    write(tmp_path / "seen" / "two.jsonl", *[{}] * 9)
    assert main(command) == 0  # other predictions: another score
    films = json.loads((tmp_path / "scores" / "scores.json").read_text())["films"]
    assert films[1]["values"]["mouse_accuracy"] == 0
    assert main(["score", str(tmp_path), "--predictions", str(tmp_path / "nowhere")]) == 1
