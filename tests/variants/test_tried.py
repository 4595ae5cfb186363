"""Steps, window and sink of the user's own: what changes, and what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import VariantError
from comfyui_matrixgame.variants import TEMPLERUN, UNIVERSAL, VARIANTS, Tried, steps_of_text


def test_only_what_is_asked_for_changes() -> None:
    tried = Tried(window=9).of(UNIVERSAL)
    assert (tried.steps, tried.window, tried.sink) == (UNIVERSAL.steps, 9, 0)
    assert tried.own is UNIVERSAL
    assert (tried.name, tried.keys, tried.passes) == (UNIVERSAL.name, UNIVERSAL.keys, UNIVERSAL.passes)
    assert Tried(steps=(1000, 500)).of(UNIVERSAL).passes == 3
    assert UNIVERSAL not in (tried, Tried(sink=1).of(UNIVERSAL))
    assert VARIANTS["universal"].window == 6  # no choice has changed


@pytest.mark.parametrize("variant", VARIANTS.values())
def test_asking_for_what_is_there_tries_nothing(variant: Any) -> None:
    for tried in (Tried(), Tried(variant.steps, variant.window, variant.sink), Tried(sink=variant.sink)):
        assert tried.of(variant) is variant
        assert tried.of(Tried(window=18).of(variant)) is variant  # what was tried before does not stay


def test_inputs_are_those_of_the_variant() -> None:
    tried = Tried(window=9).of(UNIVERSAL)
    track, own = ActionTrack.idle(tried, 8), ActionTrack.idle(UNIVERSAL, 8)
    assert track == own
    assert len(own.concat(track)) == 16


def test_steps_are_read_from_text() -> None:
    assert steps_of_text(" 1000, 750,500 ,250") == (1000, 750, 500, 250)
    assert steps_of_text("  ") is None


@pytest.mark.parametrize(
    "text", ["0", "1000,0", "1001", "500,1000", "500,500", "1000;500", "a", "-1", "1e3", "1000,,5", "²", "9" * 9000]
)
def test_steps_that_make_no_sense(text: str) -> None:
    with pytest.raises(VariantError, match="from 1000 down to 1, each lower than the one before") as raised:
        steps_of_text(text)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("tried", "says"),
    [
        (Tried(steps=()), "The steps are 'none'"),
        (Tried(steps=(1000, [])), "The steps are '1000,"),  # type: ignore[arg-type]
        (Tried(steps=(750, 250)), "The steps begin at 750, and must begin at 1000"),
        (Tried(window=2), "The window is 2, and must be a whole number of latent frames from 3"),
        (Tried(window=0), "The window is 0"),
        (Tried(window=1001), "to 1000"),
        (Tried(sink=-1), "The sink is -1"),
        (Tried(sink=4), "A sink of 4 leaves no room for a block in a window of 6 latent frames; use a window of at "),
        (Tried(window=9, sink=7), "use a window of at least 10"),
    ],
)
def test_what_makes_no_sense_is_refused(tried: Tried, says: str) -> None:
    with pytest.raises(VariantError) as raised:
        tried.of(UNIVERSAL)
    assert says in str(raised.value)


def test_a_sink_may_fill_all_but_the_block() -> None:
    assert Tried(sink=3).of(UNIVERSAL).sink == 3
    assert Tried(window=9, sink=6, steps=(1000,)).of(TEMPLERUN).passes == 2
