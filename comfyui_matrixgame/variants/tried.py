"""The user's own steps, window, sink and what the window keeps, in place of those that a variant was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import VariantError
from .blocks import LATENTS_PER_BLOCK
from .fields import whole_number
from .variant import MOST_WINDOW, NEWEST, SAME_VIEW, TABLE_PLACES, Variant

SMALLEST_THAT_KEEPS = 3 * LATENTS_PER_BLOCK
FORM = "1000,750,500,250"
NEED = f"whole numbers from {TABLE_PLACES} down to 1, each lower than the one before, such as {FORM}"


@dataclass(frozen=True)
class Tried:
    """What the user wants to try; None keeps what the variant has. steps: places in the noise table, first to last.
    window: latent frames, the block's own and the sink included. sink: latent frames at the start that stay.
    keeps: NEWEST or SAME_VIEW, which of the others stay."""

    steps: tuple[int, ...] | None = None
    window: int | None = None
    sink: int | None = None
    keeps: str | None = None

    def of(self, variant: Variant) -> Variant:
        """The variant as it is tried; itself where nothing changes. Raises VariantError where it makes no sense."""
        own = variant.own
        steps = own.steps if self.steps is None else checked_steps(self.steps)
        window = own.window if self.window is None else self.window
        sink = own.sink if self.sink is None else self.sink
        if whole_number(window, LATENTS_PER_BLOCK, MOST_WINDOW) is None:
            raise VariantError(
                f"The window is {window!r:.40}, and must be a whole number of latent frames from {LATENTS_PER_BLOCK} "
                f"(one block) to {MOST_WINDOW}."
            )
        if whole_number(sink, 0, MOST_WINDOW) is None:
            raise VariantError(f"The sink is {sink!r:.40}, and must be a whole number of latent frames from 0.")
        if sink > window - own.block:
            raise VariantError(
                f"A sink of {sink} leaves no room for a block in a window of {window} latent frames; use a window of "
                f"at least {sink + own.block}, or a smaller sink."
            )
        keeps = own.keeps if self.keeps is None else self.keeps
        _check_keeps(keeps, window, sink)
        if (steps, window, sink, keeps) == (own.steps, own.window, own.sink, own.keeps):
            return own
        return replace(own, steps=steps, window=window, sink=sink, keeps=keeps, described_as=own)


def _check_keeps(keeps: str, window: int, sink: int) -> None:
    if keeps not in (NEWEST, SAME_VIEW):
        raise VariantError(f"The window cannot keep {keeps!r:.40}; use {NEWEST} or {SAME_VIEW}.")
    if keeps == NEWEST:
        return
    if window % LATENTS_PER_BLOCK or window < SMALLEST_THAT_KEEPS:
        raise VariantError(
            f"A window of {window} latent frames cannot keep the same view: it must hold whole blocks of "
            f"{LATENTS_PER_BLOCK}, the one that is made and two before it; use {SMALLEST_THAT_KEEPS} or "
            f"{SMALLEST_THAT_KEEPS + LATENTS_PER_BLOCK}."
        )
    if sink:
        raise VariantError(
            "A sink stays in the window for good, and keeping the same view lets its first frames go when the view "
            "changes; use one of the two."
        )


def steps_of_text(text: str) -> tuple[int, ...] | None:
    """The steps in a string such as 1000,750,500,250; None for an empty one. Raises VariantError."""
    if not text.strip():
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and len(word) <= 4 for word in words):
        raise VariantError(f"The steps are {text!r:.60}, and must be {NEED}.")
    return _falling([int(word) for word in words])


def checked_steps(steps: Sequence[Any]) -> tuple[int, ...]:
    """Steps that a rollout can have. Raises VariantError."""
    steps = _falling(steps)
    if steps[0] != TABLE_PLACES:
        raise VariantError(
            f"The steps begin at {steps[0]}, and must begin at {TABLE_PLACES}, the noise that a "
            f"block is made from; use steps such as {FORM}."
        )
    return steps


def _falling(steps: Sequence[Any]) -> tuple[int, ...]:
    known = [whole_number(step, 1, TABLE_PLACES) for step in steps]
    if not known or None in known or list(steps) != sorted(set(steps), reverse=True):
        raise VariantError(f"The steps are {','.join(map(str, steps)) or 'none'!r:.60}, and must be {NEED}.")
    return tuple(int(step) for step in steps)
