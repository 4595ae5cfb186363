"""Looks, lag, mirrored ways, references, and what inputs ask for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.demo_world import BLOCKS
from bench.scoring.calibration import tracks
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.scores import protocol
from comfyui_matrixgame.scores.film import score_frames
from comfyui_matrixgame.scores.measures.asked import asked_of, axes_of, signs_of_blocks
from comfyui_matrixgame.scores.measures.lag import find_lag
from comfyui_matrixgame.scores.measures.looks import Looks
from comfyui_matrixgame.scores.measures.reference import Reference
from comfyui_matrixgame.scores.measures.scenario import Scenario, is_mirrored, least_difference
from comfyui_matrixgame.scores.measures.signs import Signs, calibration, count_signs, wilson
from comfyui_matrixgame.scores.motion.camera import AXES
from comfyui_matrixgame.scores.motion.meter import BlockMotion
from comfyui_matrixgame.variants import FPS, GTA_DRIVE, TEMPLERUN, UNIVERSAL
from demo_world.game import play
from demo_world.inputs import random_track

from .films import film, measured, track_of

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"
SWAPPED = ("yaw moves pitch", "pitch moves yaw")
SIZES = ("80x48", "320x176", "640x352")
LEAST_RIGHT = (99, 99, 96, 96)  # of AXES, percent


def test_what_each_variant_can_ask_for() -> None:
    assert axes_of(UNIVERSAL) == ("yaw", "pitch", "forward", "right")
    assert axes_of(GTA_DRIVE) == ("yaw", "forward")
    assert axes_of(TEMPLERUN) == ("yaw", "right")
    rows = [{"turn_left": 1}, {"side_right": 1}, {"jump": 1}]
    assert asked_of(ActionTrack.from_rows(TEMPLERUN, rows)).tolist() == [[-1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    track = ActionTrack.from_rows(UNIVERSAL, [{"w": 1, "a": 1, "yaw": 0.1, "pitch": -0.2}, {"w": 1, "s": 1}])
    np.testing.assert_allclose(asked_of(track), [[0.1, -0.2, 1, -1], [0, 0, 0, 0]], atol=1e-6)


def test_a_block_asks_for_a_sign_that_nearly_all_its_rows_have() -> None:
    asked = np.zeros((32, 4))
    asked[8:18, 0] = 0.1  # 10 of 12 rows
    asked[20:26, 0] = 0.1  # half of them
    asked[8:20, 2], asked[19, 2] = 1, -1
    assert signs_of_blocks(asked, 3).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_signs_are_counted_and_what_cannot_be_judged_is_no_mistake() -> None:
    asked = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
    seen = [(1, ""), (-1, ""), (0, "still"), (0, "cut"), (0, "unclear")]
    blocks = [BlockMotion(i, (sign, 0, 0, 0), (0.0,) * 4, why) for i, (sign, why) in enumerate(seen)]
    found = count_signs(asked, blocks)
    assert found["yaw"] == Signs(4, 1, 1, 1, 1, plus=2, seen_plus=1)
    about = found["yaw"].about("yaw")
    assert (about["percent"], about["judged_percent"], about["estimator"]) == (50.0, 50.0, calibration()["yaw"])
    assert found["pitch"].about("pitch")["percent"] is None
    assert "could be judged" in found["pitch"].about("pitch")["why"]
    assert found["right"].about("right")["why"] == "no block's inputs ask for it"


def test_an_interval_is_never_a_point() -> None:
    low, high = wilson(10, 10)
    assert low < 75 < high == 100


def test_what_shuffled_inputs_would_get_follows_from_how_often_each_side_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    wanted, seen = np.array([1] * 10 + [-1] * 4), np.array([1] * 9 + [-1] * 5)
    shares = [100 * (rng.permutation(wanted) == seen).mean() for _ in range(20_000)]
    right = int((wanted == seen).sum())
    mean, (low, high) = Signs(14, right, 14 - right, plus=10, seen_plus=9).shuffled()
    assert mean == pytest.approx(np.mean(shares), abs=0.5)
    assert high - mean == pytest.approx(1.96 * np.std(shares), abs=0.7)
    assert mean - low == pytest.approx(1.96 * np.std(shares), abs=0.7)
    assert Signs(14, 14, plus=10, seen_plus=10).shuffled()[0] == 59.2  # all right, and most ask for one side
    assert Signs(14, 14, plus=7, seen_plus=7).shuffled()[0] == 50
    assert Signs(9, 8, 1, plus=9, seen_plus=8).shuffled() == (88.9, (88.9, 88.9))
    assert Signs(1, 1, plus=1, seen_plus=1).shuffled() == (100, (100, 100))


def test_signs_of_films_are_added() -> None:
    assert Signs(4, 2, 1, 1, 0, 2, 1) + Signs(3, 1, 1, 0, 1, 1, 2) == Signs(7, 3, 2, 1, 1, 3, 3)


def test_the_estimators_own_error_is_known() -> None:
    own = calibration()
    assert set(own) == set(AXES)
    for axis, least in zip(AXES, LEAST_RIGHT, strict=True):
        assert own[axis]["blocks"] >= 200
        assert own[axis]["percent"] >= least
        assert own[axis]["judged_percent"] >= 90
        assert abs(own[axis]["shuffled_percent"] - 50) < 5


def test_signs_are_right_on_the_games_own_films() -> None:
    """As `bench/scores.py calibrate` measured them: inputs one at a time, at each size; and all sets together, on the
    held-out half."""
    report = json.loads((RESULTS / "scores-estimator-2026-12-01.json").read_text(encoding="utf-8"))
    assert report["version"] == protocol.VERSION
    for axis, least in zip(AXES, LEAST_RIGHT, strict=True):
        for found in (*(report["sets"][size] for size in SIZES), report["halves"]["held out"]):
            assert found[axis]["blocks"] >= 90
            assert found[axis]["percent"] >= least
            assert found[axis]["judged_percent"] >= 90
            assert abs(found[axis]["shuffled_percent"] - 50) < 5


def test_lag_is_exact_on_the_games_own_films() -> None:
    """In ten-second clips that are early or late by up to three frames."""
    lag = json.loads((RESULTS / "scores-estimator-2026-12-01.json").read_text(encoding="utf-8"))["lag"]
    assert lag["clips"] >= 80
    assert lag["exact"] >= 0.95 * lag["clips"]
    assert lag["misnamed"] == 0


def test_inputs_of_the_calibration_ask_for_both_sides_equally_often() -> None:
    asked = np.concatenate([signs_of_blocks(asked_of(track), BLOCKS) for track in tracks(30, 2, 1)])
    assert (abs(asked.sum(axis=0)) <= 1).all()
    assert (abs(asked).sum(axis=0) >= 40).all()


@pytest.mark.parametrize("lag", range(-3, 4))
def test_lag_of_a_film(lag: int, walk: tuple[np.ndarray, np.ndarray]) -> None:
    series, asked = walk
    rows = (np.arange(len(asked)) + lag).clip(0, len(asked) - 1)
    found = find_lag(series, asked[rows])
    assert (found.frames, found.faults) == (lag, ())


def test_mirrored_and_swapped_axes_are_named(walk: tuple[np.ndarray, np.ndarray]) -> None:
    series, asked = walk
    assert find_lag(series, asked * [-1, 1, 1, 1]).faults == ("yaw is mirrored",)
    swapped = find_lag(series, asked[:, [1, 0, 2, 3]]).faults
    assert "what asks for yaw moves pitch" in swapped
    assert "what asks for pitch moves yaw" in swapped


def test_axes_in_their_places_are_called_swapped_only_where_that_is_clearly_better() -> None:
    """Steps to the side past what is near look a little like steps back in this film."""
    track = random_track(np.random.default_rng([10, 0x1A6]), 10 * FPS)
    frames, _ = play(14010, track, 10 * FPS, 48, 80, place=10, samples=1)
    series, asked = measured(frames).series, asked_of(track)
    found = find_lag(series, asked)
    assert (found.frames, found.faults) == (0, ())
    swapped = find_lag(series, asked[:, [1, 0, 2, 3]]).faults
    assert {"what asks for pitch moves yaw"} <= set(swapped) <= {f"what asks for {way}" for way in SWAPPED}


def test_axes_are_named_by_how_sure_it_is_and_not_by_how_much_else_moves() -> None:
    rng = np.random.default_rng(5)
    asked = np.zeros((240, 4))
    asked[20:60, 0], asked[90:130, 0], asked[170:, 0] = 0.1, -0.1, 0.1  # five changes, and none of pitch
    asked[40:100, 2], asked[150:200, 2], asked[60:80, 3] = 1, -1, 1
    series = asked.reshape(-1, 2, 4).sum(axis=1)
    series[:, [0, 1]] = series[:, [1, 0]] + 0.02 * rng.normal(size=(120, 2))
    assert find_lag(series, asked).faults == ("what asks for yaw moves pitch",)
    for track, noise, named in ((5, 0.25, ("yaw is mirrored",)), (4, 0.3, ())):
        rng = np.random.default_rng(5)
        asked = asked_of(random_track(np.random.default_rng(track), 600))
        series = asked.reshape(-1, 2, 4).sum(axis=1) * [-1, 1, 1, 1]
        series[:, 0] += noise * rng.normal(size=300)
        found = find_lag(series, asked)
        assert -0.3 < found.correlation["yaw"] < -0.1
        assert found.faults == named


def test_lag_is_not_told_from_other_inputs_or_none(walk: tuple[np.ndarray, np.ndarray]) -> None:
    series, asked = walk
    other = asked_of(random_track(np.random.default_rng(77), len(asked)))
    assert find_lag(series, np.zeros_like(asked)).why == "the inputs do not change"
    assert find_lag(series[:10], asked[:20]).frames is None
    assert find_lag(np.random.default_rng(1).normal(size=series.shape), other).frames is None


@pytest.fixture(scope="module")
def walk() -> tuple[np.ndarray, np.ndarray]:
    """Motion seen in, and asked for by, ten seconds of random play."""
    track = random_track(np.random.default_rng(12), 10 * FPS)
    return measured(film(track, 12)).series, asked_of(track)


def test_looks_over_time() -> None:
    still = torch.full((60, 20, 20, 3), 100, dtype=torch.uint8)
    still[..., 0] = 200
    still[:, ::2] //= 2
    fading = (still.float() * torch.linspace(1, 0.5, 60).view(-1, 1, 1, 1)).to(torch.uint8)
    fading[40] = 0
    fading[41] = 255
    looks = Looks()
    for part in fading.split(13):
        looks.add(part)
    about = looks.about(None)
    assert about["black_percent"] == about["white_percent"] == pytest.approx(100 / 60, abs=0.01)
    assert about["brightness_drift"] == pytest.approx(-25, abs=8)
    assert about["saturation_drift"] == pytest.approx(0, abs=10)
    assert about["standing_still"] is None
    assert [why for _, why in looks.worst(5)] == ["black", "white", "largest change"] or looks.worst(5)[0] == (
        40,
        "black",
    )
    frozen = Looks()
    frozen.add(still)
    assert frozen.about(None)["frozen_percent"] == 100.0
    assert frozen.about(np.ones(60, bool))["standing_still"] == 0.0


def test_flicker_is_not_a_slow_change() -> None:
    steps = torch.arange(50)
    slow = (60 + steps).view(-1, 1, 1, 1).expand(50, 16, 16, 3).to(torch.uint8)
    quick = (60 + steps + 4 * (steps % 2)).view(-1, 1, 1, 1).expand(50, 16, 16, 3).to(torch.uint8)
    found = []
    for frames in (slow, quick):
        looks = Looks()
        looks.add(frames)
        found.append(looks.about(None)["flicker"])
    assert found == [0.0, pytest.approx(4.0, abs=0.01)]


def test_mirrored_inputs_are_recognised() -> None:
    there = [{"w": 1.0, "yaw": 0.1}, {"a": 1.0}, {"w": 1.0}]
    back = [{"s": 1.0}, {"d": 1.0}, {"s": 1.0, "yaw": -0.1}]
    track = ActionTrack.from_rows(UNIVERSAL, there + back)
    assert is_mirrored(track, 7)
    assert not is_mirrored(track, 6)
    assert not is_mirrored(track, 8)
    assert not is_mirrored(ActionTrack.from_rows(UNIVERSAL, there + there), 7)
    assert not is_mirrored(ActionTrack.idle(UNIVERSAL, 6), 7)
    assert not is_mirrored(ActionTrack.from_rows(TEMPLERUN, [{"jump": 1}] * 6), 7)


def test_scenario_consistency_has_the_published_formula() -> None:
    """1 - mean/255 of the least mean difference at shifts up to four pixels, at 256x256."""
    random = np.random.default_rng(3)
    frames = torch.from_numpy(random.integers(0, 256, (4, 256, 256, 3), dtype=np.uint8))
    assert least_difference(*(torch.roll(frames[0], s, 1).permute(2, 0, 1).float() for s in (0, 5))) > 10
    for frame, shift in ((frames[0], 0), (frames[1], 3), (frames[2], -4)):
        a, b = (x.permute(2, 0, 1).float() for x in (frame, torch.roll(frame, shift, 1)))
        assert least_difference(a, b) == 0
    whole = torch.cat([frames[:2], frames[:1] + 0, (frames[:1] * 0)])  # frame 1 beside 0: not the same; 0 beside black
    scenario = Scenario(4)
    scenario.add(whole)
    expected = [least_difference(*(whole[i].permute(2, 0, 1).float() for i in pair)) for pair in ((0, 3), (1, 2))]
    assert scenario.score == pytest.approx(1 - np.mean(expected) / 255, abs=1e-4)


def test_a_way_back_scores_more_than_another_way() -> None:
    back = track_of({"yaw": 0.1}, {"yaw": -0.1}).slice(0, 20)
    there = ActionTrack.from_rows(UNIVERSAL, [{"yaw": 0.1}] * 14 + [{"yaw": -0.1}] * 14)
    frames = film(there, 5)
    assert len(frames) == 29
    good = score_frames(iter(frames.split(10)), there, frames=len(frames)).values["scenario_consistency"]
    worse = score_frames(iter(frames.flip(2)[:15].split(10)), back, frames=15)
    assert good > 0.99
    assert "do not undo" in worse.without["scenario_consistency"]


def test_psnr_and_ssim_against_a_reference() -> None:
    frames = film(track_of({"yaw": 0.1}), 5)
    noise = torch.randint(-9, 10, frames.shape, generator=torch.Generator().manual_seed(2))
    other = (frames.int() + noise).clamp(0, 255).to(torch.uint8)
    reference = Reference()
    reference.add(frames[:4], other[:4])
    reference.add(frames[4:], other[4:])
    error = (frames.float() - other.float()).square().mean(dim=(1, 2, 3))
    expected = (10 * torch.log10(255**2 / error)).numpy()
    np.testing.assert_allclose(reference.psnr, expected, atol=0.05)
    assert 0.5 < reference.about()["ssim"] < 0.999  # type: ignore[operator]
    same = Reference()
    same.add(frames, frames)
    assert same.about() == {"psnr": 100.0, "ssim": 1.0}


def test_a_measure_that_cannot_be_computed_says_why() -> None:
    frames = film(track_of({"yaw": 0.1}), 5)
    score = score_frames(iter(frames.split(10)), None)
    assert {"yaw", "lag", "psnr", "standing_still", "imaging_quality", "brightness_drift"} <= score.without.keys()
    assert all(score.without.values())
    assert not score.without.keys() & score.values.keys()
    one = score_frames(iter(frames[:1].split(1)), track_of({}), frames=1)
    assert one.frames == 1
    assert one.without["frozen_percent"] == "the film has one frame"
    short = score_frames(iter(frames[:9].split(9)), None, reference=iter(frames[:5].split(2)))
    assert "only 5 frames" in short.notes[-1]
    other = score_frames(iter(frames[:9].split(9)), None, reference=iter(frames[:9, :16].split(2)))
    assert "psnr" in other.without


def test_a_few_inputs_show_no_axis_swapped_or_mirrored() -> None:
    """As a blurred film shows them: walking along a wall looks like a step to its side."""
    asked = np.zeros((144, 4))
    asked[:48, 2], asked[48:72, 3], asked[72:96, 0], asked[96:120, 0], asked[120:, 2] = 1, 1, 0.1, -0.1, -1
    series = asked.reshape(-1, 2, 4).sum(axis=1)
    series[:, [2, 3]] = -series[:, [3, 2]] + 0.1 * np.random.default_rng(0).normal(size=(72, 2))
    assert find_lag(series, asked).faults == ()
