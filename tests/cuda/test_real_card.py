"""On a CUDA device, real or otherwise pretended: golden numbers, no waits, and memory that stays."""

from __future__ import annotations

import copy
import gc
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from comfyui_matrixgame import weights
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.compute.quantise import QuantisedLinear, check_precision
from comfyui_matrixgame.measure.networks import random_models
from comfyui_matrixgame.memory import RESERVE, estimate_memory
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS
from comfyui_matrixgame.weights import Files, find_files
from comfyui_matrixgame.world import Models, Rollout, rollout, start_world
from comfyui_matrixgame.world.warm import passes_of_warm_up, warm_up

from ..support.golden_rollouts import (
    BFLOAT16_TOLERANCE,
    TOLERANCE,
    golden_noise,
    golden_track,
    golden_world,
    models_with,
)
from ..support.networks import (
    golden,
    golden_config,
    largest_difference,
    random_track,
    small_image,
    small_models,
    with_streams,
)

pytestmark = pytest.mark.gpu
REAL = torch.cuda.is_available()
real = pytest.mark.skipif(not REAL, reason="there is no CUDA device here, and what a pretended one shows is tested")
full_size = pytest.mark.skipif(not REAL, reason="there is no CUDA device here, and a pretended one is too slow for it")
CUDA = torch.device("cuda")
COMPLETE = 12  # blocks until the condition is complete and every shape was met
WARM = COMPLETE if REAL else 3  # blocks until every kind of pass was recorded
PASS_ALLOCATIONS = 16  # between the starts of two passes: the formulas' results and the step's noise


@pytest.fixture(autouse=True)
def card(request: pytest.FixtureRequest) -> None:
    """The device of a test."""
    if not REAL:
        request.getfixturevalue("gpus")


@contextmanager
def exact_products() -> Iterator[None]:
    """Float32 products without TF32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def on_cuda(name: str, dtype: torch.dtype) -> Models:
    model = with_streams(Generator(golden_config(name)), name).to(CUDA, dtype)
    model.compute_dtype = dtype  # type: ignore[assignment]
    models = models_with(model, name)
    models.vae.to(CUDA)
    return models


def difference_from_golden(name: str, dtype: torch.dtype) -> float:
    answers = golden(f"rollout_{name}")
    models = on_cuda(name, dtype)
    run = rollout(models, golden_world(models, name), golden_track(models, answers), 4, noise=golden_noise(name))
    latents = torch.cat([block.latents.cpu() for block in run], dim=2)
    return largest_difference(latents[..., ::4, ::4], answers["latents"])


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS if REAL else ["universal"])  # (pretended, they take 15 s each)
def test_rollout(name: str) -> None:
    with exact_products():
        assert difference_from_golden(name, torch.float32) < TOLERANCE


@real
@pytest.mark.parametrize("name", VARIANTS)
def test_rollout_in_bfloat16(name: str) -> None:
    assert 1e-4 < difference_from_golden(name, torch.bfloat16) < BFLOAT16_TOLERANCE


def small_rollout(blocks: int, on_pass=None) -> Rollout:
    """A rollout of small networks on the device; nothing in it depends on sizes."""
    models = small_models(tiny=True)
    parts = [models.generator, models.vae, models.decoder]
    moved = Models(*(copy.deepcopy(part).to(CUDA) for part in parts))  # type: ignore[arg-type]
    features = torch.zeros(1, 257, moved.generator.config.visual_dim)
    world = start_world(moved, small_image(), features=features)
    return rollout(moved, world, random_track(UNIVERSAL, rows_of_blocks(blocks)), on_pass=on_pass)


def test_a_block_waits_only_for_its_frames() -> None:
    run = small_rollout(WARM + 1)
    for _ in range(WARM):
        next(run)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            next(run)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [f"{w.filename}:{w.lineno}" for w in caught if "synchronizing" in str(w.message)]
    assert len(waits) <= 1, waits


def test_recorded_passes_are_those_called_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = list(small_rollout(WARM))
    monkeypatch.setenv("MATRIXGAME_GRAPHS", "0")
    called = list(small_rollout(WARM))
    for a, b in zip(recorded, called, strict=True):
        assert torch.equal(a.latents, b.latents)
        assert torch.equal(a.frames, b.frames)


def test_memory_stays() -> None:
    run = small_rollout(COMPLETE + 4)
    for _ in range(COMPLETE):
        next(run)
    current, segments = [], []
    for _ in range(3):
        next(run)
        torch.cuda.synchronize()
        stats = torch.cuda.memory_stats()
        current.append(stats["allocated_bytes.all.current"])
        segments.append(stats["segment.all.allocated"])
    assert len(set(current)) == 1, current
    assert len(set(segments)) == 1, segments


def test_a_pass_allocates_nothing_of_its_own() -> None:
    """A pass replays a graph, whose memory is the graph's own."""
    allocations: list[int] = []

    def on_pass(_) -> None:
        allocations.append(torch.cuda.memory_stats()["allocation.all.allocated"])

    run = small_rollout(WARM + 1, on_pass)
    for _ in range(WARM):
        next(run)
    allocations.clear()
    next(run)
    between = [after - before for before, after in itertools.pairwise(allocations)]
    assert max(between) <= PASS_ALLOCATIONS, between


