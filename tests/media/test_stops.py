"""A rollout that is killed, or told to end, at any moment goes on, and makes the same bytes as one in peace.

STOP_KILLS=200 stops commands that often in all (default: 8).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.untrained import write_small_files
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.video import VideoWriter, is_own_video
from comfyui_matrixgame.world import load_world

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("STOP_KILLS", "8"))
SEED = int(os.environ.get("STOP_SEED", "1"))
BLOCKS = 6

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

Run = Callable[..., int]


@contextmanager
def forks() -> Iterator[Run]:
    """run(arguments, log, kill=None) -> exit status; kill: (signal, seconds after its start)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.media.forks"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(arguments: list[str], log: Path, kill: tuple[int, float] | None = None) -> int:
            print(json.dumps({"arguments": arguments, "log": str(log)}), file=server.stdin, flush=True)
            process = int(server.stdout.readline())  # type: ignore[union-attr]
            if kill is not None:
                time.sleep(kill[1])  # a random moment
                with suppress(ProcessLookupError):
                    os.kill(process, kill[0])
            return int(server.stdout.readline())  # type: ignore[union-attr]

        yield run
        server.stdin.close()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stops")
    write_small_files(folder, UNIVERSAL)
    return folder


def rendering(weights: Path, out: Path) -> list[str]:
    files = {"--generator": "generator", "--vae": "vae", "--clip": "clip"}
    named = [
        part
        for option, name in files.items()
        for part in (option, str(weights / f"untrained_{name}_universal.safetensors"))
    ]
    picture = ROOT / "comfyui_matrixgame" / "builtin" / "start_images" / "demo_world_00.png"
    return [
        "matrixgame", "render", str(picture), *named, "--size", "64x32", "--dtype", "float32", "--device", "cpu",
        "--actions", "w 1b; w+left 2b; d 1b; s 2b", "--blocks", str(BLOCKS),
        "-o", str(out / "o.mp4"), "--world", str(out / "w.safetensors"),
    ]  # fmt: skip


def digest(folder: Path, *patterns: str) -> dict[str, str]:
    """Of every file that a pattern names."""
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def chains(
    run: Run, commands: Callable[[Path], list[str]], result: Callable[[Path], dict], folder: Path, kills: int
) -> str:
    """Stop a command at random moments, again and again until it is done; every chain must end as one in peace."""
    chance, stopped, done, began = random.Random(SEED), 0, 0, time.monotonic()
    calm = folder / "calm"
    calm.mkdir()
    assert run(commands(calm), folder / "log") == 0, (folder / "log").read_text()
    takes, expected = time.monotonic() - began, result(calm)
    assert expected
    while stopped < kills:
        out, status = folder / str(done), 1
        out.mkdir()
        while status != 0:
            number = chance.choice((signal.SIGKILL, signal.SIGTERM)) if stopped < kills else None
            kill = None if number is None else (number, chance.uniform(0, takes))
            status = run(commands(out), folder / "log", kill)
            said = (folder / "log").read_text(errors="replace")
            assert "Traceback" not in said, said
            assert status in (0, -signal.SIGKILL, -signal.SIGTERM, 143), said  # -15: before anything could be done
            stopped += status != 0
        assert result(out) == expected, (out, said)
        done += 1
    return f"{stopped} stops, {done} chains"


def test_renders_go_on(weights: Path, tmp_path: Path) -> None:
    def result(out: Path) -> dict:
        assert load_world(out / "w.safetensors").block == BLOCKS
        assert is_own_video(out / "o.mp4")
        return digest(out, "o.mp4")

    with forks() as run:
        print("render:", chains(run, lambda out: rendering(weights, out), result, tmp_path, max(2, KILLS * 2 // 5)))


def test_cached_films_go_on(tmp_path: Path) -> None:
    with forks() as run:
        command = lambda out: ["film", str(out), "6", "50"]  # noqa: E731
        print(
            "film:",
            chains(run, command, lambda out: digest(out, "p/*.mp4", "p/*.frames"), tmp_path, max(2, KILLS // 5)),
        )


def test_batches_go_on(tmp_path: Path) -> None:
    from ..batch import write_files, write_jobs

    base = write_files(tmp_path / "files")

    def command(out: Path) -> list[str]:
        file = write_jobs(base, f"{out.name}.json", output=str(out), scripts=["w 20f", "d 20f"])
        return ["matrixgame", "batch", "run", str(file), "--device", "cpu"]

    def result(out: Path) -> dict:
        assert not list((out / "parts").iterdir())
        return digest(out, "results/*/*/latents.safetensors", "results/*/*/png/*", "by_name/**/*.mp4")

    with forks() as run:
        print("batch:", chains(run, command, result, tmp_path, max(2, KILLS // 5)))


def test_told_to_end(weights: Path, tmp_path: Path) -> None:
    """SIGTERM and SIGHUP, as of a scheduler and a logout, are Ctrl-C: film and world are there, the status says it."""
    for number, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
        out = tmp_path / str(int(number))
        out.mkdir()
        arguments = rendering(weights, out)[1:]
        arguments[arguments.index(str(BLOCKS))] = "400"
        begin = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        begin += "from comfyui_matrixgame.cli import main; sys.exit(main(sys.argv[1:]))"
        process = subprocess.Popen(
            [sys.executable, "-c", begin, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        text = ""
        while "block 2" not in text and process.poll() is None:
            text += process.stderr.read(1)
        process.send_signal(number)
        process.send_signal(number if number != signal.SIGINT else signal.SIGTERM)  # impatience changes nothing
        rest = process.communicate(timeout=60)[1]
        assert process.returncode == status, rest
        assert "Traceback" not in rest
        assert load_world(out / "w.safetensors").block >= 2


@pytest.mark.parametrize("kept", [12, 24, 36])
def test_a_film_that_is_gone_on_with_is_the_same_file(kept: int, tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 200, (36, 32, 64, 3), dtype=np.uint8)

    def write(path: Path, first: int, last: int, close: bool = True) -> None:
        writer = VideoWriter(path, 32, 64, keep=first)
        for begin in range(first, last, 12):
            writer.cut()
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
    from comfyui_matrixgame.video import part_of, playable_frames

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
