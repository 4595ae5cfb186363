"""The terminal program on pretended devices: pictures, clips, saved worlds, memory plans, fast modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.world import load_world
from comfyui_matrixgame.world.files import state_tensors

from ..pretend_gpu import Machine
from .conftest import TINY
from .networks import named


def rendered(folder: Path, output: Path, *words: str) -> np.ndarray:
    """The frames that `matrixgame render` writes."""
    command = ["render", str(folder / "picture0.png"), *named(folder), "--dtype", "float32", "--size", "32x32"]
    assert main([*command, "-o", str(output), *words]) == 0
    return np.stack(list(read_video(output)))


def test_in_pieces_and_whole_on_two_devices(two_gpus: Machine, folder: Path, tmp_path: Path) -> None:
    """Frames are compared as far as the encoder did not begin again, and worlds to the bit."""
    words = ["--actions", "w 12f; d+left 12f; s 12f", "--world"]
    ends = [tmp_path / "whole.safetensors", tmp_path / "pieces.safetensors"]
    whole = rendered(folder, tmp_path / "whole.mp4", *words, str(ends[0]), "--blocks", "3", "--device", "cuda:1")
    for blocks in ("2", "3"):
        more = [str(ends[1]), "--blocks", blocks, "--device", "cuda"]
        pieces = rendered(folder, tmp_path / "pieces.mp4", *words, *more)
    assert len(whole) == len(pieces) == 33
    assert np.array_equal(pieces[:9], whole[:9])
    one, other = map(load_world, ends)
    assert one.names == other.names
    theirs = state_tensors(other.caches, other.decoder_state)
    assert theirs
    for name, tensor in state_tensors(one.caches, one.decoder_state).items():
        assert torch.equal(tensor, theirs[name]), name


def test_a_clip_goes_on(two_gpus: Machine, folder: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    rendered(folder, clip, "--keys", "w", "--blocks", "1", "--device", "cuda")
    words = ["--continue-clip", str(clip), "--clip-actions", "w 8f", "--actions", "d 12f", "--device"]
    made = [rendered(folder, tmp_path / f"{i}.mp4", *words, f"cuda:{i}") for i in range(2)]
    assert len(made[0]) == 12
    assert np.array_equal(*made)


def test_weights_that_visit(two_gpus: Machine, folder: Path, tmp_path: Path) -> None:
    words = ["--keys", "w", "--blocks", "2", "--device"]
    full = rendered(folder, tmp_path / "full.mp4", *words, "cuda", "--memory", "full")
    assert np.array_equal(rendered(folder, tmp_path / "s.mp4", *words, "cuda:1", "--memory", "stream"), full)


@pytest.mark.parametrize(
    "words",
    [
        ["--precision", "int8", "--dtype", "bfloat16"],
        ["--precision", "fp8", "--memory", "stream", "--decoder", TINY],
    ],
    ids=" ".join,
)
def test_modes(gpus: Machine, folder: Path, tmp_path: Path, words: list[str]) -> None:
    words = [str(folder / word) if word == TINY else word for word in words]
    assert len(rendered(folder, tmp_path / "v.mp4", *words, "--keys", "w", "--blocks", "2", "--device", "cuda")) == 21


def test_a_number_that_no_device_has(gpus: Machine, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(folder / "picture0.png"), *named(folder), "--device", "cuda:1"]) == 1
    assert "--device cpu" in capsys.readouterr().err


def test_no_device(no_gpus: Machine, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(folder / "picture0.png"), *named(folder), "--device", "cuda"]) == 1
    assert "'cuda' is not available" in capsys.readouterr().err
