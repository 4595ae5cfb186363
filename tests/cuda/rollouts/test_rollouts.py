"""Rollouts on one device and on two at once: equal to the bit however they are made, and in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.variants import SAME_VIEW, UNIVERSAL, Tried
from comfyui_matrixgame.world import Models, PassProgress, load_world, rollout, save_world, start_world
from comfyui_matrixgame.world.block import views
from comfyui_matrixgame.world.files import state_tensors

from ...cache.blocks import same
from ...pretend_gpu import Machine
from ...support.networks import random_track, small_image
from ...worlds.ways import AT_TIMES
from ..networks import BLOCKS, CUDA, at_home, begin, blocks_of, on_both, reference, small_on, track_of, without_graphs

SLOTS = 2  # where a block of the universal variant can begin in its window, so many kinds of passes are recorded


def test_recorded_passes_are_those_called_one_by_one_on_two_devices_at_once(two_gpus: Machine) -> None:
    called = reference()
    for recorded in on_both(lambda device: blocks_of(small_on(device)), together=True):
        assert same(recorded, called)
    assert two_gpus.captures == 2 * SLOTS
    assert torch.cuda.current_device() == 0


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("exact", None), ("int8", None), ("fp8", None), ("exact", torch.bfloat16), ("exact", torch.float16)],
)
def test_modes_with_a_tiny_decoder(two_gpus: Machine, precision: str, dtype: torch.dtype | None) -> None:
    """Recorded on a device that is not the current one, and called on the one that is."""
    recorded = blocks_of(small_on(CUDA[1], True, precision, dtype), blocks=3)
    assert two_gpus.captures == SLOTS
    with without_graphs():
        assert same(recorded, blocks_of(small_on(CUDA[0], True, precision, dtype), blocks=3))


def test_a_block_waits_only_for_its_frames(two_gpus: Machine) -> None:
    def waits(device: torch.device) -> list[list[str]]:
        models = small_on(device)
        run = rollout(models, begin(models), track_of(models, 5), 5)
        found = []
        for _ in run:
            found.append([str(wait) for wait in two_gpus.waits if wait.device == device.index])
            two_gpus.waits[:] = [wait for wait in two_gpus.waits if wait.device != device.index]
        return found

    for found in on_both(waits):
        assert [len(block) for block in found[3:]] == [1, 1], found[3:]


def test_the_same_numbers_as_a_cpu_but_for_rounding(gpus: Machine) -> None:
    for ours, theirs in zip(reference(), blocks_of(small_on(torch.device("cpu"))), strict=True):
        assert torch.allclose(ours.latents, theirs.latents, atol=1e-4)
        assert (ours.frames.int() - theirs.frames.int()).abs().max() <= 1


def test_resumed_from_a_file_on_another_device(two_gpus: Machine, tmp_path: Path) -> None:
    models = small_on(CUDA[0])
    track = track_of(models)
    run = rollout(models, begin(models), track, BLOCKS)
    made = [at_home(next(run)) for _ in range(2)]
    save_world(run.world, tmp_path / "world.safetensors")
    made.append(at_home(next(run)))  # the world that was kept is not touched
    kept = load_world(tmp_path / "world.safetensors")
    other = small_on(CUDA[1])
    rest = rollout(other, kept, track.slice(rows_of_blocks(2)), 2)
    resumed = [at_home(block) for block in rest]
    assert same([*made[:2], *resumed], reference())
    assert same([made[2]], [resumed[0]])
    end = rest.world
    save_world(end, tmp_path / "end.safetensors")
    again = load_world(tmp_path / "end.safetensors")
    theirs = state_tensors(again.caches, again.decoder_state)
    for name, tensor in state_tensors(end.caches, end.decoder_state).items():
        assert tensor.device == CUDA[1]
        assert torch.equal(tensor.cpu(), theirs[name])


def test_stopped_in_a_block_and_resumed(gpus: Machine) -> None:
    """Before each pass in turn: what was made before stays, and the block is made again."""
    models = small_on(CUDA[0])

    class Stop(Exception):
        pass

    world, made = begin(models), []
    for step in range(len(models.variant.steps)):

        def stop(at: PassProgress, step: int = step) -> None:
            if at.done == 1 and at.step == step:
                raise Stop

        run = rollout(models, world, track_of(models), BLOCKS, on_pass=stop)
        made = [at_home(next(run))]
        with pytest.raises(Stop):
            next(run)
        run.on_pass = None
    made += [at_home(block) for block in run]
    assert same(made, reference())


def test_a_batch_of_worlds(two_gpus: Machine) -> None:
    def make(device: torch.device) -> list:
        models = small_on(device, tiny=True)
        features = torch.zeros(1, 257, models.generator.config.visual_dim)
        world = start_world(models, small_image(16, 16), [3, 4], features=features)
        tracks = [random_track(UNIVERSAL, rows_of_blocks(3), name) for name in ("one", "other")]
        return [at_home(block) for block in rollout(models, world, tracks, 3)]

    first, second = on_both(make)
    assert same(first, second)
    with without_graphs():
        assert same(first, make(CUDA[0]))
    assert not torch.equal(first[0].frames[0], first[0].frames[1])


@pytest.mark.slow
def test_a_window_that_keeps_the_same_view(two_gpus: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded on both devices and called on one; from a file on the other; and a block taken back."""
    monkeypatch.setattr(views, "ALIKE", AT_TIMES)
    count = 7

    def keeping(device: torch.device) -> Models:
        models = small_on(device)
        models.generator.run_as(Tried(window=9, keeps=SAME_VIEW).of(models.variant))
        return Models(models.generator, models.vae, None, None)

    with without_graphs():
        called = blocks_of(keeping(CUDA[0]), blocks=count)
    for recorded in on_both(lambda device: blocks_of(keeping(device), blocks=count)):
        assert same(recorded, called)
    here, there = (keeping(device) for device in CUDA)
    track = track_of(here, count)
    run, made = rollout(here, begin(here), track, count), []
    for index in range(5):
        block = at_home(next(run))
        before = run.world_before
        assert before is not None
        again = rollout(there, before, track.slice(rows_of_blocks(index)), 1)
        assert same([at_home(next(again))], [block])
        assert run.step_back()
        made.append(at_home(next(run)))
    assert same(made, called[:5])
    kept = load_world(save_world(run.world, tmp_path / "world.safetensors"))
    rest = rollout(there, kept, track.slice(rows_of_blocks(5)), 2)
    assert same([at_home(block) for block in rest], called[5:])
