"""Nothing of the user's is overwritten, and what cannot be written is said before anything is loaded."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame import weights
from comfyui_matrixgame.cache.kept_worlds import WorldStore
from comfyui_matrixgame.checkpoints.builtin import start_images
from comfyui_matrixgame.errors import TargetError
from comfyui_matrixgame.media.gif import GifWriter, is_own_gif
from comfyui_matrixgame.media.video import VideoWriter, is_own_video, part_of, read_video
from comfyui_matrixgame.system.targets import check_target, printable_path
from comfyui_matrixgame.terminal import render
from comfyui_matrixgame.terminal.main import main

from .clips import numbered, write

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other names and links")


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a model is loaded."""
    for module, name in ((render, "load_models"), (render, "image_features"), (weights, "load_generator")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("weights were loaded"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.usefixtures("unloaded")
def test_an_output_that_is_an_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under its own name, under another way to write it, through a link, and as another name of the same file."""
    clip = write(tmp_path / "mine.mp4", numbered(21))
    (tmp_path / "keys.mp4").write_text("w 33")
    for name, make in (("link.mp4", os.symlink), ("hard.mp4", os.link)):
        make(clip, tmp_path / name)
    before = clip.read_bytes()
    continued = ["render", "--continue-clip", clip, "--clip-actions", "w 33", "--actions", "w 12"]
    for output in (clip, tmp_path / "x" / ".." / "mine.mp4", tmp_path / "link.mp4", tmp_path / "hard.mp4"):
        (tmp_path / "x").mkdir(exist_ok=True)
        assert "is the clip to go on from, and would be overwritten" in refused(capsys, *continued, "-o", output)
    picture = tmp_path / "photo.gif"
    Image.new("RGB", (128, 80)).save(picture)
    assert "is the start image" in refused(capsys, "render", picture, "--keys", "w", "--blocks", 1, "-o", picture)
    keys = tmp_path / "keys.mp4"
    assert "is the file of --actions" in refused(capsys, "render", "--actions", keys, "-o", keys)
    world = tmp_path / "same.mp4"
    assert "is the file of --world" in refused(capsys, "render", "--keys", "w", "-o", world, "--world", world)
    assert "--world" in refused(capsys, "render", picture, "--keys", "w", "--world", picture)
    assert clip.read_bytes() == before


@pytest.mark.usefixtures("unloaded")
def test_another_programs_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = {"film.mp4": write(tmp_path / "film.mp4", numbered(21)).read_bytes(), "notes.mp4": b"my notes"}
    picture = io.BytesIO()
    Image.new("RGB", (64, 48)).save(picture, "GIF")
    others["party.gif"] = picture.getvalue()
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
        said = refused(capsys, "render", "--keys", "w", "--blocks", 1, "-o", tmp_path / name)
        assert f"{name} exists and is no video that this program wrote" in said
        assert (tmp_path / name).read_bytes() == data


def test_own_films_are_written_again(tmp_path: Path) -> None:
    for path, kind in ((tmp_path / "a.mp4", VideoWriter), (tmp_path / "a.gif", GifWriter)):
        for count in (9, 21):
            with kind(path, 48, 64) as writer:
                writer.write(np.stack(list(numbered(count))))
        assert (is_own_video if kind is VideoWriter else is_own_gif)(path)
        assert sum(1 for _ in read_video(path)) == 21
    killed = VideoWriter(tmp_path / "killed.mp4", 48, 64)
    killed.write(np.zeros((1, 48, 64, 3), np.uint8))
    assert is_own_video(tmp_path / "killed.mp4")  # no frame yet, as the first is written with the second
    killed.abandon()


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("name", ["a.webm", "a.avi", "a.png", "a", "a.mp4.txt", "a."])
def test_endings_that_are_no_video(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ".mp4 or .gif" in refused(capsys, "render", "--keys", "w", "--blocks", 1, "-o", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_gif(tmp_path: Path) -> None:
    frames = np.zeros((21, 48, 64, 3), np.uint8)
    frames[:, :, :, 0], frames[:, :, :, 1] = np.arange(64) * 4, np.arange(21)[:, None, None] * 12
    with GifWriter(tmp_path / "a.gif", 48, 64) as writer:
        for part in np.split(frames, [9]):
            writer.restart_encoder()
            writer.write(part)
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.info["duration"], picture.size) == (21, 40, (64, 48))  # type: ignore[attr-defined]
        for index in (0, 20):
            picture.seek(index)
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frames[index]).mean() < 3
    with suppress(KeyboardInterrupt), GifWriter(tmp_path / "b.gif", 48, 64) as writer:
        writer.write(frames[:3])
        raise KeyboardInterrupt
    assert sum(1 for _ in read_video(tmp_path / "b.gif")) == 3
    with GifWriter(tmp_path / "none.gif", 48, 64):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "b.gif"]


@pytest.mark.usefixtures("unloaded")
@posix
def test_places_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    long = "x" * 251
    for output, message in (
        ("/sys/walk.mp4", "cannot be written"),
        (tmp_path / "file" / "a.mp4", "cannot be written: Not a directory"),
        (tmp_path / "pipe.mp4", "a device or a pipe"),
        (tmp_path, "is a folder"),
        (tmp_path / f"{long}x.mp4", "longer than 255 bytes"),
        (tmp_path / ("ä" * 126 + ".mp4"), "longer than 255 bytes"),
        (tmp_path / "/".join(["y" * 200] * 25) / "a.mp4", "too long"),
    ):
        for option in ("-o", "--world"):
            if option == "--world" and str(output).endswith("file/a.mp4"):
                continue
            extra = [] if option == "-o" else ["-o", tmp_path / "fine.mp4"]
            assert message in refused(capsys, "render", "--keys", "w", "--blocks", 1, option, output, *extra), output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe.mp4"]


def test_the_longest_name_that_a_disk_takes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".mp4")
    for keep in (0, 9):
        with VideoWriter(path, 48, 64, keep=keep) as writer:
            writer.write(np.stack(list(numbered(9))))
    assert sum(1 for _ in read_video(path)) == 18
    assert part_of(path) != part_of(tmp_path / ("x" * 250 + "y.mp4"))
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@posix
def test_planted_links_are_replaced(tmp_path: Path) -> None:
    """What a link points to is not written: neither by films nor by kept worlds."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    for name in ("a.mp4", "a.matrixgame.mp4.part", "w.safetensors", "w.json"):
        (tmp_path / name).symlink_to(tmp_path / "theirs")
    with VideoWriter(tmp_path / "a.mp4", 48, 64) as writer:
        writer.write(np.stack(list(numbered(9))))
    store = WorldStore(tmp_path)
    store.keep("w", "signature", lambda path: path.write_bytes(b"world"), 1e9)
    assert store.signature("w") == "signature"
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert not (tmp_path / "a.mp4").is_symlink()


def test_inputs_in_another_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("w,s\n1,0\n1,0\n")
    (tmp_path / "poem.json").write_text("roses are red")
    Image.new("RGB", (64, 48), (9, 9, 9)).save(tmp_path / "photo.png")
    source, photo = tmp_path / "a.csv", (tmp_path / "photo.png").read_bytes()
    assert "is the file of the inputs" in refused(capsys, "actions", "convert", source, source)
    assert "is no file of inputs" in refused(capsys, "actions", "convert", source, tmp_path / "poem.json")
    assert "is no plot" in refused(capsys, "actions", "plot", source, tmp_path / "photo.png")
    assert (tmp_path / "photo.png").read_bytes() == photo
    for _ in range(2):  # what these commands wrote, they write again
        assert main(["actions", "convert", str(source), str(tmp_path / "b.json")]) == 0
        assert main(["actions", "plot", str(source), str(tmp_path / "plot.png")]) == 0


def test_weights_in_another_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gen.safetensors").write_bytes(b"something")
    (tmp_path / "letter.safetensors").write_bytes(b"a letter")
    same = refused(capsys, "convert", tmp_path / "gen.safetensors", tmp_path / "gen.safetensors")
    assert "is the file to convert" in same
    other = refused(capsys, "convert", tmp_path / "gen.safetensors", tmp_path / "letter.safetensors")
    assert "is no generator" in other


def test_names_that_cannot_be_shown() -> None:
    assert printable_path(os.fsdecode(b"caf\xe9.mp4")) == "caf\\udce9.mp4"
    assert printable_path("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert len(printable_path("x" * 5000)) < 200
    for name in ("", " ", "a\0b"):
        with pytest.raises(TargetError, match="not a valid file name"):
            check_target(name, "--output")


def test_names_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    for name in ("con.mp4", "LPT1.mp4", "a:b.mp4", "what?.mp4"):
        with pytest.raises(TargetError, match="Windows"):
            check_target(tmp_path / name, "--output")


def terminal(*arguments: str, shell: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    """The program as a shell starts it."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "comfyui_matrixgame", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **options)  # type: ignore[call-overload]


@posix
def test_an_output_that_nobody_can_take() -> None:
    """A full disk behind stdout, a closed one, no stdin: a sentence or nothing, never a traceback."""
    full = terminal("actions", "show", "bench:1", shell="> /dev/full")
    assert full.returncode == 1
    assert "No space left" in full.stderr
    for shell in (">&-", "2>&-", "| head -c 1"):
        done = terminal("actions", "show", "bench:1", shell=shell)
        assert "Traceback" not in done.stderr + done.stdout
        assert "Exception ignored" not in done.stderr
    closed = terminal("actions", "check", "-", shell="<&-")
    assert closed.returncode == 1
    assert "Traceback" not in closed.stderr


def test_unexpected_errors_are_sentences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from comfyui_matrixgame.terminal import actions as actions_cli

    for error, message in (
        (OSError(28, "No space left on device", "/x/y"), "/x/y cannot be read or written: No space left"),
        (MemoryError(), "There is not enough"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "There is not enough"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero. This should not happen"),
    ):

        def fail(_: object, error: Exception = error) -> int:
            raise error

        monkeypatch.setattr(actions_cli, "run", fail)
        assert message in refused(capsys, "actions", "check", "bench:1")
    monkeypatch.setenv("MATRIXGAME_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["actions", "check", "bench:1"])


@pytest.mark.parametrize(
    ("keys", "mouse", "held", "camera"),
    [
        ("w", "-0.05,0.1", "w", (-0.05, 0.1)),
        ("W + D", "0 -0.1", "wd", (0, -0.1)),
        ("Forward,strafe-left", "yaw=-0.1", "wa", (0, -0.1)),
        ("w;a", "pitch=.05, yaw=-.1", "wa", (0.05, -0.1)),
        ("idle", "-.1;+1e-1", "", (-0.1, 0.1)),
    ],
)
def test_keys_and_cameras_as_people_write_them(keys: str, mouse: str, held: str, camera: tuple) -> None:
    from comfyui_matrixgame.actions.ready_made.held import held_track
    from comfyui_matrixgame.terminal.main import parser
    from comfyui_matrixgame.variants import UNIVERSAL

    args = parser().parse_args(["render", "--keys", keys, "--mouse", mouse])
    track = held_track(UNIVERSAL, args.keys, args.mouse, 9)
    assert {key for key, on in zip(UNIVERSAL.keys, track.keyboard[3], strict=True) if on} == set(held)
    assert track.mouse is not None
    assert np.allclose(track.mouse[3], camera)


def test_pictures_of_the_demo_world_are_known(tmp_path: Path) -> None:
    from comfyui_matrixgame.checkpoints.builtin import is_start_image

    assert is_start_image(start_images()[0])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        assert not is_start_image(tmp_path / "pipe.png")


def test_a_take_that_could_not_be_written_is_refused_before_playing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "take.json", tmp_path, tmp_path / ("x" * 300)):
        assert "--output" in refused(capsys, "play", "--pattern", "--no-browser", "-o", str(path))
