"""Clips as cameras, phones and editors write them: turned, of any rate, of several sizes, cut short."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from PIL import Image

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import ImageError, VideoError
from comfyui_matrixgame.media import clips, video_reader
from comfyui_matrixgame.media.clips import clip_frames, read_clip
from comfyui_matrixgame.media.fitting import fit_image, image_tensor
from comfyui_matrixgame.media.video import VideoWriter
from comfyui_matrixgame.media.video_reader import read_video
from comfyui_matrixgame.variants import UNIVERSAL

from .clips import numbered, write
from .damage import mutated

MUTATIONS = int(os.environ.get("MEDIA_MUTATIONS", "60"))  # 3,000 were tried once


def shown(path: Path) -> list[int]:
    """The numbers of the frames that a clip is read as."""
    return [round((float(frame.mean()) + 1) * 127.5 / 5) for frame in read_clip(path, 48, 64).pixels.unbind(1)]


def test_a_clip_of_25_is_read_as_it_is(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi", "a.mov"):
        path = write(tmp_path / name, numbered(21))
        assert shown(path) == list(range(21)), name
        clip = read_clip(path, 48, 64)
        assert (clip.exact, clip.frames, clip.blocks, round(clip.rate)) == (True, 21, 2, 25)
        assert clip_frames(path)[::2] == (21, True)


def test_what_this_program_wrote_reads_back_exactly(tmp_path: Path) -> None:
    """Finished, and as a kill leaves it."""
    pictures = np.random.default_rng(1).integers(0, 256, (21, 48, 64, 3), dtype=np.uint8)
    writer = VideoWriter(tmp_path / "a.mp4", 48, 64)
    writer.write(pictures)
    (tmp_path / "killed.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    writer.close()
    frames = list(read_video(tmp_path / "a.mp4"))
    expected = torch.stack([fit_image(image_tensor(frame), 32, 64) for frame in frames], 1)
    clip = read_clip(tmp_path / "a.mp4", 32, 64)
    assert clip.exact
    assert torch.equal(clip.pixels, expected)
    assert torch.equal(read_clip(tmp_path / "killed.mp4", 32, 64).pixels[:, :9], expected[:, :9])


@pytest.mark.parametrize(("rate", "frames"), [(30, 40), (60, 80), (50, 66), (12.5, 11), (10, 9), (23.976, 33), (1, 2)])
def test_other_rates_are_resampled(rate: float, frames: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", numbered(frames), lambda index: index / rate)
    clip = read_clip(path, 48, 64)
    assert not clip.exact
    assert clip.frames == frames
    assert frames == 2 or abs(clip.rate - rate) / rate < 0.1  # how long the last one is shown is not said
    found = shown(path)
    assert len(found) % 12 == 9  # whole blocks
    expected = [min(int((index + 0.5) / 25 * rate), frames - 1) % 50 for index in range(len(found))]
    assert np.abs(np.subtract(found, expected)).max() <= 1  # times in the file are rounded
    assert np.mean(np.equal(found, expected)) > 0.8


def test_frames_that_do_not_come_evenly(tmp_path: Path) -> None:
    """As a screen recorder writes them: a frame only where something changed."""
    times = [0, 0.12, 0.16, 0.2, 0.32, 0.36, 0.4, 0.52]
    path = write(tmp_path / "a.mkv", numbered(len(times)), times.__getitem__)
    assert shown(path) == [0, 0, 0, 1, 2, 3, 3, 3, 4]
    assert not read_clip(path, 48, 64).exact
    held = write(tmp_path / "b.mkv", numbered(3), [0, 0.04, 3600].__getitem__)
    with pytest.raises(ImageError, match=r"b\.mkv is longer than 501 frames"):
        read_clip(held, 48, 64)


def test_a_clip_that_begins_late_begins_with_its_first_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", numbered(9), lambda index: 5 + index / 25)
    assert shown(path) == list(range(9))


def test_inputs_follow_the_frames_that_they_were_written_for(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.mkv", numbered(40), lambda index: index / 30), 48, 64)
    said: list[str] = []
    rows = [{"w": 1.0, "yaw": 0.1} if index < 20 else {"d": 1.0, "yaw": 0.0} for index in range(40)]
    track = clip.rows(ActionTrack.from_rows(UNIVERSAL, rows), said.append)
    assert "resampled" in said[0]
    assert len(track) in (33, 34)
    assert [int(row[0]) for row in track.keyboard[:17]] == [1] * 17  # 20 of 30 are 16.7 of 25
    assert track.mouse is not None
    assert abs(float(track.mouse[:, 1].sum()) - 2.0) < 1e-3  # as far as before
    said.clear()
    script = ActionTrack.from_rows(UNIVERSAL, [{"w": 1.0}] * 33)  # written for 25 a second
    assert clip.rows(script, said.append) is script
    assert not said
    assert len(clip.rows(ActionTrack.from_rows(UNIVERSAL, [{"w": 1.0}] * 400), said.append)) == 400
    assert "400 rows; the first" in said[0]


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The display matrix of an mp4 replaced: what a phone that was held upright writes."""
    data = bytearray(path.read_bytes())
    plain = b"\0\1\0\0" + bytes(4) * 3 + b"\0\1\0\0" + bytes(4) * 3 + b"\x40\0\0\0"
    at = data.index(plain, data.index(b"tkhd"))
    a, b, c, d = (value.to_bytes(4, "big", signed=True) for value in (v << 16 for v in matrix))
    data[at : at + 36] = a + b + bytes(4) + c + d + bytes(4) * 3 + b"\x40\0\0\0"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),  # clockwise
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1)),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
    ],
)
def test_a_turned_clip_is_read_upright(matrix: tuple, turn: Callable, tmp_path: Path) -> None:
    corner = np.zeros((64, 96, 3), np.uint8)
    corner[:16, :16] = 250
    corner[:16, 80:] = 120
    path = write(tmp_path / "a.mp4", iter([corner] * 9))
    plain = next(read_video(path)).astype(int)
    found = next(read_video(turned(path, matrix)))
    assert np.array_equal(found, turn(plain))


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", numbered(9, 96, 120), shape=Fraction(4, 3))
    assert next(read_video(path)).shape == (96, 160, 3)


