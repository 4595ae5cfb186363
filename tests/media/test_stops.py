"""Resumed films are the same files as those made in one go. Kills are in tests/kills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.media.video import VideoWriter


@pytest.mark.parametrize("kept", [12, 24, 36])
def test_a_resumed_film_is_the_same_file(kept: int, tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 200, (36, 32, 64, 3), dtype=np.uint8)

    def write(path: Path, first: int, last: int, close: bool = True) -> None:
        writer = VideoWriter(path, 32, 64, keep=first)
        for begin in range(first, last, 12):
            writer.restart_encoder()
            writer.write(pictures[begin : begin + 12])
        if close:
            writer.close()
        else:  # a kill: what is on disk at this moment
            (path.parent / "left.mp4").write_bytes(path.read_bytes())
            writer.close()

    write(tmp_path / "whole.mp4", 0, 36)
    whole = (tmp_path / "whole.mp4").read_bytes()
    write(tmp_path / "pieces.mp4", 0, kept)
    if kept < 36:
        write(tmp_path / "pieces.mp4", kept, 36)
    assert (tmp_path / "pieces.mp4").read_bytes() == whole
    write(tmp_path / "other.mp4", 0, kept, close=False)
    write(tmp_path / "left.mp4", kept - 12, 36)
    assert (tmp_path / "left.mp4").read_bytes() == whole


def test_the_frames_of_before_stay_until_a_new_one_is_written(tmp_path: Path) -> None:
    """A fragmented mp4 holds its last frame back until the next one comes: what was there before is deleted after."""
    from comfyui_matrixgame.media.video import part_of, playable_frames

    pictures = np.zeros((12, 32, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 32, 64) as writer:
        writer.write(pictures)
    writer = VideoWriter(tmp_path / "a.mp4", 32, 64, keep=12)
    assert part_of(tmp_path / "a.mp4").exists()  # a kill here leaves both
    for path in (tmp_path / "a.mp4", part_of(tmp_path / "a.mp4")):
        (tmp_path / "left").mkdir(exist_ok=True)
        (tmp_path / "left" / path.name).write_bytes(path.read_bytes())
    assert playable_frames(tmp_path / "left" / "a.mp4") == 11  # of 12, of which the last may be cut short
    writer.write(pictures[:1])
    assert not part_of(tmp_path / "a.mp4").exists()
    writer.close()


FINISHES = """
import os, signal, sys
from pathlib import Path
import numpy as np
from comfyui_matrixgame.media.gif import GifWriter
from comfyui_matrixgame.media.video import VideoWriter
from comfyui_matrixgame.system.stopping import Stopped, stopping

path = Path(sys.argv[1])
pictures = np.random.default_rng(1).integers(0, 200, (12, 32, 64, 3), dtype=np.uint8)
kind = GifWriter if path.suffix == ".gif" else VideoWriter
with kind(path, 32, 64) as writer:
    writer.write(pictures)
whole, replace = path.read_bytes(), os.replace

def replace_and_stop(*names):
    os.kill(os.getpid(), signal.SIGTERM)
    replace(*names)

try:
    with stopping(), kind(path, 32, 64) as writer:
        writer.write(pictures)
        os.replace = replace_and_stop
except Stopped:
    print("stopped", path.read_bytes() == whole)
"""


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_film_is_finished_before_a_signal_ends_the_program(name: str, tmp_path: Path) -> None:
    """Or the world, which is saved next, would have no film that it goes on with."""
    # in a process of its own: other tests' libraries have handlers for the signal too
    command = [sys.executable, "-c", FINISHES, str(tmp_path / name)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout == "stopped True\n", done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
