"""Passes recorded on a device: on any of them, in several threads, kept from rollout to rollout, and when it fails."""

from __future__ import annotations

import functools
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.compute.attention import Attention
from comfyui_matrixgame.compute.devices import capture_stream, side_stream
from comfyui_matrixgame.errors import Interrupted
from comfyui_matrixgame.world import rollout, start_world
from comfyui_matrixgame.world.warm import warm_up

from ...support.networks import small_image
from ..networks import begin, made, track_of
from ..networks import small_on as whole_on

small_on = functools.partial(whole_on, thin=True)  # the VAE is not recorded

BLOCKS = 4  # the window of 6 is full from the second one on; the fourth replays what was recorded in the third


def called(monkeypatch: pytest.MonkeyPatch, device: str, blocks: int = BLOCKS) -> tuple[Tensor, Tensor]:
    """Frames and latents of passes that were not recorded."""
    monkeypatch.setenv("MATRIXGAME_GRAPHS", "0")
    models = small_on(device)
    found = made(models, begin(models), blocks)
    monkeypatch.delenv("MATRIXGAME_GRAPHS")
    return found


@pytest.mark.parametrize("current", [0, 1])
def test_a_device_that_is_not_the_current_one(two_gpus: Any, monkeypatch: pytest.MonkeyPatch, current: int) -> None:
    frames, latents = called(monkeypatch, "cuda:0")
    torch.cuda.set_device(current)
    for device in ("cuda:1", "cuda:0"):  # torch's own capture stream would stay on the first of them
        models = small_on(device)
        captures = two_gpus.captures
        again = made(models, begin(models), BLOCKS)
        assert two_gpus.captures == captures + 2
        assert torch.equal(again[0], frames)
        assert torch.equal(again[1], latents)
    assert torch.cuda.current_device() == current


