"""What a rollout does ahead while a device finishes a block: in which order, and that nobody sees it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.networks.generator.graphs import Passes
from comfyui_matrixgame.variants import VARIANTS
from comfyui_matrixgame.world import Block, Models, Rollout, World, rollout
from comfyui_matrixgame.world.block.noise import named_noise
from comfyui_matrixgame.world.files import state_tensors

from ...cache.blocks import same
from ...pretend_gpu import Machine
from ...support.networks import random_track
from ..networks import BLOCKS, CUDA, at_home, begin, track_of, without_graphs
from ..networks import small_on as whole_on

small_on = functools.partial(whole_on, thin=True)
FRAMES = 3  # latent frames of a block


@contextmanager
def nothing_ahead() -> Iterator[None]:
    """Inside, a block is begun only when it is asked for."""
    with mock.patch.object(Rollout, "_begin"):
        yield


@contextmanager
def noted(log: list[tuple[str, int, int]]) -> Iterator[None]:
    """("pass", block, step) of each pass that is launched, and ("wait", 0, 0) of each wait for an event."""
    call, wait = Passes.__call__, torch.cuda.Event.synchronize

    def launched(self: Passes, latents: Any, condition: Any, step: int, constants: Any, block: Any) -> Any:
        log.append(("pass", block.span.first_frame // FRAMES, step))
        return call(self, latents, condition, step, constants, block)

    def waited(self: Any) -> None:
        log.append(("wait", 0, 0))
        wait(self)

    with mock.patch.object(Passes, "__call__", launched), mock.patch.object(torch.cuda.Event, "synchronize", waited):
        yield


def run_of(models: Models, world: World | None = None, **how: Any) -> Rollout:
    return rollout(models, begin(models) if world is None else world, track_of(models, BLOCKS), BLOCKS, **how)


@pytest.fixture
def whole(gpus: Machine) -> list[Block]:
    """The blocks, each made when it is asked for, by passes that are called one by one."""
    return made_in_turn()


@functools.cache
def made_in_turn() -> list[Block]:
    with nothing_ahead(), without_graphs():
        return [at_home(block) for block in run_of(small_on(CUDA[0]))]


@pytest.mark.parametrize("recorded", [True, False])
def test_the_next_block_is_begun_before_frames_are_awaited(
    gpus: Machine, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    monkeypatch.setenv("MATRIXGAME_GRAPHS", str(int(recorded)))
    models, log = small_on(CUDA[0]), []
    steps = len(models.variant.steps)
    run = run_of(models)
    with noted(log):
        for made in range(BLOCKS):
            log.clear()
            next(run)
            own = [("pass", made, step) for step in range(steps + 1)][bool(made) :]  # its first is in the last log
            ahead = [("pass", made + 1, 0)] if made + 1 < BLOCKS else []
            assert log == [*own, *ahead, ("wait", 0, 0)]
    assert not gpus.races


def test_a_played_block_waits_for_its_inputs_but_its_noise_is_there(gpus: Machine) -> None:
    models, log = small_on(CUDA[0]), []

    def noise(seed: int, block: int, step: int, shape: tuple[int, ...]) -> torch.Tensor:
        log.append(("noise", block, step))
        return named_noise(seed, block, step, shape)

    run = rollout(models, begin(models), track_of(models, 1), 1, open_ended=True, noise=noise)
    steps = len(models.variant.steps)
    with noted(log):
        for made in range(3):
            log.clear()
            next(run)
            passes = [("pass", made, step) for step in range(steps + 1)]
            ahead = [("noise", made + 1, step) for step in range(steps)]
            assert log[-len(passes) - len(ahead) - 1 :] == [*passes, *ahead, ("wait", 0, 0)]
            assert made == 0 or len(log) == len(passes) + len(ahead) + 1
            run.extend(random_track(models.variant, 12, f"more {made}"))


def test_where_memory_is_short_nothing_is_held_ahead(gpus: Machine) -> None:
    models, log = small_on(CUDA[0]), []
    world = begin(models)
    models.vae.encode_at_once = True  # type: ignore[misc]
    run = run_of(models, world)
    with noted(log):
        made = [at_home(next(run)) for _ in range(2)]
    assert [entry[1] for entry in log if entry[0] == "pass"] == [0] * 4 + [1] * 4
    assert len(made) == 2


def kept(world: World) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in state_tensors(world.caches, world.decoder_state).items()}


def alike(ours: World, theirs: World) -> bool:
    mine, others = kept(ours), kept(theirs)
    assert mine.keys() == others.keys()
    equal = all(torch.equal(tensor, others[name]) for name, tensor in mine.items())
    return equal and (ours.block, ours.names) == (theirs.block, theirs.names)


@pytest.mark.parametrize("name", VARIANTS)
def test_nobody_sees_what_was_begun(gpus: Machine, name: str) -> None:
    """Frames, latents, and every world on the way, to the bit, also where a block's slots go over the ring's end."""

    def make() -> tuple[list[Block], list[World]]:
        models = whole_on(CUDA[0], name=name)
        run = rollout(models, begin(models), random_track(models.variant, rows_of_blocks(BLOCKS)), BLOCKS)
        blocks, worlds = [], []
        for block in run:
            blocks.append(at_home(block))
            worlds.append(run.world)
        return blocks, worlds

    with nothing_ahead():
        blocks, worlds = make()
    ours, between = make()
    assert same(ours, blocks)
    assert all(alike(mine, other) for mine, other in zip(between, worlds, strict=True))
    assert not gpus.races


@pytest.mark.parametrize("how", ["stop", "step_back", "world_before"])
def test_what_was_begun_is_taken_back(gpus: Machine, how: str) -> None:
    def make() -> tuple[World, list[Block]]:
        run = run_of(small_on(CUDA[0]))
        for _ in range(BLOCKS - 1):
            next(run)
        if how == "stop":
            return run.stop(), []
        if how == "step_back":
            assert run.step_back()
            world = run.world
        else:
            before = run.world_before
            assert before is not None
            world = before.to("cpu")
        return world, [at_home(block) for block in run]

    with nothing_ahead():
        world, rest = make()
    ours, made = make()
    assert alike(ours, world)
    assert same(made, rest)


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (KeyboardInterrupt(), "attention"),
        (KeyboardInterrupt(), "noise"),
        (torch.OutOfMemoryError("out of memory"), "attention"),
        (MemoryError(), "noise"),
    ],
)
def test_what_ends_work_ahead_leaves_the_finished_block(
    gpus: Machine, whole: list[Block], error: BaseException, where: str
) -> None:
    """In the second block's begun pass, after some rings are written, or before; the frames come first."""
    models, armed = small_on(CUDA[0]), []
    layer: Any = models.generator.blocks[-1].self_attn
    forward = layer.forward

    def attention(*arguments: Any, **named: Any) -> Any:
        if where in armed:
            armed.remove(where)
            raise error
        return forward(*arguments, **named)

    def noise(seed: int, block: int, step: int, shape: tuple[int, ...]) -> torch.Tensor:
        if where == "noise" and where in armed and block == 3:
            armed.remove(where)
            raise error
        return named_noise(seed, block, step, shape)

    with without_graphs(), mock.patch.object(layer, "forward", attention):
        run = run_of(models, noise=noise)
        made = [at_home(next(run)) for _ in range(2)]
        plain = Rollout._begun

        def launched(self: Rollout, world: World) -> Any:
            armed.append(where)
            return plain(self, world)

        with mock.patch.object(Rollout, "_begun", launched):
            made.append(at_home(next(run)))
        assert not armed
        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                next(run)
        assert run.block == 3
        made += [at_home(block) for block in run]
    assert same(made, whole)


