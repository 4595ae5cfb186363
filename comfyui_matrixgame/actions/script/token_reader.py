"""Reading tokens one after the other: errors, warnings, numbers, durations, camera values."""

from __future__ import annotations

import math

from ...variants import Variant, default_variant
from ..check_document import MAX_FRAMES
from ..vocabulary import ROUNDED_UNITS, UNITS
from .lexer import ENDS, ScriptError, ScriptWarning, Token, line_at, place_of, tokens, unended_text_error

MAX_WARNINGS = 100  # further ones are not kept


class TokenReader:
    """Reads normalised script text once, from left to right, and stops at the first fault."""

    def __init__(self, text: str, wanted: Variant | None) -> None:
        self.text, self.wanted = text, wanted
        self.variant = wanted or default_variant()
        self.speed: float | None = None  # of @speed; the camera's own without it
        self.unit = "f"
        self.length: tuple[int, Token] | None = None
        self.warnings: list[ScriptWarning] = []
        self.end = Token("end", "", 0)
        self.depth = 0
        self.words: dict[str, str] = {}
        self._tokens = [self.end]
        self._next = 0
        self.now = self.end  # the next token, not taken yet

    def begin(self) -> None:
        """Stand at the first token."""
        self._tokens, self._next = tokens(self.text), 0
        self.now = self._tokens[0]

    def peek(self, ahead: int) -> Token:
        """The token that is `ahead` of the next one."""
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self.now
        if token.kind not in ENDS:
            self._next += 1
            self.now = self._tokens[self._next]
        return token

    def sees(self, symbol: str, ahead: int = 0) -> bool:
        return (self.peek(ahead) if ahead else self.now).text == symbol

    def word(self, ahead: int = 0) -> str:
        token = self.peek(ahead) if ahead else self.now
        return token.text.lower() if token.kind == "word" else ""

    def expect(self, symbol: str, after: str) -> Token:
        if not self.sees(symbol):
            raise self.error("expected", f"expected '{symbol}' {after}, got {self.now.shown}", self.now)
        return self.take()

    def error(self, code: str, message: str, place: Token, hint: str = "", until: Token | None = None) -> ScriptError:
        """The error at `place`, underlined up to the end of `until`; at what is no token, the error of that."""
        unreadable = unended_text_error(self.text, place) or (until and unended_text_error(self.text, until))
        if unreadable is not None:
            return unreadable
        line, column = place_of(self.text, place.at)
        last = until if until is not None and place_of(self.text, until.at)[0] == line else place
        return ScriptError(code, message, self.text, line, column, last.stop - place.at, hint)

    def warn(self, code: str, message: str, place: Token) -> None:
        """Keep a warning at `place`."""
        if len(self.warnings) < MAX_WARNINGS:
            line, column = place_of(self.text, place.at)
            width = max(1, place.stop - place.at)
            self.warnings.append(ScriptWarning(code, message, line, column, width, line_at(self.text, place.at)))

    def skip_separators(self) -> None:
        while self.now.kind == "newline" or self.now.text in (";", ","):
            self.take()

    def end_of(self, what: str) -> None:
        token = self.now
        if token.kind in ("newline", "end") or token.text in (";", ",", "}"):
            return
        hint = f"separate {what}s with a new line, ',' or ';'"
        raise self.error("end-of-step", f"expected end of {what} before {token.shown}", token, hint)

    def too_long(self, place: Token) -> ScriptError:
        message = f"the script makes more than {MAX_FRAMES} frames"
        return self.error("too-long", message, place, f"{MAX_FRAMES} frames are one hour; make several scripts")

    def number(self, what: str) -> Token:
        token = self.now
        if token.kind != "number":
            raise self.error("expected", f"expected {what}, got {token.shown}", token)
        return self.take()

    def touching_unit(self, number: Token) -> str | None:
        """The unit written right behind `number`, or None."""
        token = self.now
        if token.kind != "word" or not token.touches(number):
            return None
        if token.text.lower() not in UNITS:
            frames = "1 frame" if number.text == "1" else f"{number.text} frames"
            hint = f"{units_hint()}; write '{number.text} {token.text}' for {frames} of {token.text}"
            is_action = token.text.lower() in self.words
            raise self.error("unit", f"unknown unit '{token.text[:40]}'", token, hint if is_action else units_hint())
        return self.take().text.lower()

    def duration(self, what: str) -> tuple[int, Token, str]:
        """Rows, the number's token, and the duration as it was written."""
        number = self.number(what)
        unit = self.touching_unit(number)
        shown = number.text[:40] + (unit or "")
        return self.rows_of_duration(number, unit or self.unit, unit), number, shown

    def rows_of_duration(self, number: Token, unit: str, written: str | None) -> int:
        """`number` units as rows; seconds are rounded to the nearest row, other units must come out whole."""
        rows = float(number.text) * UNITS[unit] if len(number.text) < 40 else math.inf
        if rows > MAX_FRAMES + 0.5:
            raise self.too_long(number)
        whole = math.floor(rows + 0.5)
        if unit not in ROUNDED_UNITS and abs(rows - whole) > 1e-6:
            shown = number.text + (unit if written is None else written)
            raise self.error(
                "fraction", f"{shown} is {_short(rows)} frames, which is not a whole number of frames", number
            )
        return whole

    def camera_value(self) -> tuple[float, Token]:
        """A camera value in units, and its first token."""
        camera = self.variant.camera
        first = self.now
        sign = -1.0 if self.sees("-") else 1.0
        if self.sees("-") or self.sees("+"):
            self.take()
        token = self.number("a number")
        shown = (first.text if first is not token else "") + token.text
        value = sign * float(token.text)
        last = token
        if self.word() == "deg" and self.now.touches(token):
            last = self.take()
            shown += "deg"
            value = math.floor(value / camera.unit * 1e6 + 0.5) / 1e6 if abs(value) < 1e6 else value
        if abs(value) > camera.limit:
            usual = f"{camera.speed:g} is what the model was benchmarked with"
            hint = f"{usual} ({camera.speed * camera.unit:g}deg a frame)"
            message = f"camera speed {shown[:40]} is outside -{camera.limit:g}..{camera.limit:g}"
            raise self.error("camera-range", message, first, hint, last)
        if abs(value) > camera.tested:
            self.warn("fast-camera", f"camera speed {shown[:40]} is beyond {camera.tested:g}, which is untested", first)
        return value + 0.0, first


def units_hint() -> str:
    return "units: f frames, l latent frames (4), b blocks (12), s seconds, ms milliseconds"


def integer(token: Token) -> int | None:
    return int(token.text) if token.text.isdigit() and len(token.text) < 10 else None


def _short(value: float) -> str:
    """At most four decimals, none of them a trailing zero."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
