"""From what is held to input rows: both ways of sampling, with a clock of their own."""

from __future__ import annotations

import numpy as np
import pytest

from comfyui_matrixgame.play.held_inputs import FAITHFUL, MOST_NOTES, RESPONSIVE, SILENCE, HeldInputs, Snapshot
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL, Variant


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def held_by(variant: Variant = UNIVERSAL, mode: str = RESPONSIVE) -> tuple[HeldInputs, Clock]:
    clock = Clock()
    return HeldInputs(variant, mode, clock), clock


def test_what_is_held_when_the_block_starts_counts_for_all_of_it() -> None:
    held, clock = held_by()
    held.put(Snapshot(keys=("w",)))
    clock.now = 0.1
    held.put(Snapshot(keys=("w", "d"), stick=(0.0, 0.1)))
    rows = held.sample(12)
    assert rows.keyboard.tolist() == [[1, 0, 0, 1]] * 12
    assert rows.mouse is not None
    assert np.allclose(rows.mouse, [[0, 0.1]] * 12)


def test_a_tap_between_two_blocks_counts_once() -> None:
    held, _ = held_by()
    held.put(Snapshot(taps=("d",)))
    assert held.sample(12).keyboard[:, 3].all()
    assert not held.sample(12).keyboard.any()


def test_a_tap_of_a_camera_key_counts_once() -> None:
    held, _ = held_by()
    held.put(Snapshot(stick=(0.0, 0.1)))
    held.put(Snapshot())
    turned = [held.sample(12).mouse for _ in range(2)]
    assert [float(rows[0, 1]) for rows in turned if rows is not None] == pytest.approx([0.1, 0.0])
    held.put(Snapshot(stick=(0.0, 0.1)))
    held.sample(12)
    held.put(Snapshot(stick=(0.0, 0.1)))
    held.put(Snapshot())
    rows = held.sample(12).mouse
    assert rows is not None
    assert not rows.any()  # it was held, and let go of


def test_what_the_mouse_turned_beyond_the_limit_is_carried_one_block_and_no_further() -> None:
    held, _ = held_by()
    held.put(Snapshot(look=(0.0, 3.6)))  # 0.3 a frame; the limit is 0.2
    turned = [held.sample(12).mouse for _ in range(3)]
    assert [float(rows[0, 1]) for rows in turned if rows is not None] == pytest.approx([0.2, 0.1, 0.0])
    held.put(Snapshot(look=(0.0, 24.0)))
    held.sample(12)
    rest = [held.sample(12).mouse for _ in range(2)]
    assert [float(rows[0, 1]) for rows in rest if rows is not None] == pytest.approx([0.2, 0.0])


def test_small_turns_are_not_rounded_away() -> None:
    held, _ = held_by()
    total = 0.0
    for _ in range(40):
        held.put(Snapshot(look=(0.0, 0.01)))
        rows = held.sample(12).mouse
        assert rows is not None
        total += float(rows[:, 1].sum())
    assert total == pytest.approx(0.4, abs=0.02)


def test_faithful_rows_are_the_time_since_the_last_block() -> None:
    held, clock = held_by(mode=FAITHFUL)
    clock.now = 0.12
    held.put(Snapshot(keys=("w",), taps=("w",)))
    clock.now = 0.30
    held.put(Snapshot(look=(0.0, 0.05)))  # W was let go, and the mouse moved
    clock.now = 0.48
    rows = held.sample(12)
    assert rows.keyboard[:, 0].tolist() == [0] * 3 + [1] * 4 + [0] * 5
    assert rows.mouse is not None
    assert np.flatnonzero(rows.mouse[:, 1]).tolist() == [7]


def test_faithful_rows_stretch_where_blocks_take_longer() -> None:
    held, clock = held_by(mode=FAITHFUL)
    clock.now = 0.5
    held.put(Snapshot(keys=("s",)))
    clock.now = 1.0
    assert held.sample(12).keyboard[:, 1].tolist() == [0] * 6 + [1] * 6


def test_nothing_is_held_after_a_second_without_a_word() -> None:
    for mode in (RESPONSIVE, FAITHFUL):
        held, clock = held_by(mode=mode)
        held.put(Snapshot(keys=("w",)))
        clock.now = SILENCE
        assert held.sample(12).keyboard.any()
        clock.now += 0.1
        assert not held.sample(12).keyboard.any()


def test_one_action_at_a_time_is_the_last_pressed_and_idle_is_a_key() -> None:
    held, _ = held_by(TEMPLERUN)
    assert held.sample(8).keyboard[:, 0].all()
    held.put(Snapshot(keys=("jump", "slide")))
    assert held.sample(12).keyboard[:, TEMPLERUN.keys.index("slide")].all()


def test_what_a_variant_does_not_know_is_left_out() -> None:
    held, _ = held_by(GTA_DRIVE)
    held.put(Snapshot(keys=("a", "w", "idle"), stick=(0.1, 0.1), look=(1.0, 0.0)))
    rows = held.sample(12)
    assert rows.keyboard.tolist() == [[1, 0]] * 12
    assert rows.mouse is not None
    assert np.allclose(rows.mouse, [[0, 0.1]] * 12)
    plain, _ = held_by(TEMPLERUN)
    plain.put(Snapshot(stick=(0.1, 0.1)))
    assert plain.sample(12).mouse is None


def test_a_flood_of_snapshots_takes_bounded_room_and_loses_no_turn() -> None:
    for mode in (RESPONSIVE, FAITHFUL):
        held, clock = held_by(mode=mode)
        for i in range(50 * MOST_NOTES):
            clock.now += 1e-5
            held.put(Snapshot(taps=("d",) if i == 20_000 else (), look=(0.0, 1.0 if i % 2 else -1.0)))
        assert len(held._notes) <= MOST_NOTES
        assert held.sample(12).keyboard[:, 3].any()
