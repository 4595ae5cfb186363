"""A real ComfyUI on a pretended GPU: the engine's frames on that device, edits, live play, core's own nodes, worlds
that a terminal on a CPU goes on with, memory that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.media.video import VideoWriter, read_video
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.world import Models, load_world, rollout, start_world

from ...pretend_gpu import Machine
from ..cached import roll
from ..graphs import Graph
from ..live import Events, back_and_on, graph_of
from ..models import CLIP, UNIVERSAL, VAE
from ..runs import fail, sampled, save_images, saved_images, succeed
from ..server import Host
from ..worlds import HEIGHT, WIDTH, add_models, add_rollout, add_world, simple

WALK = ["w 8f", "w+right(0.1) 12f", "w 12f", "d 13f"]  # a block each
SAID_ON_A_NODE = "!!! Exception during processing !!!"  # core logs where such an error comes from, too
SLOTS = 2  # kinds of passes that are recorded for a rollout


@pytest.fixture(scope="module")
def gpu_host(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """ComfyUI on one pretended GPU. Its dynamic memory talks to a real driver, so that is off; core's own VAE would be
    in bfloat16 there, too coarse to be compared."""
    folder = tmp_path_factory.mktemp("on_gpu")
    for name in ("models", "input"):
        (folder / name).symlink_to(base / name, target_is_directory=True)
    running = Host(folder, "--disable-dynamic-vram", "--fp32-vae", gpus=1)
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
    assert gpu_host.log().count("Traceback") == gpu_host.log().count(SAID_ON_A_NODE)


def test_frames_are_the_engines_on_the_same_device(gpu_host: Host, gpus: Machine, base: Path) -> None:
    script = "\n".join(WALK)
    graph, rolled = simple(script, seed=7)
    save_images(graph, rolled[0], "engine")
    before = len(noted(gpu_host, "graph"))
    succeed(gpu_host, graph)
    assert len(noted(gpu_host, "graph")) >= before + SLOTS
    assert "cuda:0 Pretend GPU" in gpu_host.log()
    device = torch.device("cuda", 0)
    models = models_on(device, base)
    models.vision = load_vision(base / "models" / "clip_vision" / CLIP, "float16", device)  # as core has it on a GPU
    image = fit_image(read_image(base / "input" / "example.png"), HEIGHT, WIDTH)
    ours = frames_from(models, start_world(models, image, 7), script)
    np.testing.assert_array_equal(saved_images(gpu_host, "engine"), ours)


def models_on(device: torch.device, base: Path, dtype: str = "float32") -> Models:
    """The engine's models, from the files that the graphs load."""
    generator = load_generator(base / "models" / "diffusion_models" / UNIVERSAL, dtype, device)
    return Models(generator, load_vae(base / "models" / "vae" / VAE, dtype, device))


def frames_from(models: Models, world: Any, script: str) -> np.ndarray:
    """All frames [N, H, W, 3] of a script that begins where the world stands."""
    blocks = rollout(models, world, read_text(script, "universal").track)
    return np.concatenate([block.frames[0].numpy() for block in blocks])


@pytest.mark.parametrize("dtype", ["float32", pytest.param("auto", marks=pytest.mark.slow)])
def test_a_world_goes_on_in_the_terminal_on_a_cpu_and_back(
    gpu_host: Host, gpus: Machine, base: Path, tmp_path: Path, dtype: str
) -> None:
    """Frames of each part are those that the engine makes there from the same file. dtype: of the weights, in both
    programs."""
    graph = Graph()
    models = add_models(graph, dtype=dtype)
    first = add_rollout(graph, add_world(graph, *models, seed=9), WALK[0])
    graph.add("MatrixGameSaveWorld", world=first[2], filename_prefix=f"matrixgame/{dtype}")
    save_images(graph, add_rollout(graph, first[2], "\n".join(WALK[1:3]))[0], f"{dtype}_stayed")
    succeed(gpu_host, graph)
    (file,) = (gpu_host.base / "output" / "matrixgame").glob(f"{dtype}_*.safetensors")

    cpu = models_on(torch.device("cpu"), base, dtype)
    with VideoWriter(tmp_path / "ours.mp4", HEIGHT, WIDTH) as writer:
        writer.restart_encoder()
        writer.write(frames_from(cpu, load_world(file), WALK[1]))
    in_terminal = [
        "render", str(base / "input" / "example.png"), "--generator", str(base / "models/diffusion_models" / UNIVERSAL),
        "--vae", str(base / "models/vae" / VAE), "--dtype", dtype, "--device", "cpu", "--world", str(file),
        "--actions", "\n".join(WALK[:2]), "-o", str(tmp_path / "terminal.mp4"),
    ]  # fmt: skip
    assert main(in_terminal) == 0
    film, same = (np.stack(list(read_video(tmp_path / f"{name}.mp4"))) for name in ("terminal", "ours"))
    np.testing.assert_array_equal(film, same)
    assert load_world(file).block == 2

    graph = Graph()
    models = add_models(graph, dtype=dtype)
    world = graph.add("MatrixGameLoadWorld", model=models[0], vae=models[1], file=file.name)
    save_images(graph, add_rollout(graph, world, WALK[2])[0], f"{dtype}_back")
    succeed(gpu_host, graph)
    back = saved_images(gpu_host, f"{dtype}_back")
    ours = frames_from(models_on(torch.device("cuda", 0), base, dtype), load_world(file), WALK[2])
    if dtype == "float32":
        np.testing.assert_array_equal(back, ours)
        assert np.abs(back.astype(int) - saved_images(gpu_host, f"{dtype}_stayed")[12:]).max() <= 2  # of 255
    else:  # q, k and v are one product in a terminal on a GPU, and round in bfloat16 elsewhere
        assert np.abs(back.astype(int) - ours).mean() < 3


def test_cores_samplers_and_vae(gpu_host: Host) -> None:
    assert "connect it to Start World" in fail(gpu_host, sampled())
    graph, rolled = simple("\n".join(WALK[:2]), seed=7)
    save_images(graph, rolled[0], "by_ours")
    decoded = graph.add("VAEDecode", samples=rolled[3], vae=graph.add("VAELoader", vae_name=VAE))
    save_images(graph, decoded, "by_core")
    succeed(gpu_host, graph)
    ours, cores = (saved_images(gpu_host, name).astype(np.int16) for name in ("by_ours", "by_core"))
    assert ours.shape == cores.shape
    assert np.abs(ours - cores).max() <= 1  # of 255: core rounds in another way


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


def test_live_play_with_going_back_and_roll_out(gpu_host: Host) -> None:
    events = Events(gpu_host, back_and_on)
    run = gpu_host.run(graph_of("play", again=True).prompt, on_event=events)
    assert run.status == "success", run.error
    live, again = saved_images(gpu_host, "play_live"), saved_images(gpu_host, "play_again")
    assert len(live) >= 33  # the last block is acknowledged before Stop is sent, and another may begin between
    assert np.array_equal(live, again)
    (take,) = events.takes
    (left,) = take["branches"]
    assert left["fork"] == 8  # block 1 is the first to read it


def test_free_gives_all_memory_back(gpu_host: Host) -> None:
    succeed(gpu_host, simple("\n".join(WALK[:3]), seed=8)[0])
    (device,) = gpu_host.get("/system_stats")["devices"]
    taken = device["vram_total"] - device["vram_free"]
    assert taken > 1_000_000
    roll(gpu_host, WALK[:1], "memory")  # `free` sees by an open cache whether it reached the host
    gpu_host.free()
    (device,) = gpu_host.get("/system_stats")["devices"]
    assert device["vram_total"] - device["vram_free"] < 100_000
