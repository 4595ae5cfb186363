"""Blocks added one by one, as a player asks for them: the same bits as in one piece, and no cost that grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions import track as track_module
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.errors import ActionError, WorldError
from comfyui_matrixgame.variants import TEMPLERUN, UNIVERSAL
from comfyui_matrixgame.world import Rollout, rollout, stack_worlds, start_world

from ..support.networks import SMALL, random_track, small_image, small_models

BLOCKS = 5


class CountingNumpy:
    """numpy, which counts the values that its functions make."""

    def __init__(self) -> None:
        self.values = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, type) or not callable(found):
            return found

        def counted(*args: Any, **named: Any) -> Any:
            made = found(*args, **named)
            self.values += made.size if isinstance(made, np.ndarray) else 1
            return made

        return counted


def parts_of(track: ActionTrack) -> list[ActionTrack]:
    """The rows of each block of a new world."""
    return [track.slice(rows_of_blocks(k), rows_of_blocks(k + 1)) for k in range(BLOCKS)]


def grown(run: Rollout, parts: list[ActionTrack]):
    """The blocks of a rollout that has the rows of the first one."""
    yield next(run)
    for rows in parts[1:]:
        run.extend(rows)
        yield next(run)


@pytest.mark.parametrize("name", SMALL)
def test_blocks_added_one_by_one_are_those_of_one_piece(name: str) -> None:
    models = small_models(name, tiny=True)
    track = random_track(models.variant, rows_of_blocks(BLOCKS))
    parts = parts_of(track)
    start = stack_worlds([start_world(models, small_image(), seed=seed) for seed in (3, 4)])
    whole = list(rollout(models, start, track))
    run = rollout(models, start, parts[0], 1, open_ended=True)
    for one, other in zip(whole, grown(run, parts), strict=True):
        assert one.names == other.names
        assert torch.equal(one.latents, other.latents)
        assert torch.equal(one.frames, other.frames)


def test_an_added_block_is_made_again_from_its_own_rows() -> None:
    models = small_models(tiny=True)
    track = random_track(UNIVERSAL, rows_of_blocks(BLOCKS))
    parts = parts_of(track)
    start = start_world(models, small_image(), seed=3)
    run = rollout(models, start, parts[0], 1, open_ended=True)
    made = list(grown(run, parts))
    assert run.step_back()
    again = next(run)
    assert again.names == made[-1].names
    assert torch.equal(again.frames, made[-1].frames)


def test_an_added_block_costs_the_same_however_many_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    models = small_models(tiny=True)
    parts = parts_of(random_track(UNIVERSAL, rows_of_blocks(BLOCKS)))
    run = rollout(models, start_world(models, small_image()), parts[0], 1, open_ended=True)
    counting = CountingNumpy()
    monkeypatch.setattr(track_module, "np", counting)
    costs = []
    for _ in grown(run, parts):
        costs.append(counting.values)
        counting.values = 0
    assert costs[-1] > 0
    assert len(set(costs[2:])) == 1, costs


def test_rows_are_checked_where_they_come_in_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros((3000, 4), np.float32)
    checked: list[int] = []
    check = track_module._rows
    monkeypatch.setattr(
        track_module, "_rows", lambda values, *rest: checked.append(len(values)) or check(values, *rest)
    )
    track = ActionTrack(UNIVERSAL, rows, None, pins=(4,))
    assert checked == [3000, 3000]
    put_together = track.slice(0, 20).concat(track.slice(20, 50)).padded(90)
    assert checked == [3000, 3000]
    assert put_together == track.slice(0, 90)
    assert put_together.pins == ()


@pytest.mark.parametrize("variant", [UNIVERSAL, TEMPLERUN], ids=lambda variant: variant.name)
def test_parts_of_a_track_are_tracks_of_their_own(variant) -> None:
    track = random_track(variant, 40)
    for part in (track.slice(4, 9), track.concat(track), track.padded(50), track.slice(4)):
        for array in (part.keyboard, part.mouse):
            if array is not None:
                assert array.dtype == np.float32
                assert array.base is None
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 1
        assert (part.mouse is None) == (track.mouse is None)
        assert len(part.keyboard) == len(part)
    assert np.array_equal(track.padded(50).keyboard[39:], np.repeat(track.keyboard[39:], 11, axis=0))
    with pytest.raises(ActionError, match="at least one input row"):
        track.slice(40)


def test_rows_that_are_no_block_are_refused() -> None:
    models = small_models(tiny=True)
    run = rollout(models, start_world(models, small_image()), random_track(UNIVERSAL, 8), 1, open_ended=True)
    with pytest.raises(WorldError, match="reads 12 input rows, and 8 were given"):
        run.extend(random_track(UNIVERSAL, 8))
    with pytest.raises(WorldError, match="inputs are for templerun"):
        run.extend(random_track(TEMPLERUN, 12))
    assert run.blocks == 1
