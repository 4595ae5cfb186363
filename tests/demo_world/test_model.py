"""The model that ships: whole, small, and moved by what a player does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.checkpoints.builtin import FILES, FOLDER, demo_world, start_images
from comfyui_matrixgame.checkpoints.formats import inspect_file
from demo_world.train.config import CPU

BENCH = Path(__file__).parents[2] / "bench" / "demo_world.py"
ROLLOUTS = 4


def test_the_files_are_whole_and_small():
    for name, kind in zip(FILES, ("generator", "vae", "vision"), strict=True):
        report = inspect_file(FOLDER / name)
        assert (report.kind, report.complete, report.dtype) == (kind, True, "float16"), report.problems()
    assert sum((FOLDER / name).stat().st_size for name in FILES) < 25e6
    assert (demo_world().height, demo_world().width) == (CPU.height, CPU.width)


def test_the_card_says_what_it_is():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "is **not** Matrix-Game 2.0" in card
    assert "held-out rollouts" in card


def test_there_are_pictures_to_start_from():
    assert len(start_images()) == 8


@pytest.fixture(scope="module")
def control() -> dict[str, dict[str, float]]:
    spec = importlib.util.spec_from_file_location("bench_demo_world", BENCH)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    game = bench.GamePlayer(CPU.height, CPU.width, CPU.world)
    with torch.inference_mode():
        return bench.measure_control(bench.ModelPlayer(FOLDER, game), game, ROLLOUTS)[0]


def test_the_picture_turns_the_way_the_mouse_says(control):
    assert control["yaw"]["percent"] > 75
