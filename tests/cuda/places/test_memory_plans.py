"""Every plan that fits a rollout into a small card, on two devices at once: the numbers it promises, and no race."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from comfyui_matrixgame import weights
from comfyui_matrixgame.memory import MemoryEstimate, MemoryPlan
from comfyui_matrixgame.weights import Files, find_files
from comfyui_matrixgame.world import Block

from ...batch.jobs import CLIP, GENERATOR, VAE
from ...cache.blocks import same
from ...pretend_gpu import Machine
from ..conftest import TINY
from ..networks import CUDA, begin, blocks_of, on_both

BLOCKS = 2
WIDE = 16, 256  # enough for two tiles


def files_for(folder: Path, device: torch.device, tiny: bool = False, precision: str = "exact") -> Files:
    decoder = folder / TINY if tiny else None
    files = find_files(folder / GENERATOR, folder / VAE, folder / CLIP, decoder, "float32", device)
    return replace(files, precision=precision)


def planned(files: Files, mode: str, gone: bool, tiles: int = 1, size: tuple[int, int] = (16, 16)) -> list[Block]:
    """The blocks that a plan makes."""
    plan = MemoryPlan(mode, gone, tiles, MemoryEstimate(0, 0, 0, 0))
    models = weights.load_models(files, plan=plan)
    return blocks_of(models, begin(models, size=size), BLOCKS)


def test_plans_that_keep_every_number(two_gpus: Machine, folder: Path) -> None:
    whole = planned(files_for(folder, CUDA[0]), "full", False)
    assert same(planned(files_for(folder, CUDA[1]), "full", True), whole)
    for made in on_both(lambda device: planned(files_for(folder, device), "stream", False), together=True):
        assert same(made, whole)


def test_streamed_8_bits(two_gpus: Machine, folder: Path) -> None:
    files = files_for(folder, CUDA[0], tiny=True, precision="int8")
    whole = planned(files, "full", False)
    assert same(planned(replace(files, device=CUDA[1]), "stream", True), whole)


def test_weights_stored_as_fp8(two_gpus: Machine, folder: Path) -> None:
    first, second = on_both(lambda device: planned(files_for(folder, device, tiny=True), "fp8", False))
    assert same(first, second)


def test_tiles_keep_every_latent(two_gpus: Machine, folder: Path) -> None:
    whole = planned(files_for(folder, CUDA[0]), "full", False, 1, WIDE)
    first, second = on_both(lambda device: planned(files_for(folder, device), "stream", False, 2, WIDE))
    assert same(first, second)
    for ours, theirs in zip(first, whole, strict=True):
        assert torch.equal(ours.latents, theirs.latents)
        assert not torch.equal(ours.frames, theirs.frames)


def test_nothing_stays_when_models_are_let_go(gpus: Machine, folder: Path) -> None:
    """And the last layer that was fetched ahead has its places until it is there."""
    for mode in ("full", "stream"):
        planned(files_for(folder, CUDA[0]), mode, False)
        gc.collect()
        torch.empty(1000, device="cuda")  # takes what was given back
    gc.collect()
    assert torch.cuda.memory_allocated() < 100_000


@pytest.mark.card(total=1.0)
def test_the_plan_is_the_first_that_fits(gpus: Machine, folder: Path) -> None:
    files = files_for(folder, CUDA[0])
    seen = []
    for total in (80e9, 1.2113e9, 1.2065e9, 1.2052e9, 1e9):
        gpus.total = int(total)
        plan = weights.plan_for(files, 32, 256)
        seen.append((plan.mode, plan.encode_at_once, plan.tiles, plan.fits))
    assert seen[0] == ("full", False, 1, True)
    assert seen[-1] == ("stream", True, 2, False) or seen[-1][3] is False
    assert [fits for *_, fits in seen] == sorted((fits for *_, fits in seen), reverse=True)
    gpus.total, gpus.taken[0] = int(80e9), int(79.5e9)  # another program has the card
    assert not weights.plan_for(files, 32, 256).fits
