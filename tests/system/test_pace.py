"""How long the rest takes, from what was measured, and the words for it."""

from __future__ import annotations

import pytest

from comfyui_matrixgame.system.pace import Pace, cancelled_note, time_left


def pace(due: list[str], **known: float) -> Pace:
    return Pace(due, frozenset({"reused"}), known)


def test_before_anything_was_measured_only_the_block_is_said() -> None:
    assert str(pace(["made"] * 3).outlook) == "block 1 of 3"
    assert str(pace(["reused", "made"], made=4.0).outlook) == "block 1 of 2, 4 s left"


def test_the_first_block_waits_for_what_comes_once_and_counts_only_while_it_is_alone() -> None:
    run = pace(["made"] * 11)
    run.done("made", 9, 30.0)
    assert run.outlook.seconds == 300.0
    for _ in range(2):
        run.done("made", 12, 1.0)
    assert run.outlook.seconds == 8.0
    assert run.outlook.rate == 12.0
    assert str(run.outlook) == "block 4 of 11, 8 s left, 12 frames/s"


def test_what_is_reused_takes_no_time_and_what_is_decoded_takes_its_own() -> None:
    run = pace(["reused", "decoded", "made", "made"], made=5.0, decoded=2.0)
    run.done("reused", 9, 0.1)
    assert run.outlook.seconds == 12.0
    run.done("decoded", 12, 2.0)
    assert run.outlook.seconds == 10.0
    assert run.outlook.rate == 6.0


def test_one_slow_block_changes_little() -> None:
    run = pace(["made"] * 20)
    for seconds in (9.0, 1.0, 1.0, 60.0, 1.0, 1.0):
        run.done("made", 12, seconds)
    assert run.outlook.seconds == 14.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (9.4, "9 s"), (59.4, "59 s"), (60, "1 min 0 s"), (134, "2 min 10 s"), (3900, "1 h 5 min")],
)
def test_a_time_is_as_exact_as_one_wants_to_know(seconds: float, said: str) -> None:
    assert time_left(seconds) == said


def test_what_a_cancelled_run_keeps() -> None:
    assert cancelled_note(0, 11, "here") == "Cancelled in block 1 of 11; nothing was finished"
    assert cancelled_note(1, 11, "here") == "Cancelled in block 2 of 11; 1 block kept here, and Run goes on from there"
