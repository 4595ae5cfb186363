"""Whole rollouts on a clock: starting, every block, every pass, several worlds at once, and pieces of one block."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..networks.vision import ImageEncoder
from ..play.early_frames import with_early_frames
from ..variants import FRAMES_PER_BLOCK
from ..world import Models, PassProgress, Rollout, World, rollout, start_world
from .clock import Seconds, Spread, now, peak_memory, since, start_memory
from .networks import SIZES

RING = 4  # blocks until the window is full and its ring has been in each of its states
WARM = 10  # blocks until the condition is complete too; until then each block encodes three latent frames of it
ENOUGH = 20  # times that a published speed is the mean of


class Stopped(Exception):
    """Stops a rollout before a pass."""


def time_start(models: Models, image: Tensor, tower: ImageEncoder | None) -> tuple[World, dict[str, float]]:
    """Start a world and make its first block: seconds until the world is there, until the first frame is on the host
    (early, as live play has it), and until all of the block's are.

    tower: run on the image where given, else the features are made up. Done twice: the first time kernels are chosen
    and compiled.
    """
    device = models.device
    found: dict[str, float] = {}
    for name in ("first_ever", "first"):
        made_up = torch.randn(1, 257, models.generator.config.visual_dim)
        began = now(device)
        with torch.inference_mode():
            features = made_up if tower is None else tower(image.unsqueeze(0))
        world = start_world(models, image, features=features)
        found[f"{name}_start_s"] = since(began, device).wall
        seen: list[Seconds] = []
        early_models, early = with_early_frames(models)
        early.on_frames = lambda *_, seen=seen, began=began: seen.append(since(began, device, wait=False))
        next(rollout(early_models, world, ActionTrack.idle(world.variant, rows_of_blocks(1))))
        found[f"{name}_frame_s"] = seen[0].wall
        found[f"{name}_frames_s"] = since(began, device).wall
    return world, found


def time_blocks(models: Models, world: World, blocks: int) -> tuple[list[Seconds], Rollout]:
    """Seconds from each block's frames on the host to the next one's, and the rollout that made them.

    Nobody waits for the device in between: it may have begun the next block, and does when this one's are there.
    """
    run = rollout(models, world, ActionTrack.idle(world.variant, rows_of_blocks(blocks)))
    times, began = [], now(models.device)
    for _ in range(blocks):
        next(run)
        ended = now(models.device, wait=False)
        times.append(Seconds(ended.spent - began.spent, ended.wall - began.wall))
        began = ended
    return times, run


def warm_blocks(times: list[Seconds]) -> list[Seconds]:
    """The blocks that are not there to warm up; the last one where all are."""
    return times[min(WARM, len(times) - 1) :]


def flatness(times: list[Seconds]) -> float | None:
    """Median of the last quarter of the blocks over that of the first quarter after the warm ones; None if too few."""
    rest = [t.spent for t in times[WARM:]]
    quarter = len(rest) // 4
    return None if quarter < 2 else statistics.median(rest[-quarter:]) / statistics.median(rest[:quarter])


def while_encoding(times: list[Seconds]) -> float | None:
    """Median seconds of the blocks that also encode the condition; None where there are none."""
    early = [t.spent for t in times[1:WARM]]
    return statistics.median(early) if early else None


def time_passes(models: Models, world: World, warm: int = RING, wanted: int = 1) -> list[Seconds]:
    """Seconds of each of at least `wanted` passes, of blocks after `warm` others, formulas between passes included; but
    not of a block's first, which may have been launched before the block is asked for."""
    times: list[Seconds] = []
    marks: list[Seconds] = []

    def on_pass(progress: PassProgress) -> None:
        if progress.done < warm:
            return
        if progress.step == 0:
            marks.clear()
        if progress.step:
            marks.append(now(models.device))
        if progress.step == progress.steps - 1:
            times.extend(Seconds(b.spent - a.spent, b.wall - a.wall) for a, b in itertools.pairwise(marks))
            if len(times) >= wanted:
                raise Stopped

    _stopped(models, world, warm + wanted, on_pass)
    return times


