"""Bulk rendering on real ComfyUI servers: one, two, one that dies, one with other nodes, one without the files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from comfyui_matrixgame.batch.backends.comfyui import workflow as workflows
from comfyui_matrixgame.batch.results.ledger import Ledger
from comfyui_matrixgame.media.video import VideoWriter, read_video
from comfyui_matrixgame.terminal.main import main

from ..models import CLIP, UNIVERSAL, VAE
from ..server import Host
from ..worlds import HEIGHT, WIDTH

SCRIPTS = [{"name": "walk", "text": "w+right(0.1) 8f; w 12f"}, {"name": "back", "text": "s 8f"}]


@pytest.fixture(scope="module")
def second(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("second")
    (folder / "models").symlink_to(base / "models", target_is_directory=True)
    running = Host(folder)
    yield running
    running.stop()


def write(folder: Path, base: Path, name: str, local: bool = False, **settings: Any) -> Path:
    torch.set_num_threads(1)  # as the host
    places = [base / "models" / kind for kind in ("diffusion_models", "vae", "clip_vision")] if local else [Path()] * 3
    files = [str(place / file) for place, file in zip(places, (UNIVERSAL, VAE, CLIP), strict=True)]
    jobs = {
        "models": {"generator": files[0], "vae": files[1], "clip": files[2], "dtype": "float32"},
        "size": f"{WIDTH}x{HEIGHT}",
        "images": str(base / "input" / "example.png"),
        "scripts": SCRIPTS,
        "keep": ["mp4", "png", "latents"],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(jobs | settings))
    return path


def pictures(out: Path) -> dict[str, np.ndarray]:
    return {str(path.relative_to(out)): np.asarray(Image.open(path)) for path in out.glob("by_name/*.png/*.png")}


def test_hosts_make_what_the_engine_makes(
    host: Host, second: Host, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The same frames from two hosts and from this process, and latents but for the rounding of core's scale."""
    # one seed: with each, a host looks at the picture again, which costs more than the rollout
    scripts = [*SCRIPTS, {"name": "aside", "text": "d 8f"}, {"name": "round", "text": "left(0.1) 8f"}]
    settings = {"scripts": scripts, "seeds": [3]}
    far, near = write(tmp_path, base, "far", **settings), write(tmp_path, base, "near", local=True, **settings)
    assert main(["batch", "plan", str(far), "--comfyui", host.url, second.url]) == 0
    assert "jobs      4" in capsys.readouterr().out
    assert main(["batch", "run", str(far), "--comfyui", host.url, second.url]) == 0
    assert main(["batch", "run", str(near), "--device", "cpu"]) == 0
    ours, theirs = pictures(tmp_path / "near"), pictures(tmp_path / "far")
    assert len(ours) == 21 + 3 * 9
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    for path in (tmp_path / "near").glob("by_name/*.latents.safetensors"):
        other = load_file(tmp_path / "far" / "by_name" / path.name)["latents"]
        torch.testing.assert_close(load_file(path)["latents"], other, rtol=0, atol=1e-5)
    ledger = Ledger(tmp_path / "far", write=False)
    workers = {entry.result.worker for entry in ledger.entries() if entry.result}
    ledger.close()
    assert workers == {host.url, second.url}
    capsys.readouterr()
    assert main(["batch", "run", str(far), "--comfyui", host.url]) == 0
    assert "4 finished before" in capsys.readouterr().err


