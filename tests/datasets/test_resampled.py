"""Exports at another frame rate: frames are left out or shown twice, keys go with them, and all turning is kept."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from comfyui_matrixgame.errors import DatasetError
from comfyui_matrixgame.media.datasets.clips import Clip
from comfyui_matrixgame.media.datasets.exports.lerobot import export_lerobot, paths_of
from comfyui_matrixgame.media.datasets.exports.resampled import ResampledClip
from comfyui_matrixgame.media.datasets.exports.windows import Exported, usable_clip, windows_of
from comfyui_matrixgame.media.datasets.find import find_dataset
from comfyui_matrixgame.scores.datasets.check import check_clip
from comfyui_matrixgame.terminal.main import main

from .sets import Played, played, vpt_line, write_vpt


def short(frames: int) -> Played:
    return played(1).at(slice(20, 20 + frames))  # type: ignore[arg-type]


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether frames are the same but for being encoded again."""
    return abs(one.astype(int) - other).mean() < 5


@pytest.mark.parametrize(
    ("rate", "frames", "after", "said"),
    [
        (30, 36, 30, "36 frames are 30 now, 6 left out and 0 shown once more"),
        (20, 36, 45, "36 frames are 45 now, 0 left out and 9 shown once more"),
    ],
)
def test_films_and_inputs_are_resampled_together(rate: int, frames: int, after: int, said: str, tmp_path: Path) -> None:
    own = short(frames)
    target = tmp_path / "out"
    out = export_lerobot(find_dataset(write_vpt(tmp_path / "set", [own], rate)), target, fps=25)
    assert (out.made, out.lost) == (1, {})
    (line,) = out.told()
    assert f"1 clip of {rate} frames a second resampled to 25: {said}" in line
    (clip,) = find_dataset(target).clips
    inputs, pixels = clip.read(), list(clip.pixels())
    assert len(pixels) == len(inputs.track) == after
    shown = ((np.arange(after) + 0.5) * rate / 25).astype(int)
    assert np.array_equal(inputs.track.keyboard, own.keyboard[shown])
    assert all(alike(one, own.frames[frame]) for one, frame in zip(pixels, shown, strict=True))
    assert np.allclose(inputs.camera.sum(axis=0), own.mouse.sum(axis=0), atol=1e-4)
    assert json.loads((target / "meta" / "info.json").read_text())["fps"] == 25
    times = pq.read_table(paths_of(target, 0, 2)[0])["timestamp"].to_numpy()
    assert np.allclose(np.diff(times), 1 / 25)


def test_inputs_still_belong_to_the_picture(tmp_path: Path) -> None:
    out = Exported()
    (clip,) = find_dataset(write_vpt(tmp_path / "set", [played(1)], 30)).clips
    usable = usable_clip(clip, 25, out)
    assert out.resampled[0].after == usable.count == 108
    export_lerobot(find_dataset(tmp_path / "set"), tmp_path / "out", fps=25)
    found = check_clip(find_dataset(tmp_path / "out").clips[0])
    assert (found.lag, found.rate, found.error) == (0, 25, "")
    assert all(axis["right"] >= 4 * axis["wrong"] for axis in found.signs.values())


def test_what_has_the_rate_stays_and_another_rate_is_told(tmp_path: Path) -> None:
    root = write_vpt(tmp_path / "set", [short(20)])
    out = export_lerobot(find_dataset(root), tmp_path / "out", fps=25)
    assert out.told() == []
    assert paths_of(tmp_path / "out", 0, 2)[1].read_bytes() == (root / "take0.mp4").read_bytes()
    other = export_lerobot(find_dataset(write_vpt(tmp_path / "other", [short(20)], 30)), tmp_path / "kept")
    assert "1 clip of 30 frames a second taken as they are; --fps 25 resamples" in other.told()[0]


def test_an_export_goes_on_at_its_rate_alone(tmp_path: Path) -> None:
    dataset, target = find_dataset(write_vpt(tmp_path / "set", [short(24)], 30)), tmp_path / "out"
    export_lerobot(dataset, target, 3, fps=25)
    assert export_lerobot(dataset, target, 3, fps=25).there == 1
    with pytest.raises(DatasetError, match="other clips"):
        export_lerobot(dataset, target, 3)
    ids = [[window.id for window in windows_of(dataset, 9, Exported(), fps)] for fps in (None, 25)]
    assert ids == [["take0.mp4:0", "take0.mp4:9"], ["take0.mp4 at 25:0", "take0.mp4 at 25:9"]]


def test_lerobot_has_one_rate(tmp_path: Path) -> None:
    root = write_vpt(tmp_path / "set", [short(20)], 20)
    (root / "take0.mp4").rename(root / "slow.mp4")
    (root / "take0.jsonl").rename(root / "slow.jsonl")
    write_vpt(root, [short(30)], 30)
    with pytest.raises(DatasetError, match=r"20 to 30 frames a second.*--fps 25"):
        export_lerobot(find_dataset(root), tmp_path / "out")
    out = export_lerobot(find_dataset(root), tmp_path / "out", fps=25)
    assert (out.made, len(out.told())) == (2, 2)
    assert json.loads((tmp_path / "out" / "meta" / "info.json").read_text())["total_frames"] == 50


def test_a_variable_rate_is_followed_by_its_times(tmp_path: Path) -> None:
    """Half of the frames last 40 ms, the others 120: the others come three times."""
    own, root = short(20), tmp_path / "set"
    root.mkdir()
    lasts = [1] * 10 + [3] * 10
    begins = np.cumsum([0, *lasts])
    with av.open(str(root / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for pixels, at in zip(own.frames, begins, strict=False):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = int(at), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (root / "a.jsonl").write_text("\n".join(vpt_line(own, row) for row in range(20)))
    out = Exported()
    usable = usable_clip(find_dataset(root).clips[0], 25, out)
    assert "1 clip of a variable frame rate resampled to 25" in out.told()[0]
    assert isinstance(usable.clip, ResampledClip)
    assert usable.clip.shown[:12] == (*range(11), 10)
    assert usable.clip.shown.count(15) == 3
    assert usable.track.mouse is not None
    assert np.allclose(usable.track.mouse.sum(axis=0), own.mouse.sum(axis=0), atol=1e-4)
    assert np.allclose(usable.track.mouse[:10], own.mouse[:10], atol=1e-3)


def test_frames_from_anywhere_on() -> None:
    clip = ResampledClip("a", Path("none.mp4"), lambda: pytest.fail("not read"), shown=(0, 0, 2, 3, 3, 5))
    numbered = [np.full((2, 2, 3), number, np.uint8) for number in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clip, "pixels", lambda self, start=0, count=None: iter(numbered[start : start + count]))
        for start, count, expected in ((0, None, [0, 0, 2, 3, 3, 5]), (1, 3, [0, 2, 3]), (4, 9, [3, 5]), (6, 1, [])):
            assert [int(pixels[0, 0, 0]) for pixels in clip.pixels(start, count)] == expected


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_vpt(tmp_path / "set", [short(36)], 30)
    command = ["dataset", "export", str(root), str(tmp_path / "out"), "--as", "lerobot-2.1", "--fps"]
    assert main([*command, "0"]) == 1
    assert "--fps is 1 to 240 frames a second, such as 25" in capsys.readouterr().err
    assert main([*command, "25"]) == 0
    assert "36 frames are 30 now, 6 left out" in capsys.readouterr().err
