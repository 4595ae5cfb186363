"""Bulk rendering in this process: the engine's frames, never made twice, never lost, one failure does not end it.

BATCH_KILLS=50 kills a run that often (default 2).
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from comfyui_matrixgame import weights
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.batch import runner
from comfyui_matrixgame.batch.backends import local
from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
from comfyui_matrixgame.batch.results import named_links, outputs, report
from comfyui_matrixgame.batch.results.ledger import Ledger
from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.compute import attention
from comfyui_matrixgame.errors import BatchError
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.media.video import VideoWriter, read_video
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.world import Models, load_world, rollout, start_world

from ..weights.files import save
from ..weights.loras import lora
from .jobs import CLIP, GENERATOR, MODELS, VAE, one_thread, run, write_files, write_jobs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one_thread()
    return write_files(tmp_path_factory.mktemp("batch"))


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    for path in base.iterdir():
        if path.is_file():
            (tmp_path / path.name).hardlink_to(path)
    return tmp_path


def states(out: Path) -> dict[str, str]:
    ledger = Ledger(out, write=False)
    found = {entry.name: entry.state for entry in ledger.entries()}
    ledger.close()
    return found


def results(out: Path) -> dict[str, Path]:
    """Folder of each result, by key."""
    return {path.parent.name: path.parent for path in out.glob("results/*/*/result.json")}


def contents(out: Path, *patterns: str) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for pattern in patterns for p in out.glob(pattern) if p.is_file()}


def test_results_are_the_engines(folder: Path) -> None:
    keep = ["mp4", "png", "jpeg", "latents", "inputs", "world"]
    script = "w+left 8f; d 12f"
    path = write_jobs(folder, scripts=[{"name": "walk", "text": script}], seeds=[3], keep=keep, overlay="keys")
    assert run(path) == 0
    models = Models(
        load_generator(folder / GENERATOR, "float32"),
        load_vae(folder / VAE, "float32"),
        vision=load_vision(folder / CLIP, "float32"),
    )
    track = read_text(script, "universal").track
    world = start_world(models, fit_image(read_image(folder / "picture0.png"), 16, 16), 3)
    made = rollout(models, world, track)
    blocks = list(made)
    frames = np.concatenate([block.frames[0].numpy() for block in blocks])
    named = folder / "jobs" / "by_name"
    pictures = sorted((named / "picture0_walk.png").iterdir())
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(p)) for p in pictures]), frames)
    latents = load_file(named / "picture0_walk.latents.safetensors")["latents"]
    assert torch.equal(latents, torch.cat([block.latents[0] for block in blocks], dim=1).transpose(0, 1))
    assert sum(1 for _ in read_video(named / "picture0_walk.mp4")) == 21
    assert sum(1 for _ in read_video(named / "picture0_walk.overlay-keys-bottom.mp4")) == 21
    assert read_text((named / "picture0_walk.inputs.csv").read_text(), "universal").track == track
    assert load_world(named / "picture0_walk.world.safetensors").names == made.world.names
    (key,) = results(folder / "jobs")
    assert key.startswith(made.world.names[0][:40])


def test_a_clip_is_continued(folder: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (21, 16, 16, 3), np.uint8)
    with VideoWriter(folder / "clip.mp4", 16, 16) as writer:
        writer.write(frames)
    entry = {"clips": [{"file": "clip.mp4", "actions": "w 20f"}], "scripts": "d 12f"}
    assert run(write_jobs(folder, jobs=[entry], keep=["latents", "world"])) == 0
    world = load_world(next(folder.glob("jobs/by_name/*.world.safetensors")))
    assert world.block == 3
    (key,) = results(folder / "jobs")
    assert key.startswith(world.names[0][:40])


def test_neighbours_do_not_change_a_result(folder: Path) -> None:
    """Three worlds at once: the same bytes whatever runs beside a job, in whatever order."""
    scripts = ["w 8f", "a 8f", "s 8f", "d 8f"]
    one = write_jobs(folder, "one.json", scripts=scripts, worlds=3)
    two = write_jobs(folder, "two.json", scripts=scripts[::-1], worlds=3)
    assert run(one) == run(two) == 0
    patterns = ("results/*/*/latents.safetensors", "results/*/*/png/*")
    first, second = contents(folder / "one", *patterns), contents(folder / "two", *patterns)
    assert len(first) == 4 * 10
    assert first == second


def test_what_jobs_begin_with_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cache: the same bytes from fewer passes, and none at all where every block is known."""
    passes = []
    real = Generator.forward
    monkeypatch.setattr(Generator, "forward", lambda self, *args: passes.append(1) or real(self, *args))
    scripts = ["w 32f; d 12f", "w 32f; a 24f", {"name": "short", "text": "w 20f"}]
    settings = {"scripts": scripts, "keep": ["png", "latents", "world"]}
    patterns = ("by_name/*.latents.safetensors", "by_name/*/*")

    def made(name: str, *extra: str, **more: object) -> tuple[int, dict[str, bytes]]:
        passes.clear()
        assert run(write_jobs(folder, f"{name}.json", **(settings | more)), *extra) == 0
        return len(passes), contents(folder / name, *patterns)

    plain, expected = made("plain")
    first, found = made("first", cache="cache")
    again, later = made("again", "--cache", str(folder / "cache"), keep=["png", "latents"])
    assert expected == found
    assert again == 0
    assert later == expected
    for path in (folder / "plain").glob("by_name/*.world.safetensors"):
        ours, theirs = load_world(path), load_world(folder / "first" / "by_name" / path.name)
        assert ours.names == theirs.names
        for one, two in zip(ours.caches, theirs.caches, strict=True):
            assert all(torch.equal(ring.k, two.rings()[name].k) for name, ring in one.rings().items())
    assert first < 0.8 * plain
    with pytest.raises(BatchError, match=r"line \d+: a cache holds worlds that were made alone"):
        read_job_file(write_jobs(folder, worlds=2), cache="cache")


