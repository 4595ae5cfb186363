"""Renders to an mp4 and a GIF, films of a World Cache, and batches: see the package."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comfyui_matrixgame.checkpoints.untrained import write_small_files
from comfyui_matrixgame.media.gif import count_gif_frames, is_own_gif
from comfyui_matrixgame.media.video import count_frames, is_own_video
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import load_world

from ..batch.jobs import write_files, write_jobs
from .chains import PATIENCE, ROOT, chains, digest, forks, share

BLOCKS = 6

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.timeout(PATIENCE),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stops")
    write_small_files(folder, UNIVERSAL)
    return folder


def rendering(weights: Path, out: Path, output: str = "o.mp4", blocks: int = BLOCKS) -> list[str]:
    files = {"--generator": "generator", "--vae": "vae", "--clip": "clip"}
    named = [
        part
        for option, name in files.items()
        for part in (option, str(weights / f"untrained_{name}_universal.safetensors"))
    ]
    picture = ROOT / "comfyui_matrixgame" / "checkpoints" / "builtin" / "start_images" / "demo_world_00.png"
    return [
        "matrixgame", "render", str(picture), *named, "--size", "64x32", "--dtype", "float32", "--device", "cpu",
        "--actions", "w 1b; w+left 2b; d 1b; s 2b", "--blocks", str(blocks),
        "-o", str(out / output), "--world", str(out / "w.safetensors"),
    ]  # fmt: skip


def test_renders_and_films_go_on(weights: Path, tmp_path: Path) -> None:
    def result(out: Path) -> dict:
        (video,) = (path for path in out.iterdir() if path.stem == "o")
        assert load_world(out / "w.safetensors").block == BLOCKS
        is_gif = video.suffix == ".gif"
        assert (is_own_gif if is_gif else is_own_video)(video)
        assert (count_gif_frames if is_gif else count_frames)(video) == 9 + 12 * (BLOCKS - 1)
        assert sorted(path.name for path in out.iterdir()) == [video.name, "w.safetensors"]  # nothing is left over
        return digest(out, "o.*")

    with forks() as run:
        for name, percent in (("o.mp4", 25), ("o.gif", 10)):
            done = chains(
                run, lambda out, name=name: rendering(weights, out, name), result, tmp_path / name, share(percent)
            )
            print(f"render {name}: {done}")
        command = lambda out: ["film", str(out), "6", "50"]  # noqa: E731
        done = chains(run, command, lambda out: digest(out, "p/*.mp4", "p/*.frames"), tmp_path / "films", share(15))
        print(f"film of a World Cache: {done}")


def test_batches_go_on(tmp_path: Path) -> None:
    base = write_files(tmp_path / "files")

    def command(out: Path) -> list[str]:
        scripts = ["w 20f", "d 20f"]
        file = write_jobs(base, f"{out.name}.json", output=str(out), scripts=scripts, keep=["png", "latents", "mp4"])
        return ["matrixgame", "batch", "run", str(file), "--device", "cpu"]

    def result(out: Path) -> dict:
        assert not list((out / "parts").iterdir())
        left = [path.name for path in out.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
        assert not left
        return digest(out, "results/*/*/latents.safetensors", "results/*/*/png/*", "by_name/**/*.mp4")

    with forks() as run:
        print(f"batch: {chains(run, command, result, tmp_path / 'out', share(20))}")


@pytest.mark.slow
def test_told_to_end(weights: Path, tmp_path: Path) -> None:
    """SIGTERM and SIGHUP, as at a logout, act like Ctrl-C: film and world are there, and the status says it."""
    for number, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
        out = tmp_path / str(int(number))
        out.mkdir()
        arguments = rendering(weights, out, blocks=400)[1:]
        begin = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        begin += "signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # which nohup would have it ignore
        begin += "from comfyui_matrixgame.terminal.main import main; sys.exit(main(sys.argv[1:]))"
        process = subprocess.Popen(
            [sys.executable, "-c", begin, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        text = ""
        while "block 3 of" not in text and process.poll() is None:
            text += process.stderr.read(1)
        process.send_signal(number)
        process.send_signal(number if number != signal.SIGINT else signal.SIGTERM)  # impatience changes nothing
        rest = process.communicate(timeout=60)[1]
        assert process.returncode == status, rest
        assert "Traceback" not in rest
        assert load_world(out / "w.safetensors").block >= 2
