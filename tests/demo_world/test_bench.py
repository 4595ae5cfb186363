"""The bench measures what it says: the game scores full marks against itself, and a wrong answer does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from demo_world.game import play
from demo_world.train.data import to_pixels
from demo_world.train.decoder import loss_on_frames, sharpness

PATH = Path(__file__).parents[2] / "bench" / "demo_world.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_demo_world", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_game_agrees_with_itself(bench):
    game = bench.GamePlayer(64, 112)
    shares, psnr = bench.measure_control(game, game, 3)
    assert np.mean([s["percent"] for s in shares.values()]) > 90
    assert psnr > 90


def test_the_opposite_motion_scores_nothing(bench):
    track, labels = bench.control_tracks(2)[1]
    frames, poses = play(1, track, 57, 64, 112)
    swapped = [(name, -sign) for name, sign in labels]
    judged = bench.signs_right(frames, poses, swapped)
    assert judged
    assert np.mean([right for _, right in judged]) < 0.3


def test_blocks_against_a_wall_are_not_judged(bench):
    track, labels = bench.control_tracks(1)[0]
    frames, poses = play(0, track, 57, 32, 48)
    judged = bench.signs_right(frames, [poses[0]] * len(poses), labels)
    assert {name for name, _ in judged} <= {"yaw"}


def test_each_block_has_one_control_for_all_its_inputs(bench):
    for track, labels in bench.control_tracks(4):
        assert len(labels) == bench.BLOCKS
        for block, (name, sign) in enumerate(labels):
            rows = slice(max(0, 12 * block - 4), 12 * block + 8)
            held = np.concatenate([track.keyboard[rows], track.mouse[rows]], axis=1)
            assert (held == held[0]).all()
            values = {"forward": held[0, 0] - held[0, 1], "right": held[0, 3] - held[0, 2], "pitch": held[0, 4]}
            assert np.sign(values.get(name, held[0, 5])) == sign


def test_psnr_and_looks(bench):
    black, white = torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.full((2, 8, 8, 3), 255, dtype=torch.uint8)
    assert bench.psnr([bench.squared_error(black, white)]) == pytest.approx(0.0)
    assert bench.psnr([torch.tensor(255.0**2 / 100)]) == pytest.approx(20.0)
    assert bench.look(white) == {"brightness": 1.0, "saturation": 0.0, "sharpness": 0.0}
    red = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    red[..., 0] = 255
    assert bench.look(red)["saturation"] == pytest.approx(1.0)


def test_the_decoder_learns_the_sharpness_that_is_measured(bench):
    frames = torch.randint(256, (1, 2, 16, 24, 3), dtype=torch.uint8)
    pixels = to_pixels(frames)  # from -1 to 1, the bench's from 0 to 1
    assert float(sharpness(pixels).mean()) == pytest.approx(2 * bench.look(frames[0])["sharpness"], rel=1e-4)
    both = pixels.repeat(2, 1, 1, 1, 1)
    assert float(loss_on_frames(both, both)[0]) == 0
    blurred = loss_on_frames(both * 0.9, both)
    assert float(blurred[0]) > 0
    assert float(blurred[1]["sharpness"]) == pytest.approx(-0.1, rel=1e-4)


def test_figures_take_the_place_of_figures_only(bench, tmp_path, capsys):
    mine = tmp_path / "notes.json"
    mine.write_text('{"summary": "mine"}')
    with pytest.raises(SystemExit):
        bench.main(["--out", str(mine)])
    assert f"--out {mine} exists and is no report" in capsys.readouterr().err
    assert mine.read_text() == '{"summary": "mine"}'
    assert bench.is_own_report(PATH.parent / "results" / "demo_world.json")