def test_stopped_while_it_waits_for_frames(gpus: Machine, whole: list[Block]) -> None:
    """The block is not given out, so it is made again, from rings without the one that was begun."""
    run = run_of(small_on(CUDA[0]))
    made = [at_home(next(run)) for _ in range(2)]
    stopped = mock.patch.object(torch.cuda.Event, "synchronize", side_effect=KeyboardInterrupt)
    with stopped, pytest.raises(KeyboardInterrupt):
        next(run)
    assert run.block == 2
    made += [at_home(block) for block in run]
    assert same(made, whole)


def test_stopped_before_the_block_that_was_begun(gpus: Machine, whole: list[Block]) -> None:
    def stop(at: Any) -> None:
        if at.done == 2 and at.step == 0:
            raise KeyboardInterrupt

    run, log = run_of(small_on(CUDA[0]), on_pass=stop), []
    made = [at_home(next(run)) for _ in range(2)]
    with noted(log), pytest.raises(KeyboardInterrupt):
        next(run)
    assert log == []
    run.on_pass = None
    made += [at_home(block) for block in run]
    assert same(made, whole)


def test_weights_that_a_host_moves_after_a_block_was_begun(gpus: Machine, whole: list[Block]) -> None:
    models = small_on(CUDA[0])
    run = run_of(models)
    made = [at_home(next(run)) for _ in range(3)]  # of the fourth, the first pass is launched from a recording
    with torch.inference_mode():
        for parameter in models.generator.parameters():
            old, parameter.data = parameter.data, parameter.data.clone()
            old.fill_(float("nan"))
    made += [at_home(block) for block in run]
    assert same(made, whole)
