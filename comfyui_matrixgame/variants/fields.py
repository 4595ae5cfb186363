"""Taking the fields of a description one by one, with errors that name the field and the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ..errors import VariantError

T = TypeVar("T")
_MISSING = object()
MOST_TEXT = 200  # characters
MOST_ITEMS = 1000


class Fields:
    """One object of a description. A field that is read is taken out; what is left at the end is unknown.

    origin: what the description is called in errors. place: where in it the object is, such as `keys[2]`.
    """

    def __init__(self, value: Any, origin: str, place: str = "", unknown: dict[str, Any] | None = None) -> None:
        self._origin, self._place = origin, place
        self._unknown: dict[str, Any] = {} if unknown is None else unknown
        if not isinstance(value, Mapping):
            self.fail("", "an object", value)
        self._values = {name: value[name] for name in value if value[name] is not None and name != "$schema"}

    def fail(self, field: str, need: str, value: Any = _MISSING) -> Any:
        """Raise VariantError: which field, what it must be, and what it is."""
        place = ".".join(filter(None, (self._place, field))) or "it"
        is_now = "is missing" if value is _MISSING else f"is {_shown(value)}"
        raise VariantError(f"{self._origin}: {place} {is_now}, and must be {need}.")

    def refuse(self, sentence: str) -> Any:
        """Raise VariantError for fields that contradict each other."""
        raise VariantError(f"{self._origin}: {sentence}")

    def done(self) -> dict[str, Any]:
        """After all known fields are taken: the unknown ones, of this object and those inside, as place -> value."""
        for name, value in self._values.items():
            self._unknown[f"{self._place}.{name}".strip(".")] = value
        return self._unknown

    def take(self, name: str, need: str, read: Callable[[Any], T | None], default: Any = _MISSING) -> T:
        """The field as `read` converts it, which returns None for a wrong value; without the field, the default."""
        value = self._values.pop(name, _MISSING)
        if value is _MISSING:
            return self.fail(name, need) if default is _MISSING else default
        made = read(value)
        return self.fail(name, need, value) if made is None else made

    def text(self, name: str, default: Any = _MISSING, pattern: str = "", need: str = "") -> str:
        """A string of one line."""
        return self.take(name, need or f"a string of 1 to {MOST_TEXT} characters", lambda v: _line(v, pattern), default)

    def choice(self, name: str, choices: Collection[str], default: Any = _MISSING) -> str:
        """One of some words."""
        need = f"one of {', '.join(choices)}" if len(choices) > 1 else next(iter(choices))
        return self.take(name, need, lambda v: v if v in tuple(choices) else None, default)

    def flag(self, name: str, default: Any = _MISSING) -> bool:
        """true or false."""
        return self.take(name, "true or false", lambda v: v if isinstance(v, bool) else None, default)

    def whole(self, name: str, least: int, most: int, default: Any = _MISSING) -> int:
        """A whole number in a range."""
        need = f"a whole number from {least} to {most}"
        return self.take(name, need, lambda v: whole_number(v, least, most), default)

    def number(self, name: str, least: float, most: float, default: Any = _MISSING) -> float:
        """A number in a range."""
        need = f"a number from {least:g} to {most:g}"
        return self.take(name, need, lambda v: finite_number_in(v, least, most), default)

    def items(
        self, name: str, need: str, read: Callable[[Any], T | None], default: Any = _MISSING, least: int = 0
    ) -> tuple[T, ...]:
        """A list of at least `least` items, each converted by `read`."""

        def made(value: Any) -> tuple[T, ...] | None:
            if not isinstance(value, list) or not least <= len(value) <= MOST_ITEMS:
                return None
            found = [item for item in map(read, value) if item is not None]
            return tuple(found) if len(found) == len(value) else None

        return self.take(name, need, made, default)

    def words(self, name: str, most: int = MOST_TEXT) -> dict[str, str]:
        """An object of strings of at most `most` characters; empty without the field."""

        def made(value: Any) -> dict[str, str] | None:
            good = isinstance(value, Mapping) and all(_line(k) and _line(v, "", most) for k, v in value.items())
            return dict(value) if good else None

        return self.take(name, "an object of strings", made, {})

    def inner(self, name: str) -> Fields | None:
        """The object in a field; None without it."""
        value = self._values.pop(name, None)
        return None if value is None else self._object(value, name)

    def each(self, name: str, need: str, least: int = 0, most: int = MOST_ITEMS) -> list[Fields]:
        """The objects in a list; empty without the field where `least` is 0."""
        value = self._values.pop(name, [] if not least else _MISSING)
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.fail(name, need, value)
        return [self._object(item, f"{name}[{i}]") for i, item in enumerate(value)]

    def _object(self, value: Any, name: str) -> Fields:
        return Fields(value, self._origin, f"{self._place}.{name}".strip("."), self._unknown)


def whole_number(value: Any, least: int, most: int) -> int | None:
    """A whole number in a range, or None."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return int(value) if good and least <= value <= most else None


def finite_number_in(value: Any, least: float, most: float) -> float | None:
    """A finite number in a range, or None."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and least <= value <= most else None


def pattern_reader(pattern: str) -> Callable[[Any], str | None]:
    """A reader of strings that match a pattern as a whole."""
    return lambda value: _line(value, pattern)


def _line(value: Any, pattern: str = "", most: int = MOST_TEXT) -> str | None:
    good = isinstance(value, str) and 0 < len(value) <= most and value.isprintable()
    return value if good and (not pattern or re.fullmatch(pattern, value)) else None


def _shown(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
