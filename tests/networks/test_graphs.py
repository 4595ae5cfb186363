"""Recorded passes: a tape of the operations, replayed on a CPU as a CUDA graph is on a GPU.

The tape holds tensors, not Python: what a pass reads from Python while it is recorded stays as it was, and what is
not copied into the tensors that stay is not seen. So a replay that gives other numbers finds what a graph would break.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from comfyui_matrixgame import world as engine
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.networks.generator import graphs
from comfyui_matrixgame.variants import VARIANTS

from ..support.networks import SMALL, random_track, small_image, small_models

rollout_module = importlib.import_module("comfyui_matrixgame.world.rollout")  # the package has a function of that name


class Tape(TorchDispatchMode):
    """Every operation with its tensors; `replay` does them again and puts the results into the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.entries.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        with torch.inference_mode():
            for func, args, kwargs, result in self.entries:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class TapeRecorder:
    """Records on a CPU; counts."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def record(self, work: Callable[[], Tensor]) -> tuple[graphs.Replay, Tensor]:
        tape = Tape()
        with tape:
            output = work()
        output.fill_(float("nan"))  # recording does no work that anyone may use
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            tape.replay()

        return replay, output


def blocks_of(models: engine.Models, world: engine.World, track: ActionTrack, blocks: int) -> list[engine.Block]:
    return list(engine.rollout(models, world, track, blocks))


@pytest.mark.parametrize("name", sorted(SMALL))
def test_replayed_passes_give_the_same_rollout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variant, blocks = SMALL[name], 12
    models = small_models(variant.name)
    world = engine.start_world(models, small_image(), seed=3)
    track = random_track(variant, rows_of_blocks(blocks))
    plain = blocks_of(models, world, track, blocks)
    recorder = TapeRecorder()
    monkeypatch.setattr(rollout_module, "recorder_for", lambda *_: recorder)
    replayed = blocks_of(models, world, track, blocks)
    for one, other in zip(plain, replayed, strict=True):
        assert torch.equal(one.latents, other.latents)
        assert torch.equal(one.frames, other.frames)
        assert one.names == other.names
    passes = len(variant.steps) + 1
    filled = sum(3 * (block + 1) >= variant.window for block in range(blocks))
    starts = {"universal": 2, "gta_drive": 4, "templerun": 2, "with_sink": 5}[name]
    assert recorder.recorded == starts
    assert recorder.replayed == filled * passes - starts  # the first of each kind warms up


def test_moved_weights_are_recorded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    variant, blocks = VARIANTS["universal"], 6
    models = small_models(variant.name)
    world = engine.start_world(models, small_image(), seed=3)
    track = random_track(variant, rows_of_blocks(blocks))
    plain = blocks_of(models, world, track, blocks)
    recorder = TapeRecorder()
    monkeypatch.setattr(rollout_module, "recorder_for", lambda *_: recorder)
    run = engine.rollout(models, world, track, blocks)
    made = [next(run) for _ in range(4)]
    assert recorder.recorded == 2
    weight = models.generator.get_parameter("blocks.0.ffn.0.weight")
    moved = weight.detach().clone()
    weight.detach().fill_(float("nan"))  # what was recorded would read this
    models.generator.blocks[0].ffn["0"].weight = torch.nn.Parameter(moved, requires_grad=False)  # type: ignore[union-attr, index]
    made += list(run)
    assert recorder.recorded == 4
    for one, other in zip(plain, made, strict=True):
        assert torch.equal(one.latents, other.latents)


def test_a_recorder_that_fails_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def record(self, work: Callable[[], Tensor]) -> tuple[graphs.Replay, Tensor]:
            raise RuntimeError("operation not permitted when stream is capturing")

    variant = VARIANTS["universal"]
    models = small_models(variant.name)
    world = engine.start_world(models, small_image(), seed=3)
    track = random_track(variant, rows_of_blocks(4))
    plain = blocks_of(models, world, track, 4)
    monkeypatch.setattr(rollout_module, "recorder_for", lambda *_: Broken())
    with caplog.at_level("INFO", logger=graphs.__name__):
        made = blocks_of(models, world, track, 4)
    assert "not as CUDA graphs" in caplog.text
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(plain, made, strict=True))


def test_an_open_ended_rollout_goes_on_like_one_in_a_piece() -> None:
    variant = VARIANTS["universal"]
    models = small_models(variant.name)
    world = engine.start_world(models, small_image(), seed=3)
    track = random_track(variant, rows_of_blocks(3))
    whole = blocks_of(models, world, track, 3)
    run = engine.rollout(models, world, track.slice(0, rows_of_blocks(1)), 1, open_ended=True)
    made, kept = [next(run)], run.world
    for block in (1, 2):
        first = rows_of_blocks(block)
        run.extend(track.slice(first, first + 12))
        made.append(next(run))
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(whole, made, strict=True))
    again = blocks_of(models, kept, track.slice(rows_of_blocks(1), rows_of_blocks(2)), 1)
    assert torch.equal(again[0].latents, whole[1].latents)  # a world that was handed out is not changed
