"""Start images of every kind a user has, and videos that survive what happens to them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_matrixgame.errors import ImageError, VideoError
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.media.video import VideoWriter, part_of, read_video

from .pictures import data_of, gradient


def test_modes_become_rgb() -> None:
    base = gradient(64, 48)
    plain = read_image(data_of(base))
    assert plain.shape == (3, 48, 64)
    assert plain.min() >= -1
    assert plain.max() <= 1
    assert torch.allclose(read_image(data_of(base.convert("RGBA"))), plain)
    grey = read_image(data_of(base.convert("L")))
    assert torch.equal(grey[0], grey[2])
    deep = Image.fromarray(np.asarray(base.convert("L"), dtype=np.uint16) * 257)
    assert (read_image(data_of(deep)) - grey).abs().max() < 0.01
    cmyk = read_image(data_of(base.convert("CMYK"), "JPEG", quality=98))
    assert (cmyk - plain).abs().mean() < 0.05
    palette = read_image(data_of(base.convert("P", palette=Image.Palette.ADAPTIVE)))
    assert (palette - plain).abs().mean() < 0.05


def test_transparency_is_black() -> None:
    clear = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
    assert read_image(data_of(clear)).max() == -1


def test_exif_turns_the_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    assert read_image(data_of(gradient(64, 48), "JPEG", exif=exif)).shape == (3, 64, 48)


@pytest.mark.parametrize("size", [(1, 1), (15, 200), (100, 1000), (1000, 100)])
def test_impossible_images_say_why(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=r"pixels a side|cut out the part"):
        fit_image(read_image(data_of(gradient(*size))))


@pytest.mark.parametrize("size", [(640, 350), (0, 16), (8, 8), (641, 352)])
def test_impossible_sizes_name_the_nearest(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="multiples of 16"):
        fit_image(read_image(data_of(gradient(640, 352))), size[1], size[0])


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    (tmp_path / "b.png").write_bytes(data_of(gradient(64, 48))[:-60])
    for name in ("a.png", "b.png", "none.png", "."):
        with pytest.raises(ImageError):
            read_image(tmp_path / name)


def test_the_middle_is_kept() -> None:
    wide = torch.zeros(3, 352, 1280)
    wide[:, :, 320:960] = 1
    assert torch.equal(fit_image(wide), torch.ones(3, 352, 640))
    assert fit_image(read_image(data_of(gradient(1000, 900)))).shape == (3, 352, 640)
    exact = torch.rand(3, 352, 640)
    assert torch.equal(fit_image(exact), exact)


@pytest.mark.parametrize("size", [(352, 640), (400, 700)])
def test_values_beyond_the_range_are_clamped(size: tuple[int, int]) -> None:
    assert fit_image(torch.full((3, *size), 1.5)).max() == 1


def frames(count: int, height: int = 48, width: int = 64, start: int = 0) -> np.ndarray:
    """Frames whose grey value tells their number."""
    values = ((np.arange(start, start + count) * 5) % 250).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, height, width, 3)).copy()


def numbers(path: Path) -> list[int]:
    return [round(float(frame.mean()) / 5) for frame in read_video(path)]


def test_written_while_made(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "v.mp4"
    with VideoWriter(path, 48, 64) as writer:
        for start in (0, 9, 21):
            writer.write(frames(9 if start == 0 else 12, start=start))
    assert numbers(path) == list(range(33))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.frames) == ("h264", 25, 33)
    assert b"moov" in path.read_bytes()[:4096]
    assert [p.name for p in path.parent.iterdir()] == ["v.mp4"]


def test_plays_when_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    writer = VideoWriter(path, 48, 64)
    writer.write(frames(120))
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())  # what a kill at this moment would leave
    assert numbers(copy) == [i % 50 for i in range(119)]  # the last frame leaves with the next one
    writer.close()


def test_going_on(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with VideoWriter(path, 48, 64) as writer:
        writer.write(frames(30))
    before = list(read_video(path, 0, 21))
    with VideoWriter(path, 48, 64, keep=21) as writer:
        writer.write(frames(12, start=21))
        assert writer.frames == 33
    assert numbers(path) == list(range(33))
    assert all(np.array_equal(a, b) for a, b in zip(read_video(path, 0, 21), before, strict=False)), "encoded again"
    with pytest.raises(VideoError, match="33 frames"):
        VideoWriter(path, 48, 64, keep=40)
    with pytest.raises(VideoError, match="64x48"):
        VideoWriter(path, 64, 64, keep=9)
    assert numbers(path) == list(range(33))


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_frames_that_are_taken_over_are_never_lost(
    stop: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, download = tmp_path / "v.mp4", tmp_path / "v.mp4.part"
    with VideoWriter(path, 48, 64) as writer:
        writer.write(frames(30))
    download.write_bytes(path.read_bytes() * 2)  # of a browser
    whole = VideoWriter._take_over

    def stopped(writer: VideoWriter, _: int) -> None:
        whole(writer, 10)
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "_take_over", stopped)
        with pytest.raises((KeyboardInterrupt, VideoError)):
            VideoWriter(path, 48, 64, keep=21)
    assert numbers(path) == list(range(30))
    path.rename(part_of(path))  # as a kill leaves it
    with VideoWriter(path, 48, 64, keep=21) as writer:
        writer.write(frames(12, start=21))
    assert numbers(path) == list(range(33))
    assert sorted(tmp_path.iterdir()) == [path, download]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_that_look_like_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("12:30.mp4", "a:b.mp4"):
        for keep in (0, 3):
            with VideoWriter(name, 48, 64, keep=keep) as writer:
                writer.write(frames(3, start=keep))
        assert numbers(Path(name)) == list(range(6))


def test_odd_sizes(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 47, 63) as writer:
        writer.write(frames(3, 47, 63))
    assert next(read_video(tmp_path / "v.mp4")).shape == (48, 64, 3)


def test_frames_come_back(tmp_path: Path) -> None:
    x = np.arange(64)[None, None, :, None] + np.arange(48)[None, :, None, None]
    smooth = (x + np.arange(5)[:, None, None, None] * 10).repeat(3, 3).astype(np.uint8)
    with VideoWriter(tmp_path / "v.mp4", 48, 64) as writer:
        writer.write(torch.from_numpy(smooth))
    back = np.stack(list(read_video(tmp_path / "v.mp4", 1, 3)))
    assert back.shape == (3, 48, 64, 3)
    assert np.abs(back.astype(int) - smooth[1:4]).mean() < 3


def test_bad_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing" * 100)
    for name in ("a.mp4", "none.mp4"):
        with pytest.raises(VideoError):
            list(read_video(tmp_path / name))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(VideoError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "v.mp4", 48, 64)
    with VideoWriter(tmp_path / "b.mp4", 48, 64) as writer, pytest.raises(VideoError, match="do not fit"):
        writer.write(frames(1, 32, 64))


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.mp4"
    writer = VideoWriter(path, 48, 64)
    writer.write(frames(60))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    container = writer._container
    monkeypatch.setattr(
        writer, "_container", type("Full", (), {"mux": full, "close": lambda self: container.close()})()
    )
    with pytest.raises(VideoError, match="No space left"):
        writer.write(frames(1))
    with pytest.raises(VideoError, match="could not be finished"):
        writer.close()
    assert len(numbers(path)) >= 25