def test_two_devices_in_threads(two_gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = called(monkeypatch, "cuda:0")
    start = threading.Barrier(2)
    found: dict[int, Any] = {}

    def work(index: int) -> None:
        models = small_on(f"cuda:{index}")
        world = begin(models)
        start.wait(60)
        found[index] = made(models, world, BLOCKS)[0]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert two_gpus.captures == 4
    for index in range(2):
        assert torch.equal(found[index], frames)


def waits(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """An attention that reads a value back, which nothing may do while it is recorded."""
    q.sum().item()
    return torch.nn.functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    ).transpose(1, 2)


def holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record on torch's own stream of another device."""
    monkeypatch.setattr(
        "comfyui_matrixgame.networks.generator.recording.capture_stream", lambda _: torch.cuda.Stream("cuda:1")
    )


@pytest.mark.parametrize("fault", ["waits", "empty"])
def test_a_failed_recording_leaves_nothing_behind(
    two_gpus: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    models = small_on("cuda:0")
    if fault == "waits":
        models.generator.attention = Attention("waits", waits)
    else:
        holds_nothing(monkeypatch)
    monkeypatch.setenv("MATRIXGAME_GRAPHS", "0")
    frames, _ = made(models, begin(models), BLOCKS)
    monkeypatch.delenv("MATRIXGAME_GRAPHS")
    before = torch.cuda.current_stream("cuda:0"), torch.cuda.current_stream("cuda:1")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert torch.equal(made(models, begin(models), BLOCKS)[0], frames)
        other = small_on("cuda:1")
        made(other, begin(other), BLOCKS)
    assert (torch.cuda.current_stream("cuda:0"), torch.cuda.current_stream("cuda:1")) == before
    assert caplog.text.count("not as CUDA graphs") == 1  # and none is tried again in this process


def test_cancelling_while_a_pass_is_recorded_cancels(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    models = small_on("cuda:0")
    world, track = begin(models), track_of(models, BLOCKS)
    good = made(models, world, BLOCKS, track)[0]
    again = small_on("cuda:0")
    plain, cancel = again.generator.attention, [True]

    def stops(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing() and cancel.pop():
            raise Interrupted("stopped")
        return plain(q, k, v)

    again.generator.attention = Attention("stops", stops)
    with pytest.raises(Interrupted):
        made(again, begin(again), BLOCKS, track)
    again.generator.attention = plain
    captures = gpus.captures
    assert torch.equal(made(again, begin(again), BLOCKS, track)[0], good)
    assert gpus.captures > captures  # that was no fault of the device


def test_rollouts_after_the_first_record_nothing(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, latents = called(monkeypatch, "cuda:0")
    models = small_on("cuda:0")
    world = begin(models)
    first = made(models, world, BLOCKS)
    captures, reserved = gpus.captures, torch.cuda.memory_reserved()
    for _ in range(3):
        again = made(models, world, BLOCKS)
        assert torch.equal(first[0], frames)
        assert torch.equal(again[0], frames)
        assert torch.equal(again[1], latents)
    assert gpus.captures == captures == 2
    assert torch.cuda.memory_reserved() <= reserved


def test_another_picture_is_seen_by_what_was_recorded(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's keys and values, the rings and the seed are those of each rollout."""
    models, plain = small_on("cuda:0"), small_on("cuda:0")
    features = [torch.randn(1, 257, 32, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    for seed, feature in enumerate(features):
        image = small_image(name=f"picture {seed}")
        latents = made(models, start_world(models, image, seed, features=feature), BLOCKS)[1]
        monkeypatch.setenv("MATRIXGAME_GRAPHS", "0")
        assert torch.equal(latents, made(plain, start_world(plain, image, seed, features=feature), BLOCKS)[1])
        monkeypatch.delenv("MATRIXGAME_GRAPHS")
    assert gpus.captures == 2


def test_a_warm_up_records_for_the_rollout(gpus: Any) -> None:
    models = small_on("cuda:0")
    world = begin(models)
    warm_up(models, *world.size)
    captures = gpus.captures
    made(models, world, 1)
    made(models, world, BLOCKS)
    assert captures
    assert gpus.captures <= 2


def test_two_rollouts_at_once_do_not_share_rings(gpus: Any) -> None:
    models = small_on("cuda:0")
    world, tracks = begin(models), [track_of(models, BLOCKS, name=name) for name in ("one", "two")]
    alone = [made(models, world, BLOCKS, track)[1] for track in tracks]
    runs = [rollout(models, world, track, BLOCKS) for track in tracks]
    found: list[list[Tensor]] = [[], []]
    for _ in range(BLOCKS):
        for run, mine in zip(runs, found, strict=True):
            mine.append(next(run).latents.cpu())
    for mine, expected in zip(found, alone, strict=True):
        assert torch.equal(torch.cat(mine, 2), expected)


@pytest.mark.parametrize("end", ["world", "stop", "on the way"])
def test_a_world_stays_a_value(gpus: Any, end: str) -> None:
    models = small_on("cuda:0")
    world, track = begin(models), track_of(models, BLOCKS + 1)
    whole = made(models, world, BLOCKS + 1, track)[1]
    run = rollout(models, world, track, BLOCKS + (end == "on the way"))
    for _ in range(BLOCKS):
        next(run)
    kept_world = run.stop() if end == "stop" else run.world
    before = [ring.k.cpu() for layer in kept_world.caches for ring in layer.rings().values()]
    assert run.world.names == kept_world.names
    made(models, begin(models, seed=5), BLOCKS)  # which gets the rings, or may not have them
    after = [ring.k.cpu() for layer in kept_world.caches for ring in layer.rings().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    rest = track.slice(len(track) - 12)
    assert torch.equal(made(models, kept_world, 1, rest)[1], whole[:, :, -3:])


def test_memory_is_given_back_with_the_generator(gpus: Any) -> None:
    models = small_on("cuda:0")
    made(models, begin(models), BLOCKS)
    generator = weakref.ref(models.generator)
    del models
    gc.collect()
    assert generator() is None
    assert torch.cuda.memory_allocated() < 1000  # the scale of latents stays


def test_memory_is_given_back_where_a_host_unloads(gpus: Any) -> None:
    models = small_on("cuda:0")
    world = begin(models)
    weights = sum(p.nbytes for network in (models.generator, models.vae) for p in network.parameters())
    made(models, world, BLOCKS)
    held = torch.cuda.memory_allocated()
    models.generator.to("cpu")
    weights -= sum(parameter.nbytes for parameter in models.generator.parameters())
    rings = sum(
        2 * ring.k.nbytes for layer in models.generator.empty_caches(
            1, *world.latent_size, torch.device("cpu"), models.cache_dtype
        ) for ring in layer.rings().values()
    )  # fmt: skip
    assert weights <= torch.cuda.memory_allocated() <= held - rings


def test_layers_that_a_host_changes_are_recorded_again(gpus: Any) -> None:
    models = small_on("cuda:0")
    world = begin(models)
    plain = made(models, world, BLOCKS)[1]
    layer = models.generator.get_submodule("blocks.0.ffn.0")
    own: Callable[..., Tensor] = layer.forward
    layer.forward = lambda x, **how: own(x, **how) * 2
    changed = made(models, world, BLOCKS)[1]
    assert not torch.equal(changed, plain)
    del layer.forward
    assert torch.equal(made(models, world, BLOCKS)[1], plain)


def test_one_side_stream_for_a_thread_and_a_device(two_gpus: Any) -> None:
    zero, one = torch.device("cuda", 0), torch.device("cuda", 1)
    assert side_stream(zero) is side_stream(zero)
    assert side_stream(one).device == one
    assert capture_stream(one).device == one
    other = []
    thread = threading.Thread(target=lambda: other.append(side_stream(zero)))
    thread.start()
    thread.join()
    assert other[0] is not side_stream(zero)


def test_memory_does_not_grow_with_rollouts_that_are_called(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIXGAME_GRAPHS", "0")
    models = small_on("cuda:0")
    world = begin(models)
    reserved = []
    for _ in range(4):
        made(models, world, 2)
        reserved.append(torch.cuda.memory_reserved())
    assert len(set(reserved[1:])) == 1, reserved
