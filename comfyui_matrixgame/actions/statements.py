"""What a script says, statement by statement, before times are added up."""

from __future__ import annotations

from dataclasses import dataclass

from .lexer import Token


@dataclass(frozen=True)
class Ramp:
    """A camera value that goes from start to stop; ease is None for one that stays."""

    start: float
    stop: float
    ease: str | None


@dataclass(frozen=True)
class Step:
    """Keys held and camera values for some rows."""

    keys: tuple[str, ...]
    camera: dict[str, Ramp]
    frames: int
    markers: int = 0


@dataclass(frozen=True)
class Lanes:
    """Lanes side by side: (name, steps)."""

    lanes: list[tuple[str, list[Step]]]
    frames: int
    markers: int = 0


@dataclass(frozen=True)
class Repeat:
    """The body, `times` over."""

    body: list[Statement]
    times: int
    frames: int
    markers: int


@dataclass(frozen=True)
class Mark:
    """A named place: here, or at row `at`."""

    name: str
    pin: bool
    at: int | None
    place: Token
    frames: int = 0
    markers: int = 1


@dataclass(frozen=True)
class Wait:
    """Idle rows."""

    frames: int
    markers: int = 0


Statement = Step | Lanes | Repeat | Mark | Wait
