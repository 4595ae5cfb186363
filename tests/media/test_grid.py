"""Films in step as one, and sheets of pictures: every picture at its time and place, under its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.errors import VideoError
from comfyui_matrixgame.media.grid import labelled_sheet, write_grid
from comfyui_matrixgame.media.video import VideoWriter, read_video
from comfyui_matrixgame.terminal.main import main

BAR, GAP = 18, 4


def film(path: Path, frames: int, size: tuple[int, int] = (32, 48), fps: int = 25, colour: int = 0) -> Path:
    """Frames that become brighter one by one, in one colour."""
    with VideoWriter(path, *size, fps=fps) as writer:
        for index in range(frames):
            picture = np.zeros((1, *size, 3), np.uint8)
            picture[..., colour] = 60 + 10 * index
            writer.write(picture)
    return path


def test_films_play_in_step_under_their_names(tmp_path: Path) -> None:
    films = [film(tmp_path / "a.mp4", 12), film(tmp_path / "b.mp4", 6, fps=25, colour=1)]
    films.append(film(tmp_path / "c.mp4", 6, (16, 24), fps=12, colour=2))
    seen: list[int] = []
    assert (
        write_grid(films, ["one", "a name that is far too long for its place", "c"], tmp_path / "g.mp4", seen.append)
        == 13
    )
    assert seen == list(range(1, 14))
    frames = list(read_video(tmp_path / "g.mp4"))
    assert frames[0].shape == (2 * (32 + BAR) + GAP, 2 * 48 + GAP, 3)
    for index in range(12):
        first, second = (frames[index][BAR + 16, x].astype(int) for x in (24, 48 + GAP + 24))
        third = frames[index][BAR + 32 + GAP + BAR + 16, 24].astype(int)
        assert abs(first[0] - (60 + 10 * index)) < 12
        assert abs(third[2] - (60 + 10 * (index * 12 // 25))) < 12, "at its time, whatever its rate"
        assert abs(second[1] - (60 + 10 * index)) < 12 if index < 6 else second[1] < 70, "over, and dimmed"
    shown = [frames[0][top : top + BAR, left : left + 48].max() for top, left in ((0, 0), (0, 52), (54, 0), (54, 52))]
    assert min(shown[:3]) > 150 > shown[3], "each has its name, and the empty place none"


def test_the_terminal_writes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = str(film(tmp_path / "a.mp4", 3)), str(film(tmp_path / "b.mp4", 2))
    out = str(tmp_path / "g.mp4")
    assert main(["grid", a, b, "-o", out]) == 0
    assert capsys.readouterr().out == f"{out}: 2 videos in step, 3 frames\n"
    for arguments, said in (
        ([a, "-o", out], "A grid has 2 to 4 videos, got 1"),
        ([a, b, "-o", out, "--names", "x"], "There are 2 videos and 1 name"),
        ([a, b, "-o", a], "is video 1"),
        ([a, b, "-o", str(tmp_path / "g.gif")], "a grid is written as .mp4"),
    ):
        assert main(["grid", *arguments]) == 1
        assert said in capsys.readouterr().err, arguments
    with pytest.raises(VideoError, match="There is no video"):
        write_grid([a, tmp_path / "none.mp4"], ["a", "b"], out)


def test_a_sheet_has_every_picture_over_its_name() -> None:
    pictures = [np.full((32, 48, 3), 40 * index, np.uint8) for index in range(1, 6)]
    sheet = np.asarray(labelled_sheet(pictures, [f"seed {index}" for index in range(1, 6)]))
    assert sheet.shape == (2 * (32 + BAR) + GAP, 3 * 48 + 2 * GAP, 3)
    for index, picture in enumerate(pictures):
        top, left = index // 3 * (32 + BAR + GAP), index % 3 * (48 + GAP)
        assert (sheet[top : top + 32, left : left + 48] == picture).all()
        assert sheet[top + 32 : top + 32 + BAR, left : left + 48].max() > 150
