"""What a script says, statement by statement, before times are added up."""

from __future__ import annotations

from typing import NamedTuple

from .lexer import Token


class Ramp(NamedTuple):
    """A camera value that goes from start to stop; ease is None for one that stays."""

    start: float
    stop: float
    ease: str | None


class Step(NamedTuple):
    """Keys held and camera values for some rows."""

    keys: tuple[str, ...]
    camera: dict[str, Ramp]
    frames: int
    markers: int = 0


class Lanes(NamedTuple):
    """Lanes side by side: (name, steps)."""

    lanes: list[tuple[str, list[Step]]]
    frames: int
    markers: int = 0


class Repeat(NamedTuple):
    """The body, `times` over."""

    body: list[Statement]
    times: int
    frames: int
    markers: int


class Mark(NamedTuple):
    """A named place: here, or at row `at`."""

    name: str
    pin: bool
    at: int | None
    place: Token
    frames: int = 0
    markers: int = 1


class Seed(NamedTuple):
    """Another seed for the noise: from here on, or from row `at`."""

    seed: int
    at: int | None
    place: Token
    frames: int = 0
    markers: int = 0


class Wait(NamedTuple):
    """Idle rows."""

    frames: int
    markers: int = 0


Statement = Step | Lanes | Repeat | Mark | Seed | Wait
