"""What lies where between and after the work: streamed weights, frames, states of tiles, worlds."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.cache.cached_rollout import CachedRollout
from comfyui_matrixgame.compute import attention
from comfyui_matrixgame.compute.attention import sdpa
from comfyui_matrixgame.compute.streaming import (
    LARGEST_PIECE,
    SMALLEST_PIECE,
    _bytes,
    _modules_by_layer,
    piece_sizes,
    stream_weights,
)
from comfyui_matrixgame.memory import tiles_of_state
from comfyui_matrixgame.networks.vae.low_memory import TiledDecoder, VisitingEncoder
from comfyui_matrixgame.world import Models, load_world, rollout, save_world
from comfyui_matrixgame.world.models import network_id
from comfyui_matrixgame.world.warm import warm_up

from ...support.networks import small_models
from ..networks import begin, made, small_on, track_of

WIDE = (16, 256)  # pixels: enough columns for two tiles


def streamed(device: str, layers: int = 4) -> Models:
    """Models of more layers than there are places for streamed weights."""
    models = small_on("cpu", layers=layers)
    name = network_id(models.generator)
    stream_weights(models.generator, torch.device(device))
    return Models(models.generator, small_on(device).vae, None, None, generator_id=name)


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_streamed_weights_on_any_device(two_gpus: Any, device: str) -> None:
    whole = small_on(device, layers=4)
    models = streamed(device)
    assert models.id() == whole.id()
    frames, latents = made(models, begin(models), 3)
    expected = made(whole, begin(whole), 3)
    assert torch.equal(latents, expected[1])
    assert torch.equal(frames, expected[0])


def test_the_last_layer_that_was_fetched_is_waited_for(gpus: Any) -> None:
    models = streamed("cuda:0")
    made(models, begin(models), 1)
    del models
    gc.collect()
    torch.empty(1000, device="cuda")  # may get the memory that a layer is still copied to: the fixture would report it


def test_page_locked_memory_is_asked_for_in_powers_of_two() -> None:
    for total in (1, SMALLEST_PIECE, 3 * SMALLEST_PIECE + 1, 2_800_000_000):
        sizes = piece_sizes(total)
        assert all(size & (size - 1) == 0 and size <= LARGEST_PIECE for size in sizes)
        assert total <= sum(sizes) < total + SMALLEST_PIECE
    homes = streamed_homes()
    assert sum(len(part) for parts in homes for part in parts) == sum(
        _bytes(group) for group in _modules_by_layer(small_on("cpu", layers=4).generator)
    )


def streamed_homes() -> list[list[torch.Tensor]]:
    models = small_on("cpu", layers=4)
    return stream_weights(models.generator, torch.device("cpu"))._homes


def test_what_the_cache_keeps_is_not_page_locked(gpus: Any, tmp_path: Path) -> None:
    models = small_on("cuda:0")
    cache = BlockCache(tmp_path, "p")
    with CachedRollout(models, begin(models), track_of(models, 2), 2, cache) as run:
        for _ in run:
            pass
        record = cache.get("frames", run.block_keys.frames_key(0))
    assert record is not None
    assert not record.tensors["frames"].is_pinned()


def test_the_warm_up_encodes_nothing_where_the_encoder_leaves(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    models = small_on("cuda:0")
    vae: Any = VisitingEncoder(small_on("cpu").vae, torch.device("cuda", 0), decodes=True)  # type: ignore[arg-type]
    visiting = Models(models.generator, vae)
    encoded = []
    monkeypatch.setattr(vae, "encode", lambda *args: encoded.append(args))
    warm_up(visiting, 16, 16)
    assert encoded == []


def test_states_of_tiles_stay_in_main_memory(gpus: Any, tmp_path: Path) -> None:
    models = small_on("cuda:0")
    decoder: Any = TiledDecoder(models.vae, 2)
    tiled = Models(models.generator, models.vae, decoder)
    run = rollout(tiled, begin(tiled, size=WIDE), track_of(tiled, 2), 2)
    waits = len(gpus.waits)
    next(run)
    assert len(gpus.waits) - waits < 16  # not one for each tensor of each tile
    world = run.world
    second = next(run)
    again = load_world(save_world(world, tmp_path / "w.safetensors"))
    assert again.decoder_state is not None
    assert tiles_of_state(again.decoder_state, WIDE[1] // 8) == 2
    before = torch.cuda.memory_allocated()
    resumed = rollout(tiled, again, track_of(tiled, 1, 1), 1)
    held = sum(tensor.nbytes for tensor in again.decoder_state)
    caches = sum(ring.k.nbytes + ring.v.nbytes for layer in again.caches for ring in layer.rings().values())
    rest = again.image.nbytes + again.features.nbytes + again.condition.nbytes
    assert torch.cuda.memory_allocated() - before < caches + rest + held / 2
    block = next(resumed)
    assert torch.equal(block.frames, second.frames)


def test_worlds_go_on_under_every_plan_and_device(two_gpus: Any, tmp_path: Path) -> None:
    """full -> encoder gone -> streamed -> another GPU -> CPU, and back; the latents are those of one run."""
    track = track_of(small_models(), 6)
    full = small_on("cuda:0")
    whole = made(full, begin(full), 6, track)[1]
    vae: Any = VisitingEncoder(small_on("cpu").vae, torch.device("cuda", 0), decodes=True)  # type: ignore[arg-type]
    name = network_id(full.generator)
    generator = small_on("cpu").generator
    stream_weights(generator, torch.device("cuda", 0))
    plans = [
        full,
        Models(full.generator, vae),
        Models(generator, small_on("cuda:0").vae, None, None, generator_id=name),
        small_on("cuda:1"),
        small_on("cpu"),
        full,
    ]
    world = begin(full)
    for block, models in enumerate(plans):
        start = 0 if block == 0 else 9 + 12 * (block - 1) - 1
        rows = track.slice(start, start + (8 if block == 0 else 12))
        run = rollout(models, world, rows, 1)
        latents = next(run).latents.cpu()
        assert torch.allclose(latents, whole[:, :, 3 * block : 3 * block + 3], atol=1e-4)
        world = load_world(save_world(run.world, tmp_path / "w.safetensors"))


def in_bfloat16(device: str, computed: torch.dtype) -> Models:
    models = small_on(device)
    for network in (models.generator, models.vae):
        network.to(torch.bfloat16).compute_dtype = computed  # type: ignore[union-attr]
    return models


def test_a_world_goes_on_where_another_dtype_is_computed_in(gpus: Any, tmp_path: Path) -> None:
    """A CPU without bfloat16 computes the same weights in float32."""
    card, cpu = in_bfloat16("cuda:0", torch.bfloat16), in_bfloat16("cpu", torch.float32)
    track = track_of(card, 3)
    run = rollout(card, begin(card), track, 1)
    next(run)
    there = load_world(save_world(run.world, tmp_path / "w.safetensors"))
    run = rollout(cpu, there, track.slice(8), 1)
    on_cpu = next(run)
    assert run.world.models_id == cpu.id() != there.models_id
    assert on_cpu.names[0] != next(rollout(card, there, track.slice(8), 1)).names[0]  # other numbers, another name
    run = rollout(card, load_world(save_world(run.world, tmp_path / "w.safetensors")), track.slice(20), 1)
    assert torch.isfinite(next(run).latents).all()
    assert run.world.models_id == card.id()


@pytest.mark.parametrize(("capability", "asked"), [((8, 9), 0), ((9, 0), 1), ((12, 0), 0)])
def test_cudnn_attention_is_asked_once_where_it_is_ahead(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, capability: tuple[int, int], asked: int
) -> None:
    request.node.add_marker(pytest.mark.card(capability=capability))
    request.getfixturevalue("gpus")
    calls = []
    plain = attention._cudnn

    def counted(*args: Any) -> Any:
        calls.append(args)
        return plain(*args)

    monkeypatch.setattr(attention, "_cudnn", counted)
    q, k = (torch.randn(1, length, 2, 64).to("cuda", torch.bfloat16) for length in (8, 1024))
    flags = torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.cudnn_sdp_enabled()
    with torch.inference_mode():
        expected = torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), k.transpose(1, 2)
        ).transpose(1, 2)
        for _ in range(2):  # the CPU below has no such kernel: it fails once, and torch's choice serves
            assert torch.equal(sdpa(q, k, k), expected)
    assert len(calls) == asked
    assert (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.cudnn_sdp_enabled()) == flags
