"""Fifty runs and a minute of video leave the host's memory where it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..models import CLIP, UNIVERSAL, VAE
from ..server import Host, run_in_core
from ..worlds import BLOCK0, HEIGHT, WIDTH, simple

MEGABYTE = 1 << 20
RUNS, WARM_UP = 50, 10
MINUTE = 125  # blocks


@pytest.fixture(scope="module")
def forgetful(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that drops outputs as soon as the graph changes; by default core keeps them until memory is short."""
    folder = tmp_path_factory.mktemp("forgetful")
    (folder / "models").symlink_to(base / "models", target_is_directory=True)
    (folder / "input").symlink_to(base / "input", target_is_directory=True)
    host = Host(folder, "--cache-classic")
    yield host
    host.stop()


@pytest.mark.slow
def test_fifty_runs_do_not_grow(forgetful: Host) -> None:
    before = 0
    for seed in range(RUNS):
        assert forgetful.run(simple(BLOCK0, seed=seed)[0].prompt).status == "success"
        if seed + 1 == WARM_UP:
            before = forgetful.memory_bytes()
    grown = forgetful.memory_bytes() - before
    worlds = list((forgetful.base / "temp" / "matrixgame").glob("latents_*"))
    print(f"{RUNS - WARM_UP} runs: {grown / MEGABYTE:.1f} MB, {len(worlds)} worlds alive")
    assert len(worlds) <= 4  # each living world has such a folder: those of the last graph, and no other
    assert grown < 48 * MEGABYTE


@pytest.mark.slow
def test_a_minute_of_video_is_never_in_memory(forgetful: Host) -> None:
    start = forgetful.memory_bytes()
    seen: list[int] = []

    def watch(kind: str, _: dict[str, Any]) -> None:
        if kind == "progress":
            seen.append(forgetful.memory_bytes())

    graph, _ = simple(f"w {12 * MINUTE - 4}f", seed=time.time_ns() % 2**32)  # never one that the host has cached
    run = forgetful.run(graph.prompt, on_event=watch, timeout=1800)
    assert run.status == "success"
    assert len(run.previews) == MINUTE
    frames = (12 * MINUTE - 3) * HEIGHT * WIDTH * 3 * 4
    grown = max(seen[len(seen) // 2 :]) - max(seen[: len(seen) // 4])  # the first blocks make what all blocks use
    print(f"{MINUTE} blocks: {grown / MEGABYTE:.1f} MB more; the frames as IMAGE would be {frames / MEGABYTE:.0f} MB")
    assert grown < frames / 2
    assert max(seen) - start < 1024 * MEGABYTE  # the models' loading included, where this test runs first


OUT_OF_MEMORY = """
import torch, comfy.model_management as memory
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
from comfyui_matrixgame.host.models.ready import ready
loaded = load_generator(generator, "float32", "auto"), load_vae(vae, "full", "float32")
later = getattr(torch, "AcceleratorError", RuntimeError)("CUDA error")
later.error_code = 2  # how a device that ran out of memory before tells it
full_ram = RuntimeError("DefaultCPUAllocator: can't allocate memory")
for error in (torch.OutOfMemoryError("CUDA out of memory"), later, full_ram):
    def full(*_, **__):
        raise error
    memory.load_models_gpu = full
    try:
        with ready(*loaded, 64, 96):
            pass
    except type(error) as told:
        print("told:", told)
        assert memory.is_oom(told) >= memory.is_oom(error)  # core lets go of its models where it knows
"""


def test_out_of_memory_says_what_helps(base: Path) -> None:
    """Nothing here can fill a device, so the error is raised where core would raise it."""
    printed = run_in_core(OUT_OF_MEMORY, base, generator=UNIVERSAL, vae=VAE)
    told = [line for line in printed.splitlines() if line.startswith("told:")]
    assert len(told) == 3
    for line in told:
        assert "choose dtype float8_e4m3fn" in line
        assert "--lowvram" in line


AGAIN = """
import torch, comfy.clip_vision
from comfyui_matrixgame.host.models import vision
tower = comfy.clip_vision.load(clip)
made, make = [], vision.vision_from_state
vision.vision_from_state = lambda *args: made.append(1) or make(*args)
pictures = [torch.full((1, 3, 64, 96), float(value)) for value in (-1, 0, 0, -1)]
first, second, again, back = [vision.image_features(tower, picture) for picture in pictures]
assert torch.equal(second, again) and torch.equal(first, back) and not torch.equal(first, second)
other = vision.image_features(comfy.clip_vision.load(clip), pictures[-1])
assert torch.equal(other, first)
print("made:", len(made), "kept:", len(vision._last))
"""


@pytest.mark.slow
def test_the_image_tower_runs_again_only_for_another_image_or_tower(base: Path) -> None:
    printed = run_in_core(AGAIN, base, clip=str(base / "models" / "clip_vision" / CLIP))
    assert "made: 4 kept: 1" in printed  # the second tower is gone, and what was kept for it
