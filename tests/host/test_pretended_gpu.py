"""A real ComfyUI on a pretended GPU: the engine's frames on that device, edits, live play, memory that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions.text import read_text
from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.images import fit_image, read_image
from comfyui_matrixgame.world import Models, rollout, start_world

from ..pretend_gpu import Machine
from .models import CLIP, UNIVERSAL, VAE
from .server import Host
from .test_cache import free, roll
from .test_live_play import Events, graph_of, walk_two_blocks_and_stop
from .test_rollout import save_images, saved_images, succeed
from .worlds import HEIGHT, WIDTH, simple

WALK = ["w 8f", "w+right(0.1) 12f", "w 12f", "d 13f"]  # a block each
SLOTS = 2  # kinds of passes that are recorded for a rollout


@pytest.fixture(scope="module")
def gpu_host(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """ComfyUI on one pretended GPU. Its dynamic memory talks to a real driver, so that is off."""
    folder = tmp_path_factory.mktemp("on_gpu")
    for name in ("models", "input"):
        (folder / name).symlink_to(base / name, target_is_directory=True)
    running = Host(folder, "--disable-dynamic-vram", gpus=1)
    yield running
    running.stop()


def noted(host: Host, kind: str) -> list[str]:
    """What the pretended GPU reported so far."""
    lines = host.gpu_report.read_text().splitlines() if host.gpu_report.exists() else []
    return [line for line in lines if line.startswith(kind)]


@pytest.fixture(autouse=True)
def _in_order(gpu_host: Host) -> Iterator[None]:
    before = len(noted(gpu_host, "race"))
    yield
    assert noted(gpu_host, "race")[before:] == []
    assert "Traceback" not in gpu_host.log()


def test_frames_are_the_engines_on_the_same_device(gpu_host: Host, gpus: Machine, base: Path) -> None:
    script = "\n".join(WALK)
    graph, rolled = simple(script, seed=7)
    save_images(graph, rolled[0], "engine")
    before = len(noted(gpu_host, "graph"))
    succeed(gpu_host, graph)
    assert len(noted(gpu_host, "graph")) >= before + SLOTS
    assert "cuda:0 Pretend GPU" in gpu_host.log()
    folder, device = base / "models", torch.device("cuda", 0)
    models = Models(
        load_generator(folder / "diffusion_models" / UNIVERSAL, "float32", device),
        load_vae(folder / "vae" / VAE, "float32", device),
        vision=load_vision(folder / "clip_vision" / CLIP, "float16", device),  # as core has it on a GPU
    )
    image = fit_image(read_image(base / "input" / "example.png"), HEIGHT, WIDTH)
    world = start_world(models, image, 7)
    blocks = list(rollout(models, world, read_text(script, "universal").track))
    ours = np.concatenate([block.frames[0].numpy() for block in blocks])
    np.testing.assert_array_equal(saved_images(gpu_host, "engine"), ours)


def test_an_edit_and_an_undo(gpu_host: Host) -> None:
    report, whole = roll(gpu_host, WALK, "edits")
    assert report.startswith("4 blocks made, 0 reused")
    report, edited = roll(gpu_host, [*WALK[:3], "a 13f"], "edits")
    assert report.startswith("1 block made, 3 reused")
    np.testing.assert_array_equal(edited[:33], whole[:33])
    report, fresh = roll(gpu_host, [*WALK[:3], "a 13f"], "fresh")
    assert report.startswith("4 blocks made")
    np.testing.assert_array_equal(edited, fresh)
    report, again = roll(gpu_host, WALK, "edits")
    assert report.startswith("0 blocks made, 4 reused")
    np.testing.assert_array_equal(again, whole)


def test_live_play_and_roll_out(gpu_host: Host) -> None:
    events = Events(gpu_host, walk_two_blocks_and_stop)
    run = gpu_host.run(graph_of("play", again=True).prompt, on_event=events)
    assert run.status == "success", run.error
    live, again = saved_images(gpu_host, "play_live"), saved_images(gpu_host, "play_again")
    assert len(live) >= 21
    assert np.array_equal(live, again)


def test_free_gives_all_memory_back(gpu_host: Host) -> None:
    succeed(gpu_host, simple("\n".join(WALK[:3]), seed=8)[0])
    (device,) = gpu_host.get("/system_stats")["devices"]
    taken = device["vram_total"] - device["vram_free"]
    assert taken > 1_000_000
    roll(gpu_host, WALK[:1], "memory")  # `free` sees by an open cache whether it reached the host
    free(gpu_host)
    (device,) = gpu_host.get("/system_stats")["devices"]
    assert device["vram_total"] - device["vram_free"] < 100_000
