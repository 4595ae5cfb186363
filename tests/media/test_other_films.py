"""Films that are not plain: of a high dynamic range, interlaced, cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from comfyui_matrixgame.media.clips import clip_frames, read_clip
from comfyui_matrixgame.media.video_reader import read_video
from comfyui_matrixgame.terminal.main import main

from ..batch.jobs import write_files, write_jobs
from .clips import numbered, write

PQ, HLG, BT2020 = 16, 18, 9
NITS = (0, 1, 10, 100, 203, 1000)


def pq(nits: float) -> float:
    """SMPTE ST 2084."""
    power = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: float) -> float:
    """ARIB STD-B67, of what a screen of 1,000 cd/m2 shows with this brightness."""
    light = (nits / 1000) ** (1 / 1.2)
    return (3 * light) ** 0.5 if light <= 1 / 12 else 0.17883277 * np.log(12 * light - 0.28466892) + 0.55991073


def film(path: Path, transfer: int, luma: list[float], blue: float = 0, red: float = 0, count: int = 9) -> Path:
    """Patches of 64 pixels in 10 bits. luma: Y' of each, from 0 to 1. blue, red: Cb and Cr of all, from -0.5 to 0.5."""
    height, width = 64, 64 * len(luma)
    planes = (
        np.repeat(np.round(64 + 876 * np.array(luma)), 64)[None].repeat(height, 0),
        *(np.full((height // 2, width // 2), 512 + round(896 * value)) for value in (blue, red)),
    )
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none:lossless=1", "preset": "ultrafast"}
        stream = container.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
            transfer,
            BT2020,
            BT2020,
            1,
        )
        for number in range(count):
            frame = av.VideoFrame(width, height, "yuv420p10le")
            frame.colorspace, frame.color_range, frame.pts = BT2020, 1, number
            for plane, values in zip(frame.planes, planes, strict=True):
                padded = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                padded[:, : values.shape[1]] = values
                plane.update(padded)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("transfer", "curve"), [(PQ, pq), (HLG, hlg)])
def test_a_film_of_high_range_has_the_brightness_of_a_plain_one(transfer: int, curve, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", transfer, [curve(nits) for nits in NITS])
    greys = next(read_video(path))[32, 32::64]
    assert (greys.max(axis=1) - greys.min(axis=1)).max() <= 2  # grey stays grey
    found = dict(zip(NITS, (int(grey[1]) for grey in greys), strict=True))
    assert found[0] <= 1
    # below the knee as a plain film has it: sRGB of the share of 203 cd/m2
    for nits in (1, 10):
        share = nits / 203
        assert abs(found[nits] - 255 * (1.055 * share ** (1 / 2.4) - 0.055 if share > 0.0031308 else 12.92 * share)) < 4
    assert 170 < found[100] < 190
    assert 210 < found[203] < 240  # the white of a page is white, and what shines is brighter
    assert found[1000] == 255
    assert clip_frames(path) == (9, 25, True)


def test_colours_of_a_wide_range_are_those_of_a_plain_one(tmp_path: Path) -> None:
    """A red of BT.709 in BT.2020, at 60 cd/m2: 0.6274, 0.0691 and 0.0164 of it."""
    red, green, blue = (pq(60 * share) for share in (0.6274, 0.0691, 0.0164))
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    path = film(tmp_path / "a.mp4", PQ, [luma], blue=(blue - luma) / 1.8814, red=(red - luma) / 1.4746)
    found = next(read_video(path))[32, 32]
    assert found[1] < 20
    assert found[2] < 20
    assert 140 < found[0] < 160


def combed(count: int) -> Iterator[np.ndarray]:
    """A white bar that moves 8 pixels from field to field."""
    for number in range(count):
        picture = np.zeros((96, 160, 3), np.uint8)
        for field in (0, 1):
            left = 4 + 8 * (2 * number + field)
            picture[field::2, left : left + 16] = 250
        yield picture


def combs(picture: np.ndarray) -> float:
    """How much a line differs from those above and below it."""
    grey = picture[..., 1].astype(float)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def interlaced(path: Path, count: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1", "x264-params": "tff=1"})
        stream.height, stream.width, stream.pix_fmt = 96, 160, "yuv420p"
        for picture in combed(count):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_an_interlaced_film_has_no_combs(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.ts"):
        path = interlaced(tmp_path / name, 9)
        with av.open(str(path)) as container:
            raw = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        found = list(read_video(path))
        assert len(found) == len(raw) == 9
        assert min(combs(picture) for picture in raw) > 15
        assert max(combs(picture) for picture in found) < 4, name
        left = [int((picture[48, :, 1] > 125).argmax()) for picture in found]
        assert left == [left[0] + 16 * number for number in range(9)], name  # one moment of each frame, none twice
        assert left[0] in (4, 12)
        clip = read_clip(path, 48, 64)
        assert (clip.exact, clip.count) == (True, 9), name


def test_plain_films_are_read_to_the_last_bit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", numbered(9))
    with av.open(str(path)) as container:
        raw = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(np.array_equal(one, other) for one, other in zip(raw, read_video(path), strict=True))


def noisy(count: int) -> Iterator[np.ndarray]:
    return (np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8) for index in range(count))


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.webm", "a.flv"])
def test_a_film_that_is_cut_short_says_so(name: str, tmp_path: Path) -> None:
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4", "a.flv": "flv1"}.get(name, "libx264")
    path = write(tmp_path / name, noisy(33), codec=codec, bf="0")
    said: list[str] = []
    assert clip_frames(path, said.append)[0] == 33
    assert read_clip(path, 48, 64, said.append).count == 33
    assert not said
    cut = tmp_path / f"cut{path.suffix}"
    data = path.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    count = clip_frames(cut, said.append)[0]
    assert 0 < count < 33
    assert said == [f"cut{path.suffix} is damaged or cut short; what can be decoded of it is used: {count} frames"]


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4", "a.mov"])
def test_whole_films_say_nothing(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    for times in (lambda index: index / 25, lambda index: 5 + index / 30, lambda index: 0.9 * (index > 4) + index / 12):
        clip_frames(write(tmp_path / name, numbered(33), times), said.append)
    interlaced(tmp_path / name, 9)
    clip_frames(tmp_path / name, said.append)
    assert not said


def test_a_plan_says_what_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_files(tmp_path / "jobs")
    for length in range(10, 33):
        path = write(folder / "a.mkv", noisy(length), g="1")
        data = path.read_bytes()
        (folder / "cut.mkv").write_bytes(data[: len(data) * 3 // 4])
        if clip_frames(folder / "cut.mkv")[0] in (9, 21):
            break
    jobs = write_jobs(folder, clips=[{"file": "cut.mkv", "actions": "w 40f"}], keep=["mp4"])
    settings = json.loads(jobs.read_text())
    del settings["images"]
    jobs.write_text(json.dumps(settings))
    assert main(["batch", "plan", str(jobs)]) == 0
    assert "cut.mkv is damaged or cut short; what can be decoded of it is used" in capsys.readouterr().out
