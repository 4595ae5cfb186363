"""The estimator's calibration: what blocks of the game's films did, and a run that was stopped and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.scoring import calibration
from bench.scoring.calibration import BLOCKS, HALVES, Kept, Set, calibrate, films_of
from comfyui_matrixgame.scores.measures.signs import Signs
from comfyui_matrixgame.scores.motion.camera import AXES

TWO = (Set("one", 80, 48, 2), Set("two", 80, 48, 1, 2))


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "SETS", TWO)


def counted(right: int) -> dict[str, Signs]:
    return {axis: Signs(right + 1, right, 1, plus=1, seen_plus=1) for axis in AXES}


@pytest.mark.usefixtures("sets")
def test_halves_of_a_set_are_other_worlds_and_inputs() -> None:
    tuned, held_out = (list(films_of(1, half)) for half in HALVES)
    assert tuned[0][0].shape == held_out[0][0].shape == (29, 96, 160)
    assert tuned[0][1].shape == (BLOCKS, 4)
    assert abs(tuned[0][0] - held_out[0][0]).mean() > 0.05


@pytest.mark.usefixtures("sets")
def test_a_block_that_stood_still_was_not_asked_for_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is how the camera moved, and not which key was held."""
    free = np.stack([asked for _, asked in films_of(0, "tuned")])
    monkeypatch.setattr(calibration, "walk", lambda scene, start, track, frames: [start] * frames)
    blocked = np.stack([asked for _, asked in films_of(0, "tuned")])
    assert abs(free).sum() >= BLOCKS
    assert not blocked.any()


@pytest.mark.usefixtures("sets")
def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / "out.part"
    monkeypatch.setattr(calibration, "CALIBRATION", tmp_path / "calibration.json")
    before = Kept(part)
    before.put((0, "tuned"), counted(3))
    before.put((0, "held out"), counted(4))
    before.put((1, "tuned"), counted(5))
    after = Kept(part)
    assert after.found == before.found
    after.put((1, "held out"), counted(6))
    calibrate(0, 1, tmp_path / "out")
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert report["axes"] == json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))["axes"]
    assert [report["halves"][half]["yaw"]["blocks"] for half in HALVES] == [4 + 6, 5 + 7]
    assert [report["sets"][kind.name]["yaw"]["blocks"] for kind in TWO] == [4 + 5, 6 + 7]
    assert report["sets, by halves"]["two"]["held out"]["yaw"]["percent"] == 85.7
    assert not part.exists()


@pytest.mark.usefixtures("sets")
def test_figures_of_other_sets_are_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Kept(tmp_path / "out.part").put((0, "tuned"), counted(3))
    monkeypatch.setattr(calibration, "SETS", (*TWO, Set("three", 80, 48, 1)))
    assert Kept(tmp_path / "out.part").found == {}