def test_finished_jobs_are_known(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    out = folder / "out"
    assert run(write_jobs(folder, scripts=["w 8f", "a 8f"], output="out")) == 0
    before = contents(out, "results/*/*/*")
    loads = []
    real = local.load_all
    monkeypatch.setattr(local, "load_all", lambda *args: loads.append(1) or real(*args))
    assert run(write_jobs(folder, scripts=["a 8f", "w 8f"], output="out")) == 0
    assert "2 finished before" in capsys.readouterr().err
    assert not loads  # recognised without the weights
    extended = write_jobs(folder, "more.json", scripts=["d 8f", "a 8f", "w 8f"], output="out", name="other/{script}")
    assert run(extended) == 0
    assert "1 made, 2 finished before" in capsys.readouterr().err
    assert loads == [1]
    assert before.items() <= contents(out, "results/*/*/*").items()
    assert {"other/w-8f", "other/d-8f", "picture0_w-8f"} <= states(out).keys()
    assert (out / "by_name" / "other" / "w-8f.png" / "000008.png").exists()


def test_another_attention_makes_other_results(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    coarse = attention.Attention("sage", lambda *args: attention.sdpa(*args) * 0.5, approximation="sage")
    monkeypatch.setattr(weights, "get_attention", lambda name: coarse if name == "sage" else attention.sdpa)
    for name in ("sdpa", "sage"):
        assert run(write_jobs(folder, models=MODELS | {"attention": name})) == 0
        assert "1 job: 1 made" in capsys.readouterr().err
    first, second = contents(folder / "jobs", "results/*/*/latents.safetensors").values()
    assert first != second


def test_another_image_tower_makes_other_results(folder: Path, capsys: pytest.CaptureFixture) -> None:
    save_file({name: t * 1.5 for name, t in load_file(folder / CLIP).items()}, folder / "other.safetensors")
    for clip in (CLIP, "other.safetensors"):
        assert run(write_jobs(folder, models=MODELS | {"clip": clip})) == 0
        assert "1 job: 1 made" in capsys.readouterr().err
    first, second = contents(folder / "jobs", "results/*/*/latents.safetensors").values()
    assert first != second


def test_loras_make_other_results_with_their_steps(folder: Path, capsys: pytest.CaptureFixture) -> None:
    weights_of = {name.removeprefix("model."): tensor for name, tensor in load_file(folder / GENERATOR).items()}
    save(folder / "fast.safetensors", lora(weights_of), {"matrixgame": '{"steps": [1000, 500]}'})
    path = write_jobs(folder, models=MODELS | {"lora": "fast.safetensors"}, keep=["world"])
    assert run(path) == 0
    (key,) = results(folder / "jobs")
    world = load_world(next((folder / "jobs" / "by_name").glob("*.world.safetensors")))
    assert (world.variant.steps, world.loras) == ((1000, 500), ("fast.safetensors",))
    assert key.startswith(world.names[0][:40])  # as it was known before it was made
    capsys.readouterr()
    assert run(path) == 0
    assert "1 finished before" in capsys.readouterr().err
    half = write_jobs(folder, models=MODELS, keep=["world"])
    assert run(half, "--lora", f"{folder / 'fast.safetensors'}:0.5") == 0
    assert len(results(folder / "jobs")) == 2
    assert run(write_jobs(folder, models=MODELS | {"lora": [GENERATOR]})) == 1
    assert "jobs.json, line 2: generator.safetensors is not a LoRA" in capsys.readouterr().err


def test_a_plan_counts_its_own_jobs_as_finished(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(write_jobs(folder, seeds="0..2", keep=["latents"])) == 0
    for settings, said in (
        ({"seeds": "1..7"}, "7); 2 are finished"),
        ({"seeds": "7..8"}, "2); 0 are finished"),
        ({"seeds": [5], "name": "picture0_w-8f_s0"}, "1); 0 are finished"),
    ):
        path = write_jobs(folder, **settings)  # type: ignore[arg-type]
        assert main(["batch", "plan", str(path), "--device", "cpu"]) == 0
        assert said in capsys.readouterr().out


def test_what_is_kept_later_is_added(folder: Path) -> None:
    assert run(write_jobs(folder, keep=["png"], output="out")) == 0
    before = contents(folder / "out", "results/*/*/png/*")
    assert run(write_jobs(folder, keep=["png", "mp4"], output="out")) == 0
    (result,) = results(folder / "out").values()
    assert (result / "video.mp4").exists()
    assert json.loads((result / "result.json").read_text())["items"].keys() == {"png", "mp4"}
    assert contents(folder / "out", "results/*/*/png/*") == before


@pytest.mark.parametrize("damage", ["gone", "empty", "a frame less"])
def test_results_without_their_files_are_made_again(folder: Path, damage: str, capsys: pytest.CaptureFixture) -> None:
    path = write_jobs(folder, keep=["mp4", "png", "latents"], seeds="0..1")
    assert run(path) == 0
    before = contents(folder / "jobs", "results/*/*/*.mp4", "results/*/*/png/*", "by_name/*")
    result = next(iter(results(folder / "jobs").values()))
    if damage == "a frame less":
        (result / "png" / "000003.png").unlink()
        (result / "png" / ".DS_Store").write_text("left by a file manager")
    else:
        (result / "video.mp4").write_bytes(b"") if damage == "empty" else (result / "video.mp4").unlink()
    assert run(path) == 0
    assert "1 made, 1 finished before" in capsys.readouterr().err
    assert contents(folder / "jobs", "results/*/*/*.mp4", "results/*/*/png/*", "by_name/*") == before


def test_without_hard_links_what_is_finished_is_not_copied_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = Mock(side_effect=shutil.copyfile)
    refused = PermissionError(errno.EPERM, "Operation not permitted")
    monkeypatch.setattr(named_links.os, "link", Mock(side_effect=refused))
    monkeypatch.setattr(named_links.shutil, "copyfile", copies)
    for seeds, expected in ((1, 1), (1, 1), (2, 2)):
        assert run(write_jobs(folder, keep=["latents"], seeds=seeds)) == 0
        assert copies.call_count == expected
    assert contents(folder / "jobs", "by_name/*").popitem()[1] == copies.call_args[0][0].read_bytes()


def test_a_name_shows_the_frames_of_one_result(folder: Path) -> None:
    for lengths, seed in ((2, 1), (1, 2)):
        assert run(write_jobs(folder, name="walk", lengths=lengths, seeds=seed)) == 0
    assert len(list((folder / "jobs" / "by_name" / "walk.png").iterdir())) == 9


def test_a_name_takes_the_place_of_nobodys_files(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """The user's own stay, also where they came later, and the message names them and the results."""
    named = folder / "jobs" / "by_name"
    (named / "walk.png").mkdir(parents=True)
    mine = [
        named / "walk.mp4",
        named / "walk.png" / "000003.png",
        named / "walk.png" / "cover.png",
        named / "walk.jpeg",
    ]
    for path in mine:
        path.write_text("mine")
    (named / "walk.latents.safetensors").symlink_to("gone")
    keep = ["mp4", "png", "jpeg", "latents", "inputs"]
    assert run(write_jobs(folder, name="walk", keep=keep)) == 0
    said = capsys.readouterr().err
    assert f"kept: {mine[0]} and 3 more files, which this program did not make" in said
    (key,) = results(folder / "jobs")
    assert f"results/{key[:2]}/{key}. Move the files" in said
    assert (named / "walk.inputs.csv").exists()
    assert len(list((named / "walk.png").iterdir())) == 10
    (named / "walk.inputs.csv").unlink()
    (named / "walk.inputs.csv").write_text("mine")
    assert run(write_jobs(folder, name="walk", keep=keep, seeds=2)) == 0
    assert f"kept: {mine[0]} and 4 more files" in capsys.readouterr().err
    assert all(path.read_text() == "mine" for path in [*mine, named / "walk.inputs.csv"])
    assert os.readlink(named / "walk.latents.safetensors") == "gone"


@pytest.mark.parametrize("listed", [True, False])
def test_a_name_goes_on_to_another_result(folder: Path, listed: bool, capsys: pytest.CaptureFixture) -> None:
    """Also in a folder that is older than the list of what was made."""
    for seed in (1, 2):
        assert run(write_jobs(folder, name="walk", keep=["mp4", "png"], seeds=seed)) == 0
        if not listed:
            (folder / "jobs" / "by_name.list").unlink()
    assert "kept" not in capsys.readouterr().err
    shown = folder / "jobs" / "by_name" / "walk.mp4"
    (key,) = [key for key, result in results(folder / "jobs").items() if shown.samefile(result / "video.mp4")]
    assert Ledger(folder / "jobs", write=False).state("walk", key) == "done"


def test_a_list_of_the_users_own_is_not_written_to(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "jobs").mkdir()
    (folder / "jobs" / "by_name.list").write_text("mine")
    assert run(write_jobs(folder)) == 1
    assert "by_name.list exists and is no list that this program wrote; move it." in capsys.readouterr().err
    assert (folder / "jobs" / "by_name.list").read_text() == "mine"


def test_the_same_job_twice_is_made_once(folder: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_jobs(folder, jobs=[{"name": "one"}, {"name": "two"}])
    assert run(path) == 0
    assert len(results(folder / "jobs")) == 1
    assert states(folder / "jobs") == {"one": "done", "two": "done"}
    said = capsys.readouterr().err  # the first may be finished before the second is looked at
    assert "2 made" in said or "1 made, 1 finished before" in said


def test_a_failed_job_does_not_end_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = write_jobs(folder, images=["picture0.png", "picture1.png"])
    real = outputs.ResultWriter.add

    def fails(self: outputs.ResultWriter, *args: object) -> None:
        if self.task.labels["image"] == "picture0":
            raise RuntimeError("no luck\nat all")
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(outputs.ResultWriter, "add", fails)
    assert run(path) == 1
    assert states(folder / "jobs") == {"picture0_w-8f": "failed", "picture1_w-8f": "done"}
    assert "failed: picture0_w-8f: RuntimeError: no luck at all" in capsys.readouterr().err
    assert not list((folder / "jobs" / "parts").iterdir())
    monkeypatch.setattr(outputs.ResultWriter, "add", real)
    assert run(path) == 1
    assert "1 finished before, 1 failed before" in capsys.readouterr().err
    assert run(path, "--retry-failed") == 0
    assert set(states(folder / "jobs").values()) == {"done"}


def test_the_page_takes_little_of_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to write, the next version waits until that was a twentieth of the time."""
    written = []

    def slow(*args: object, quick: bool = False) -> list[Path]:
        written.append(quick)
        time.sleep(0.3)
        return []

    monkeypatch.setattr(runner, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(report, "write_report", slow)
    assert run(write_jobs(folder, seeds="0..7")) == 0
    assert written == [True, True, False]  # once on the way, once when the jobs end, and all of it


def test_a_picture_that_is_gone_fails_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jobs(folder, images=["picture0.png", "picture1.png"])
    real = local.LocalBackend.task

    def gone(self: local.LocalBackend, job: object) -> object:
        (folder / "picture1.png").unlink(missing_ok=True)
        return real(self, job)  # type: ignore[arg-type]

    monkeypatch.setattr(local.LocalBackend, "task", gone)
    assert run(path) == 1
    assert states(folder / "jobs") == {"picture0_w-8f": "done", "picture1_w-8f": "failed"}


def test_a_full_disk_stops_the_run_and_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = write_jobs(folder, scripts=["w 8f", "a 8f", "d 8f"])
    real, calls = outputs.LatentsWriter.add, []

    def full(self: outputs.LatentsWriter, latents: torch.Tensor) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, latents)

    monkeypatch.setattr(outputs.LatentsWriter, "add", full)
    assert run(path) == 1
    said = capsys.readouterr().err
    assert "is full; what is finished stays" in said
    assert "Traceback" not in said
    assert list(states(folder / "jobs").values()) == ["done"]
    assert not list((folder / "jobs" / "parts").iterdir())
    assert run(path) == 0
    assert list(states(folder / "jobs").values()) == ["done"] * 3


def test_folders_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "taken").write_text("a file")
    for command in ("plan", "run"):
        assert main(["batch", command, str(write_jobs(folder, output="taken/out")), "--device", "cpu"]) == 1
        assert "cannot be written to" in capsys.readouterr().err


def test_a_name_that_the_disk_does_not_take_is_said(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    with pytest.raises(BatchError, match="cannot be written: File name too long"), outputs.explaining_full_disk(long):
        long.mkdir()


def test_two_runs_into_one_folder_are_refused(folder: Path, capsys: pytest.CaptureFixture) -> None:
    ledger = Ledger(folder / "jobs")
    assert run(write_jobs(folder)) == 1
    assert "Another run is writing" in capsys.readouterr().err
    ledger.close()
    assert run(write_jobs(folder)) == 0


def test_files_of_another_variant_are_found_in_planning(folder: Path, capsys: pytest.CaptureFixture) -> None:
    for settings, message in (
        ({"variants": "gta_drive"}, "is a generator of universal, and the jobs are for gta_drive"),
        ({"models": {"generator": VAE, "vae": VAE}}, "line 2: --generator: vae.safetensors is"),
        ({"models": {"generator": "none", "vae": VAE}}, "There is no file"),
    ):
        assert main(["batch", "plan", str(write_jobs(folder, **settings)), "--device", "cpu"]) == 1
        said = capsys.readouterr().err
        assert message in said
        assert "line" in said


def test_a_run_that_is_killed_goes_on(folder: Path) -> None:
    """SIGKILL at random moments; then every job is done, once, and the bytes are those of an undisturbed run."""
    settings = {"scripts": ["w 20f", "a 20f", "d 20f"], "seeds": [0, 1]}
    path = write_jobs(folder, output="killed", **settings)
    command = [sys.executable, "-m", "comfyui_matrixgame", "batch", "run", str(path), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    rng = random.Random(5)
    for _ in range(int(os.environ.get("BATCH_KILLS", "2"))):
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        began = list((folder / "killed").glob("results/*/*"))
        while process.poll() is None and not list((folder / "killed").glob("parts/*/*")):
            time.sleep(0.005)  # until it writes
        time.sleep(rng.random() * 0.2)
        process.kill()
        process.wait()
        assert set(began) <= set((folder / "killed").glob("results/*/*"))
    assert run(path) == 0
    assert run(write_jobs(folder, "calm.json", **settings)) == 0
    patterns = ("results/*/*/latents.safetensors", "results/*/*/png/*", "by_name/*/*", "by_name/*.safetensors")
    assert contents(folder / "killed", *patterns) == contents(folder / "calm", *patterns)
    assert list(states(folder / "killed").values()) == ["done"] * 6
    assert not list((folder / "killed" / "parts").iterdir())


def test_results_at_a_url(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Any URL of fsspec, here one with folders; the ledger and the page then lie beside the job file."""
    url = f"file://{folder}/far"
    path = write_jobs(folder, scripts=["w 8f", "a 8f"], output=url, keep=["png", "latents"])
    assert run(path) == 0
    assert run(path) == 0
    assert "2 finished before" in capsys.readouterr().err
    near = write_jobs(folder, "near.json", scripts=["w 8f", "a 8f"])
    assert run(near) == 0
    for pattern in ("results/**/latents.safetensors", "results/**/*.png"):
        found = [sorted(path.read_bytes() for path in (folder / out).glob(pattern)) for out in ("far", "near")]
        assert found[0] == found[1] != []
    assert (folder / "jobs.batch" / "report.html").exists()
    assert run(write_jobs(folder, output="nothing://there")) == 1
    assert "Results cannot be written to nothing://there" in capsys.readouterr().err
