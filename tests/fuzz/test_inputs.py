"""Inputs and job files that nobody wrote: only sentences come out, quickly, and nothing is written.

FUZZ_INPUTS is how many are tried of each kind; FUZZ_SEED begins another series.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame.actions.check_document import MAX_FRAMES
from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.formats import exporters
from comfyui_matrixgame.actions.formats.poses import poses_of_track
from comfyui_matrixgame.actions.named_scripts import file_source, read_paths
from comfyui_matrixgame.actions.read import KINDS, load_actions, read_file
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.variants import VARIANTS

from ..actions import generate
from .damage import damaged

COUNT = int(os.environ.get("FUZZ_INPUTS", "120"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = 1.0  # CPU time for one file
MEGABYTES = 500
FILES = Path(__file__).parents[1] / "actions" / "files"


def _array(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _archive(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", random.Random(len(arrays)).choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
    ) as file:
        for name, array in arrays.items():
            file.writestr(f"{name}.npy", _array(array))
    return out.getvalue()


def _files(*endings: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(FILES.iterdir()) if path.suffix in endings]


def _seeds() -> dict[str, list[bytes]]:
    """Whole files of every kind, by an ending that they may have."""
    rng = random.Random(5)
    tracks = [generate.track(rng, 40) for _ in range(6)]
    walk = parse_script("w+left 20; look(0.1, 0.05) 12; d 12").track
    poses = poses_of_track(walk)
    mouse = {"dx": 3.0, "dy": 1.0, "buttons": [0], "dwheel": 0}
    step = {"keyboard": {"keys": ["key.keyboard.w"]}, "mouse": mouse, "isGuiOpen": False, "milli": 50, "hotbar": 1}
    minerl = {"forward": 1, "back": 0, "camera": [1.5, -3.0], "attack": 1}
    session = [{"type": "session_start", "ts": 1.0}, *({"type": "frame_input", "ts": 1 + n / 15, "frame_id": n,
                "buttons": [87, 16], "mouse_dx": 0.1, "mouse_dy": 0} for n in range(9))]  # fmt: skip
    controls = {"schema_version": 1, "actions": [{"buttons": [87], "mouse_dx": 0.1, "scroll_wheel": 1}, {}] * 4}
    rows = {"keyboard_cond": walk.keyboard.tolist(), "mouse_cond": [[0, 0.1]] * len(walk)}
    kinds = [VARIANTS["universal"], VARIANTS["gta_drive"], VARIANTS["templerun"]]
    return {
        ".mgs": [generate.script(rng, kinds[n % 3]).encode() for n in range(9)] + _files(".mgs"),
        ".csv": [exporters.TEXTS["csv"](track).encode() for track in tracks] + _files(".csv"),
        ".json": [Timeline.from_track(track).to_text().encode() for track in tracks]
        + [generate.timeline(rng).to_text().encode() for _ in range(6)]
        + [json.dumps(data).encode() for data in (controls, rows, [step] * 5, [minerl] * 5)]
        + _files(".json"),
        ".jsonl": ["\n".join(map(json.dumps, lines)).encode() for lines in ([step] * 9, [minerl] * 9, session)],
        ".txt": [*_files(".txt"), exporters.TEXTS["realestate"](walk).encode(), b"w-3, right-1, d-4",
                 b"--action-list w left_rot --action-speed-list 0.2 0.4"],
        ".npy": [_array(walk.keyboard), _array(poses), _array(np.zeros((1, 9, 4), np.int64))],
        ".npz": [_archive(keyboard_cond=walk.keyboard, mouse_cond=np.zeros((len(walk), 2))), _archive(c2w=poses),
                 *_files(".npz")],
    }  # fmt: skip


SEEDS = _seeds()
JOBS = {
    ".yaml": [
        b"images: [a.png, 'pics/*.png']\nscripts: [walk.mgs, {name: 007, text: w 9}, 'bench:3', preset:dolly_in]\n"
        b"seeds: [0..3, 9]\nlengths: [2, 2s]\nname: '{image}_{script}_{length}_s{seed}'\noverlay: keys\n",
        b"size: 128x64\nkeep: [mp4, inputs]\njobs:\n- {image: a.png, script: walk.mgs, seed: 3, name: x}\n"
        b"- {images: pics, scripts: [rec.jsonl], name: y}\n",
        b"images: &p pics\nscripts: w 9\noutput: ~/x\ncache: c\nworlds: 1\nvariants: [universal]\nversion: 1\n",
    ],
    ".json": [b'{"images": ["pics"], "scripts": ["w 9", "tour.mgs"], "seeds": [1], "name": "{script}"}'],
    ".csv": [b"# keep: [mp4]\nimage,script,seed,name\na.png,w 9,3,one\na.png,walk.mgs,4,two\n",
             b"sep=;\nimage;script;length\r\npics/b.png;\"w 9\";2\r\n"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "pics/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (128, 64)).save(tmp_path / name)
    (tmp_path / "pics" / "notes.txt").write_text("x")
    (tmp_path / "walk.mgs").write_text("w 2b\n")
    (tmp_path / "tour.mgs").write_text("--- one\nw 1b\n--- two\nleft 2b\n")
    (tmp_path / "rec.jsonl").write_bytes(SEEDS[".jsonl"][0])
    return tmp_path


@contextlib.contextmanager
def guarded(case: Path) -> Iterator[None]:
    """What runs inside raises a MatrixGameError or nothing, within SECONDS of CPU time."""
    before = time.process_time()
    try:
        yield
    except MatrixGameError as error:
        assert str(error).strip(), case  # noqa: PT017
    spent = time.process_time() - before
    assert spent < SECONDS, f"{case} took {spent:.2f} s"


def tried(
    folder: Path, kind: str, ending: str, seeds: list[bytes], read: Callable[[Path, random.Random], None]
) -> None:
    """Read COUNT damaged files; the one that breaks something stays for a look."""
    others = [seed for each in SEEDS.values() for seed in each]
    case = folder / f"case{ending}"
    before = _memory()
    for number in range(COUNT):
        rng = random.Random(f"{SEED}/{kind}/{number}")
        case.write_bytes(damaged(rng, rng.choice(seeds), others))
        listed = sorted(path.name for path in folder.rglob("*"))
        with guarded(case):
            read(case, rng)
        assert sorted(path.name for path in folder.rglob("*")) == listed, "something was written"
    assert _memory() - before < MEGABYTES


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _read_inputs(case: Path, rng: random.Random) -> None:
    variant = rng.choice([None, *VARIANTS])
    kind = rng.choice(KINDS) if rng.random() < 0.2 else None
    loaded = read_file(case, variant, kind) if kind else load_actions(case, variant)
    assert 0 < len(loaded.track) <= MAX_FRAMES
    assert all(note.isprintable() or "\n" in note for note in loaded.notes if loaded.kind == "script")


def _read_named(case: Path, rng: random.Random) -> None:
    read_paths([file_source(case)], rng.choice(list(VARIANTS)))


def _read_jobs(case: Path, rng: random.Random) -> None:
    jobs = read_job_file(case)
    assert len(jobs) == sum(total.jobs for total in jobs.totals())
    for _, job in zip(range(3), jobs.jobs(), strict=False):
        assert job.name


@pytest.mark.parametrize("ending", SEEDS)
def test_damaged_inputs_end_in_a_track_or_a_sentence(folder: Path, ending: str) -> None:
    tried(folder, "inputs", ending, SEEDS[ending], _read_inputs)


@pytest.mark.parametrize("ending", [".mgs", ".txt"])
def test_damaged_scripts_of_a_batch(folder: Path, ending: str) -> None:
    tried(folder, "named", ending, [*SEEDS[ending], b"--- a\nw 9\n---\nd 9\n"], _read_named)


@pytest.mark.parametrize("ending", JOBS)
def test_damaged_job_files(folder: Path, ending: str) -> None:
    tried(folder, "jobs", ending, JOBS[ending], _read_jobs)