@pytest.mark.slow
def test_the_hosts_video_is_taken_as_it_is(host: Host, base: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", HEIGHT, WIDTH) as writer:
        writer.write(np.random.default_rng(0).integers(0, 256, (9, HEIGHT, WIDTH, 3), np.uint8))
    clip = {"clips": [{"file": "clip.mp4", "actions": "w 8f"}], "scripts": [{"name": "on", "text": "d 12f"}]}
    settings = {"jobs": [{}, clip], "keep": ["mp4"], "overlay": "keys"}
    assert main(["batch", "run", str(write(tmp_path, base, "far", **settings)), "--comfyui", host.url]) == 0
    assert main(["batch", "run", str(write(tmp_path, base, "near", local=True, **settings)), "--device", "cpu"]) == 0
    videos = sorted((tmp_path / "near" / "by_name").glob("*.mp4"))
    assert len(videos) == 6
    for path in videos:
        ours, theirs = (list(read_video(tmp_path / out / "by_name" / path.name)) for out in ("near", "far"))
        assert len(ours) == len(theirs) == (12 if "clip" in path.name else 21 if "walk" in path.name else 9)
        if "clip" not in path.name and "overlay" not in path.name:  # core decodes a clip's colours in its own way
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_workflow_of_ones_own(host: Host, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from comfyui_matrixgame.batch.jobs.jobfile import read_job_file

    path = write(tmp_path, base, "jobs", keep=["mp4"], scripts=SCRIPTS[1:])
    own = workflows.for_host(workflows.default_workflow(read_job_file(path), False, ("mp4",)), host.get("/object_info"))
    own["generator"]["inputs"]["file"] = UNIVERSAL
    own["world"]["inputs"]["seed"] = "{seed}"
    (tmp_path / "own.json").write_text(json.dumps(own))
    more = ["--comfyui", host.url, "--workflow", str(tmp_path / "own.json")]
    assert main(["batch", "run", str(path), *more]) == 0
    for change, message in (({"script": 3}, "has no {script}"), ({"script": "{script}{frog}"}, "{frog}")):
        wrong = json.loads(json.dumps(own))
        wrong["actions"]["inputs"] |= change
        (tmp_path / "own.json").write_text(json.dumps(wrong))
        assert main(["batch", "plan", str(path), *more]) == 1
        assert message in capsys.readouterr().err


def test_what_a_host_lacks_is_found_in_planning(
    host: Host, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(path: Path, *urls: str) -> str:
        assert main(["batch", "plan", str(path), "--comfyui", *urls]) == 1
        return capsys.readouterr().err

    missing = write(tmp_path, base, "missing", models={"generator": "none.safetensors", "vae": VAE, "clip": CLIP})
    assert "'none.safetensors' is not among the files" in plan(missing, host.url)
    jobs = write(tmp_path, base, "jobs")
    assert "No ComfyUI answers at http://127.0.0.1:1" in plan(jobs, "127.0.0.1:1")
    states = iter(["one", "two"])
    monkeypatch.setattr("comfyui_matrixgame.batch.backends.comfyui.hosts.pack_state", lambda info: next(states))
    assert "have different versions of the MatrixGame nodes" in plan(jobs, host.url, host.url + "/")


def test_an_older_pack_is_told_from_this_one(host: Host) -> None:
    info = {name: about for name, about in host.get("/object_info").items()}
    older = json.loads(json.dumps(info))
    older["MatrixGameRollOut"]["input"]["required"]["length"] = ["INT", {}]
    assert workflows.pack_state(info) != workflows.pack_state(older)
    named = json.loads(json.dumps(info))
    named["MatrixGameLoadGenerator"]["input"]["required"]["file"][1]["options"] = ["another.safetensors"]
    assert workflows.pack_state(info) == workflows.pack_state(named)


def test_a_host_that_dies_loses_nothing(host: Host, second: Host, base: Path, tmp_path: Path) -> None:
    scripts = ["w 20f", "s 20f", "d 20f"]
    path = write(tmp_path, base, "jobs", seeds=[4], keep=["png"], scripts=scripts)
    before = second.log().count("got prompt")

    def kill() -> None:
        while second.log().count("got prompt") == before:
            time.sleep(0.05)
        second.process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    assert main(["batch", "run", str(path), "--comfyui", second.url, host.url]) == 0
    thread.join()
    assert len(pictures(tmp_path / "jobs")) == 3 * 21