def test_sizes_that_change(tmp_path: Path) -> None:
    """Two pieces of a video, one after the other in one file, as calls and streams have them."""
    for name, size in (("small", (48, 64)), ("large", (96, 128))):
        write(tmp_path / f"{name}.ts", numbered(11, *size), codec="mpeg2video")
    whole = tmp_path / "both.ts"
    whole.write_bytes((tmp_path / "small.ts").read_bytes() + (tmp_path / "large.ts").read_bytes())
    frames = list(read_video(whole))
    assert len(frames) > 15
    assert {frame.shape for frame in frames} == {(48, 64, 3)}


def test_a_clip_that_an_editor_has_cut_without_encoding_it(tmp_path: Path) -> None:
    """What an edit list leaves out is not shown, though it is in the file."""
    path = write(tmp_path / "a.mp4", numbered(33), bf="0", g="1")
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # version and flags, count; then duration and start of the one edit
    scale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    duration = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = (duration * 9 // 33).to_bytes(4, "big")
    data[at + 4 : at + 8] = (scale * 12 // 25).to_bytes(4, "big")
    path.write_bytes(data)
    assert shown(path)[:9] == list(range(12, 21))
    assert clip_frames(path)[0] == read_clip(path, 48, 64).count


def test_a_truncated_clip_has_the_frames_that_can_be_decoded(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", (np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8) for i in range(33)))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    frames = clip_frames(tmp_path / "cut.mkv")[0]
    assert 0 < frames < 33
    assert frames == sum(1 for _ in read_video(tmp_path / "cut.mkv"))
    write(tmp_path / "a.mp4", numbered(33))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:-400])
    for read in (clip_frames, lambda path: read_clip(path, 48, 64), lambda path: list(read_video(path))):
        with pytest.raises(VideoError, match=r"cut\.mp4 cannot be read as a video"):
            read(tmp_path / "cut.mp4")


def test_a_clip_of_one_frame(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.mkv", numbered(1)), 48, 64)
    assert clip.count == 1
    with pytest.raises(ImageError, match=r"9 \+ 12k"):
        _ = clip.blocks


def test_metadata_that_are_not_utf8(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        container.metadata["title"] = "AAAAAAAA"
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in numbered(9):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = (tmp_path / "a.mp4").read_bytes()
    assert b"AAAAAAAA" in data
    (tmp_path / "a.mp4").write_bytes(data.replace(b"AAAAAAAA", b"\xff\xfe\xe4\xf6\xfc\x80\x81\x82"))
    assert clip_frames(tmp_path / "a.mp4")[0] == 9


def test_the_reader_of_pyav_19(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `av.open` no longer knows `metadata_errors`, whatever PyAV is installed here."""
    opened = av.open

    def of_19(file: str, mode: str = "r", format: str | None = None, options: dict[str, str] | None = None) -> object:
        return opened(file, mode, format=format, options=options)

    write(tmp_path / "a.mkv", numbered(9))
    monkeypatch.setattr(av, "open", of_19)
    monkeypatch.setattr(av, "__version__", "19.0.2")
    assert clip_frames(tmp_path / "a.mkv")[0] == 9


def test_files_that_name_other_files_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "real.ts", numbered(9), codec="mpeg2video")
    lists = {
        "a.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n",
        "b.mp4": "ffconcat version 1.0\nfile real.ts\n",
        "c.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n",
        "d.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(VideoError, match=name):
            list(read_video(tmp_path / name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, message in (
        ("pipe.mp4", "named pipe"),
        ("/dev/zero", "device"),
        (".", "folder"),
        ("none.mp4", "no video"),
    ):
        for read in (clip_frames, lambda path: list(read_video(path)), lambda path: read_clip(path, 32, 64)):
            with pytest.raises(VideoError, match=message):
                read(tmp_path / name)


def test_large_and_long_clips_take_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are made small as they come, and no more are read than can be used."""
    seen: list[int] = []
    real = clips.fit_image

    def fit(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
        seen.append(image.numel())
        return real(image, height, width)

    monkeypatch.setattr(clips, "fit_image", fit)
    monkeypatch.setattr(clips, "MOST_CLIP_FRAMES", 21)
    path = write(tmp_path / "a.mkv", numbered(100, 360, 640), preset="ultrafast")
    with pytest.raises(ImageError, match="longer than 21 frames"):
        read_clip(path, 32, 64)
    assert len(seen) <= 23
    with pytest.raises(ImageError, match="longer than 21 frames"):
        clip_frames(path)
    monkeypatch.setattr(video_reader, "MOST_PIXELS", 640 * 360 - 1)
    with pytest.raises(VideoError, match="million pixels"):
        read_clip(path, 32, 64)


def seeds(folder: Path) -> list[tuple[str, bytes]]:
    made = [
        write(folder / "a.mp4", numbered(12)), write(folder / "b.mkv", numbered(12), lambda index: index / 30),
        write(folder / "c.avi", numbered(12), codec="mpeg4"), write(folder / "d.mov", numbered(12), codec="mjpeg"),
        write(folder / "e.ts", numbered(12), codec="mpeg2video"),
    ]  # fmt: skip
    with VideoWriter(folder / "f.mp4", 48, 64) as writer:
        writer.write(np.stack(list(numbered(12))))
    return [(path.name, path.read_bytes()) for path in (*made, folder / "f.mp4")]


def test_mutated_clips(tmp_path: Path) -> None:
    """Every fault is a sentence, each takes less than a second of CPU time, and nothing is written."""
    source = tmp_path / "seeds"
    source.mkdir()
    kinds, chance, worst, refused = seeds(source), random.Random(int(os.environ.get("MEDIA_SEED", "1"))), 0.0, 0
    folder = tmp_path / "mutated"
    folder.mkdir()
    for index in range(MUTATIONS):
        name, data = kinds[index % len(kinds)]
        path = folder / name
        path.write_bytes(mutated(data, chance))
        began = time.process_time()
        try:
            count = clip_frames(path)[0]
            clip = read_clip(path, 32, 64)
            assert count >= clip.count
            assert torch.isfinite(clip.pixels).all()
        except (VideoError, ImageError):
            refused += 1
        worst = max(worst, time.process_time() - began)
        assert worst < 1, name
        path.unlink()
    assert not list(folder.iterdir())
    print(f"{MUTATIONS} clips, {refused} refused, the slowest {worst:.2f} s")


def test_a_moving_avif_is_a_clip_and_a_still_one_is_none(tmp_path: Path) -> None:
    """Its first stream is the still that stands for it."""
    pictures = [Image.fromarray(frame) for frame in numbered(9)]
    pictures[0].save(tmp_path / "moves.avif", save_all=True, append_images=pictures[1:], duration=40, quality=100)
    assert clip_frames(tmp_path / "moves.avif") == (9, 25, True)
    assert shown(tmp_path / "moves.avif") == list(range(9))
    pictures[0].save(tmp_path / "still.avif")
    with pytest.raises(VideoError, match=r"still\.avif is an AVIF picture; use a video file"):
        read_clip(tmp_path / "still.avif", 48, 64)


def test_the_cover_of_a_sound_is_no_clip(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        sound, cover = container.add_stream("aac", rate=48000), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(next(numbered(1)), format="rgb24").reformat(format="yuvj420p")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        picture.pts, silence.pts, silence.rate = 0, 0, 48000
        for stream, frame in ((cover, picture), (sound, silence)):
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with pytest.raises(VideoError, match="has no moving pictures"):
        read_clip(tmp_path / "song.m4a", 48, 64)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_pictures_are_named(kind: str, tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in numbered(9)]
    pictures[0].save(tmp_path / "moves.mp4", kind, save_all=True, append_images=pictures[1:])
    with pytest.raises(VideoError, match=r"picture.*, which is not read as a clip"):
        read_clip(tmp_path / "moves.mp4", 48, 64)
