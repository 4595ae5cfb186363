"""Pictures as people have them: every format and depth comes out right, and nothing else is opened as a picture."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from comfyui_matrixgame.errors import ImageError
from comfyui_matrixgame.media import images
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import check_picture, read_image, read_pixels, read_start
from comfyui_matrixgame.terminal.main import main

from .damage import mutated
from .pictures import data_of, gradient

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = int(os.environ.get("MEDIA_MUTATIONS", "60"))  # 3,000 were tried once
LOSSLESS = ("PNG", "BMP", "TIFF", "GIF")


def bomb(side: int) -> bytes:
    """A small PNG of side x side pixels of one bit."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), b"\0" * (1 + (side + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", images.FORMATS)
def test_every_format_is_read(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    picture = gradient(64, 48)
    found = read_pixels(data_of(picture, kind))
    assert found.shape == (48, 64, 3)
    limit = 12 if kind == "GIF" else 0 if kind in LOSSLESS else 8
    assert np.abs(found.astype(int) - np.asarray(picture)).max() <= limit


def test_transparency_is_laid_over_black_or_a_picture_of_its_size() -> None:
    picture, under = np.asarray(gradient(64, 48)), np.full((48, 64, 3), 77, np.uint8)
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, :32], alpha[:, 32:40] = 255, 128
    image = Image.fromarray(picture)
    image.putalpha(Image.fromarray(alpha))
    data = data_of(image, "PNG")
    over = read_pixels(data, under=under)
    assert np.array_equal(over[:, :32], picture[:, :32])
    assert np.array_equal(over[:, 40:], under[:, 40:])
    assert np.abs(over[:, 32:40].astype(int) - (picture[:, 32:40].astype(int) + 77) // 2).max() <= 1
    for black in (read_pixels(data), read_pixels(data, under=under[1:])):
        assert not black[:, 40:].any()
    assert np.array_equal(read_pixels(data_of(gradient(64, 48), "PNG"), under=under), picture)


def test_heic_is_read_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
    monkeypatch.setattr(images, "_formats", lambda: images.FORMATS)
    with pytest.raises(ImageError, match=r"a\.heic is an HEIC picture; .*pip install pillow-heif"):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("size", [(352, 640), (353, 640), (480, 640), (1000, 900), (100, 180), (90, 160), (1411, 2003)])
def test_strips_make_no_difference(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    data = data_of(Image.fromarray(noise), compress_level=1)
    monkeypatch.setattr(images, "_STRIP", 30_000)
    assert torch.equal(read_start(data, 352, 640), fit_image(read_image(data), 352, 640))


def test_deep_pixels_are_scaled(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64)[None].repeat(48, 0)
    grey = (ramp * 255).round()
    lit = ramp.astype(np.float32)
    lit[:, -1] = 4.5
    deep = {
        "16-bit PNG": data_of(Image.fromarray((ramp * 65535).round().astype(np.uint16))),
        "16-bit TIFF": data_of(Image.fromarray((ramp * 65535).round().astype(np.uint16)), "TIFF"),
        "float 0..1": data_of(Image.fromarray(ramp.astype(np.float32)), "TIFF"),
        "float with lights above white": data_of(Image.fromarray(lit), "TIFF"),
        "float 0..255": data_of(Image.fromarray((ramp * 255).astype(np.float32)), "TIFF"),
        "float 0..65535": data_of(Image.fromarray((ramp * 65535).astype(np.float32)), "TIFF"),
        "32-bit": data_of(Image.fromarray((ramp * (2**31 - 1)).astype(np.int32)), "TIFF"),
        "16 in 32 bits": data_of(Image.fromarray((ramp * 65535).astype(np.int32)), "TIFF"),
    }
    for name, data in deep.items():
        found = read_pixels(data)
        assert np.abs(found - grey[:, :, None]).max() <= 1, name
    broken = np.full((48, 64), np.nan, np.float32)
    with pytest.raises(ImageError, match="not numbers"):
        read_pixels(data_of(Image.fromarray(broken), "TIFF"))


def test_colours_of_other_kinds() -> None:
    base = gradient(64, 48)
    plain = np.asarray(base).astype(int)
    faint = base.convert("RGBA")
    faint.putalpha(128)
    for name, data, expected in (
        ("palette", data_of(base.convert("P", palette=Image.Palette.ADAPTIVE)), plain),
        ("CMYK", data_of(base.convert("CMYK"), "TIFF"), plain),
        ("black and white", data_of(Image.new("1", (64, 48), 1)), np.full_like(plain, 255)),
        ("half clear", data_of(faint), plain // 2),
        ("grey and alpha", data_of(Image.new("LA", (64, 48), (200, 128))), np.full_like(plain, 100)),
        ("a clear colour", data_of(Image.new("P", (64, 48), 0), transparency=0), np.zeros_like(plain)),
    ):
        assert np.abs(read_pixels(data) - expected).max() <= 8, name


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_turns_the_picture(turn: int, kind: str) -> None:
    """A picture that is saved turned, with the number that says so, is the picture."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    picture = gradient(640, 400)
    data = data_of(picture, kind, exif=exif)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert np.array_equal(read_pixels(data), expected)
    assert expected.shape == ((640, 400, 3) if turn > 4 else (400, 640, 3))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_picture_is_checked_as_it_is_shown(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(data_of(gradient(1200, 300), kind, exif=exif))
    for check in (check_picture, read_start):
        with pytest.raises(ImageError, match="300x1200"):
            check(tmp_path / "a.jpg", 352, 640)


def test_damaged_exif_does_not_matter() -> None:
    good = data_of(gradient(64, 48), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff")
    assert read_pixels(good).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_used_and_said(kind: str, tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (64, 48), (value, 0, 0)) for value in (250, 120, 0)]
    name = f"moves.{kind.lower()}"
    (tmp_path / name).write_bytes(data_of(pictures[0], kind, save_all=True, append_images=pictures[1:]))
    said: list[str] = []
    found = read_start(tmp_path / name, 32, 64, said.append)
    assert abs(float(found[0].mean()) - (250 / 127.5 - 1)) < 0.05
    assert len(said) == 1
    assert name in said[0]
    assert "first" in said[0]
    (tmp_path / "still.png").write_bytes(data_of(pictures[0]))
    read_start(tmp_path / "still.png", 32, 64, said.append)
    assert len(said) == 1


def test_programs_for_other_programs_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript, which Pillow would hand to Ghostscript, and every other plug-in that is not for pictures of users."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 640 352\n%%EndComments\nshowpage\n"
    (tmp_path / "holiday.jpg").write_bytes(script)
    with pytest.raises(ImageError, match=r"holiday\.jpg is PostScript"):
        read_image(tmp_path / "holiday.jpg")
    for kind in ("EPS", "PPM", "TGA", "ICNS", "PCX", "SGI", "JPEG2000", "DDS", "ICO", "MSP", "PDF"):
        buffer = io.BytesIO()
        gradient(64, 48).convert("1" if kind == "MSP" else "RGB").save(buffer, kind)
        (tmp_path / "a.png").write_bytes(buffer.getvalue())
        for check in (read_image, lambda path: check_picture(path, 32, 64)):
            with pytest.raises(ImageError, match=r"a\.png is .*; use PNG, JPEG or WebP"):
                check(tmp_path / "a.png")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for side, millions in ((8200, "67"), (13300, "177"), (20000, "178")):
        path = tmp_path / "b.png"
        path.write_bytes(bomb(side))
        began = time.process_time()
        tracemalloc.start()
        with pytest.raises(ImageError, match=rf"b\.png has .*{millions} million pixels; scale it down"):
            read_start(path, 352, 640)
        assert tracemalloc.get_traced_memory()[1] < 10e6
        tracemalloc.stop()
        assert time.process_time() - began < 0.5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts memory otherwise")
def test_the_largest_picture_takes_bounded_memory(tmp_path: Path) -> None:
    """64 million pixels in colour: decoded once, and converted in strips."""
    Image.new("RGB", (9200, 6900), (10, 200, 30)).save(tmp_path / "big.png", compress_level=1)
    code = (
        "import resource, sys; from comfyui_matrixgame.media.images import read_start\n"
        "unit = 2**20 if sys.platform == 'darwin' else 2**10\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        "before = peak(); picture = read_start(sys.argv[1], 352, 640)\n"
        "assert tuple(picture.shape) == (3, 352, 640); print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.png")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 500


def test_a_large_photograph_is_decoded_smaller(tmp_path: Path) -> None:
    picture = Image.new("RGB", (12000, 6600), (10, 200, 30))
    data = data_of(picture, "JPEG")
    assert read_start(data, 352, 640).shape == (3, 352, 640)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    names = {"empty.png": r"empty\.png is empty", "none.png": "no image", ".": "folder"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        names["pipe.png"] = r"pipe\.png .*named pipe"
        names["/dev/zero"] = "device"
    for name, message in names.items():
        with pytest.raises(ImageError, match=message):
            read_image(tmp_path / name)
        with pytest.raises(ImageError, match=message):
            check_picture(tmp_path / name, 352, 640)
    with pytest.raises(ImageError):
        read_image("a\0b.png")


def test_render_says_what_a_picture_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<!DOCTYPE html><html>")
    assert main(["render", str(tmp_path / "a.jpg"), "--blocks", "1", "-o", str(tmp_path / "o.mp4")]) == 1
    assert "a.jpg is a web page, not a picture" in capsys.readouterr().err


def seeds() -> list[tuple[str, bytes]]:
    """Small pictures of every kind, to be mutated."""
    noise = Image.effect_noise((96, 64), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.linspace(0, 1, 96 * 64, dtype=np.float32).reshape(64, 96))
    moves = [noise, noise.rotate(90), noise.rotate(180)]
    made = [
        ("a.png", data_of(noise)), ("b.png", data_of(noise.convert("P"))), ("c.jpg", data_of(noise, "JPEG", exif=exif)),
        ("d.jpg", data_of(noise.convert("CMYK"), "JPEG", progressive=True)), ("e.webp", data_of(noise, "WEBP")),
        ("f.bmp", data_of(noise, "BMP")), ("g.tif", data_of(noise, "TIFF", compression="tiff_lzw")),
        ("h.tif", data_of(deep, "TIFF")), ("i.gif", data_of(noise, "GIF", save_all=True, append_images=moves)),
        ("j.webp", data_of(noise, "WEBP", save_all=True, append_images=moves)),
        ("k.png", data_of(noise, "PNG", save_all=True, append_images=moves)),
        ("l.tif", data_of(noise, "TIFF", save_all=True, append_images=moves)),
        ("m.tif", data_of(noise.convert("YCbCr"), "TIFF", compression="jpeg")),
    ]  # fmt: skip
    return [*made, ("n.avif", data_of(noise, "AVIF"))] if features.check("avif") else made


def test_mutated_pictures(tmp_path: Path) -> None:
    """Every fault is an ImageError, each takes less than a second of CPU time, and nothing is written."""
    chance, kinds, worst, refused = random.Random(int(os.environ.get("MEDIA_SEED", "1"))), seeds(), 0.0, 0
    for index in range(MUTATIONS):
        name, data = kinds[index % len(kinds)]
        path = tmp_path / name
        path.write_bytes(mutated(data, chance))
        began, said = time.process_time(), name
        try:
            check_picture(path, 32, 64)
            found = read_start(path, 32, 64, lambda _: None)
            assert found.shape == (3, 32, 64)
            assert torch.isfinite(found).all()
        except ImageError as error:
            refused, said = refused + 1, str(error)
        assert name in said or "The image" in said
        worst = max(worst, time.process_time() - began)
        assert worst < 1, name
        path.unlink()
    assert not list(tmp_path.iterdir())
    print(f"{MUTATIONS} pictures, {refused} refused, the slowest {worst:.2f} s")