def test_warm_up_is_done_once_for_a_size() -> None:
    models = small_models(tiny=True)
    moved = Models(*(copy.deepcopy(part).to(CUDA) for part in (models.generator, models.vae, models.decoder)))  # type: ignore[arg-type]
    seen = []
    assert passes_of_warm_up(moved, 32, 48) == 12
    warm_up(moved, 32, 48, on_pass=seen.append)
    assert len(seen) == 12
    assert passes_of_warm_up(moved, 32, 48) == 0
    assert passes_of_warm_up(moved, 48, 48) == 12


@pytest.mark.parametrize("precision", ["fp8", "int8"])
def test_8_bits_by_the_card_are_8_bits_by_torch(precision: str) -> None:
    check_precision(precision, CUDA)
    linear = torch.nn.Linear(1536, 512).to(CUDA, torch.bfloat16)
    quantised = QuantisedLinear(linear, precision)
    x = torch.randn(40, 1536, device=CUDA, dtype=torch.bfloat16)
    with torch.inference_mode():
        ours = quantised(x, gelu_first=True).float()
        theirs = copy.deepcopy(quantised).cpu()(x.cpu(), gelu_first=True).float().to(CUDA)
    assert (ours - theirs).norm() < 0.01 * theirs.norm()


@full_size
def test_full_size_takes_what_was_estimated() -> None:
    """Weights, caches, decoder and what a block needs, in bfloat16, with the condition's encoder."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    models = random_models(UNIVERSAL, "full", "bfloat16", CUDA, "wan")
    estimate = estimate_memory(
        models.generator.config, 352, 640, weights=sum(map(bytes_of, (models.generator, models.vae))),
        cache_dtype=torch.bfloat16, compute_dtype=torch.bfloat16, kept=False,
    )  # fmt: skip
    world = start_world(models, torch.zeros(3, 352, 640), features=torch.zeros(1, 257, 1280))
    run = rollout(models, world, ActionTrack.idle(UNIVERSAL, rows_of_blocks(3)))
    del world
    assert sum(1 for _ in run) == 3
    taken = torch.cuda.max_memory_allocated() - before
    assert 0.8 * estimate.total < taken < estimate.total + RESERVE, (taken, str(estimate))


def bytes_of(network: torch.nn.Module) -> int:
    return sum(parameter.nbytes for parameter in network.parameters())


@pytest.fixture(scope="module")
def full_size_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("full_size")
    models = random_models(UNIVERSAL, "full", "bfloat16", CUDA, "wan")
    for name, network in (("generator", models.generator), ("vae", models.vae)):
        save_file(
            {key: value.contiguous() for key, value in network.state_dict().items()}, folder / f"{name}.safetensors"
        )
    return find_files(folder / "generator.safetensors", folder / "vae.safetensors", None, None, "auto", CUDA)


@full_size
@pytest.mark.parametrize(("gigabytes", "mode"), [(11.2, "full"), (7.2, "stream"), (5.4, "stream"), (7.2, "fp8")])
def test_small_cards(full_size_files: Files, monkeypatch: pytest.MonkeyPatch, gigabytes: float, mode: str) -> None:
    """What is free on cards of 12, 8 and 6 GB, with the allocator held to it."""
    asked = "fp8" if mode == "fp8" else "auto"
    files = replace(full_size_files, memory=asked)
    monkeypatch.setattr(weights, "free_memory", lambda _: int(gigabytes * 1e9))
    plan = weights.plan_for(files, 352, 640)
    assert plan.mode == mode
    assert plan.fits, str(plan)
    gc.collect()
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    whole = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction((gigabytes * 1e9 + held) / whole)
    torch.cuda.reset_peak_memory_stats()
    try:
        models = weights.load_models(files, plan=plan)
        world = start_world(models, torch.zeros(3, 352, 640), features=torch.zeros(1, 257, 1280))
        run = rollout(models, world, ActionTrack.idle(UNIVERSAL, rows_of_blocks(3)))
        del world
        assert sum(1 for _ in run) == 3
        print(f"{gigabytes} GB free: {plan}; reserved {torch.cuda.max_memory_reserved() - held}")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