def time_played(models: Models, world: World, blocks: int = 4) -> tuple[list[Seconds], list[Seconds]]:
    """Seconds from the call for a block to its first four frames on the host, and to all of them, as live play has
    them, whose inputs come with the call; of each block after a few to warm up."""
    early_models, early = with_early_frames(models)
    rows = ActionTrack.idle(world.variant, rows_of_blocks(1, world.block))
    run = rollout(early_models, world, rows, 1, open_ended=True)
    first: list[Seconds] = []
    last: list[Seconds] = []
    for block in range(blocks + RING):
        seen: list[Seconds] = []
        began = now(models.device)
        if block:
            run.extend(ActionTrack.idle(world.variant, rows_of_blocks(1, run.block)))
        early.on_frames = lambda *_, seen=seen, began=began: seen.append(since(began, models.device, wait=False))
        next(run)
        first += seen[:1] if block >= RING else []
        last += [since(began, models.device)] if block >= RING else []
    return first, last


def pass_arguments(models: Models, world: World) -> tuple[Any, ...]:
    """What the network is called with in a real pass, to call it again."""
    found: list[tuple[Any, ...]] = []
    hook = models.generator.register_forward_pre_hook(lambda _, inputs: found.append(inputs))

    def on_pass(_: PassProgress) -> None:
        if found:
            raise Stopped

    try:
        _stopped(models, world, 1, on_pass)
    finally:
        hook.remove()
    return found[-1]


def _stopped(
    models: Models,
    world: World,
    blocks: int,
    on_pass: Callable[[PassProgress], None],
) -> None:
    track = ActionTrack.idle(world.variant, rows_of_blocks(blocks, world.block))
    with contextlib.suppress(Stopped):
        for _ in rollout(models, world, track, blocks, on_pass=on_pass):
            pass


def time_batches(models: Models, size: str, batches: list[int], blocks: int, warm: int = WARM) -> list[dict[str, Any]]:
    """Throughput and memory of several worlds at once, of `blocks` blocks after `warm` ones; a batch that does not fit
    says so and is the last."""
    rows: list[dict[str, Any]] = []
    image, features = torch.zeros(3, *SIZES[size]), torch.randn(1, 257, models.generator.config.visual_dim)
    for worlds in batches:
        start_memory(models.device)
        try:
            world = start_world(models, image, list(range(worlds)), features=features)
            times, run = time_blocks(models, world, warm + blocks)
        except (RuntimeError, MemoryError) as error:  # torch's out-of-memory error is a RuntimeError
            rows.append({"worlds": worlds, "failed": _first_line(error)})
            break
        block = Spread.of([time.spent for time in times[warm:]])
        row: dict[str, Any] = {"worlds": worlds, "block": block.as_json()}
        row["frames_per_s"] = worlds * FRAMES_PER_BLOCK / block.mean
        row["state_bytes_per_world"] = run.state_bytes // worlds
        rows.append(row | (peak_memory(models.device) if models.device.type == "cuda" else {}))
        del world, run
    return rows


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def world_after(models: Models, blocks: int, size: str) -> World:
    """A world of full or tiny size before block `blocks`, with caches that hold nothing: good for timing alone.

    The condition does not change how long a pass takes, so none is encoded at that size.
    """
    features = torch.randn(1, 257, models.generator.config.visual_dim)
    small = start_world(models, torch.zeros(3, 32, 48), features=features)
    height, width = SIZES[size]
    rows, columns = height // 8, width // 8
    return replace(
        small,
        block=blocks,
        image=torch.zeros(1, 3, height, width, device=models.device),
        condition=torch.randn(1, 16, 30, rows, columns, device=models.device),
        encoder_state=None,
        caches=models.generator.empty_caches(1, rows, columns, models.device, models.cache_dtype),
        tail=(ActionTrack.idle(small.variant, 8),),
    )
