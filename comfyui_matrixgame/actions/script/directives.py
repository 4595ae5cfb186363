"""The directives at the head of a script."""

from __future__ import annotations

from collections.abc import Callable

from ...variants import FPS, VARIANTS
from ..vocabulary import UNITS, key_words, suggestion
from .lexer import Token
from .token_reader import TokenReader, integer, units_hint

SCRIPT_VERSION = 1
DIRECTIVES = ("version", "variant", "fps", "speed", "unit", "length")


class DirectiveReader(TokenReader):
    """Reads directives into the cursor's settings."""

    _length_given: tuple[Token, str | None] | None = None

    def read_header(self) -> None:
        """All directives, up to the first statement."""
        seen: set[str] = set()
        self.skip_separators()
        while self.sees("@"):
            at = self.take()
            name = self.take()
            word = name.text.lower()
            directives = f"directives: {' '.join('@' + d for d in DIRECTIVES)}"
            if name.kind != "word" or word not in DIRECTIVES:
                near = suggestion(word, DIRECTIVES) if name.kind == "word" else None
                hint = f"did you mean '@{near}'? {directives}" if near else directives
                shown = f"'@{name.text}'" if name.kind == "word" else f"'@' before {name.shown}"
                raise self.error("directive", f"unknown directive {shown}", at, hint, name)
            if word in seen:
                raise self.error("directive-twice", f"'@{word}' is given twice", at, until=name)
            seen.add(word)
            readers: dict[str, Callable[[], None]] = {
                "version": self._version,
                "variant": self._variant,
                "fps": self._fps,
                "speed": self._speed,
                "unit": self._unit,
                "length": self._length,
            }
            readers[word]()
            self.end_of("directive")
            self.skip_separators()
        if self._length_given:
            self._settle_length(*self._length_given)
        self.words = key_words(self.variant)

    def _settle_length(self, number: Token, unit: str | None) -> None:
        """`@length` in rows; its unit may come from an `@unit` behind it."""
        rows = self.rows_of_duration(number, unit or self.unit, unit)
        if rows < 1:
            raise self.error("no-frames", f"a script lasts at least one frame, got {number.text}", number)
        self.length = (rows, number)

    def _version(self) -> None:
        token = self.number("a version")
        if integer(token) != SCRIPT_VERSION:
            newer = f"script version {token.text} is newer than this node understands ({SCRIPT_VERSION})"
            older = f"there is no script version {token.text}; this node understands {SCRIPT_VERSION}"
            raise self.error("version", newer if float(token.text) > SCRIPT_VERSION else older, token)

    def _variant(self) -> None:
        token = self.take()
        name = token.text.lower()
        hint = f"variants: {' '.join(VARIANTS)}"
        if token.kind != "word" or name not in VARIANTS:
            near = suggestion(name, VARIANTS) if token.kind == "word" else None
            shown = (
                f"there is no variant {token.shown}"
                if token.kind == "word"
                else f"expected a variant, got {token.shown}"
            )
            raise self.error("variant", shown, token, f"did you mean '{near}'? {hint}" if near else hint)
        if self.wanted is not None and not self.wanted.takes(VARIANTS[name]):
            message = f"the script is for {name}, but here the variant is {self.wanted.name}"
            raise self.error("other-variant", message, token, "load the other weights, or change the script")
        self.variant = VARIANTS[name]

    def _fps(self) -> None:
        token = self.number("a number of frames")
        if float(token.text) != FPS:
            raise self.error("fps", f"the model makes {FPS} frames a second, got {token.text}", token)

    def _speed(self) -> None:
        value, token = self.camera_value()
        if value < 0:
            raise self.error("speed", "a speed is 0 or more; left, right, up and down choose the way", token)
        self.speed = value

    def _unit(self) -> None:
        token = self.take()
        if token.kind != "word" or token.text.lower() not in UNITS:
            raise self.error("unit", f"expected a unit, got {token.shown}", token, units_hint())
        self.unit = token.text.lower()

    def _length(self) -> None:
        token = self.number("a duration")
        self._length_given = (token, self.touching_unit(token))
