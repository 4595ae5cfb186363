"""Statements: markers, seeds, repeats, waits, lanes and steps. Times are added up in `to_timeline`."""

from __future__ import annotations

from ...variants import Variant
from .. import MAX_SEED
from ..check_document import MAX_FRAMES, MAX_MARKERS, MAX_NAME
from ..vocabulary import AXES
from .directives import DirectiveReader
from .lexer import ScriptError, Token, place_of
from .plain_steps import plain_steps
from .statements import Lanes, Mark, Repeat, Seed, Statement, Step, Wait
from .steps import StepReader
from .token_reader import integer

MAX_DEPTH = 16  # of repeats in repeats
LANES = ("keys", "cam", *AXES)


class Parser(DirectiveReader, StepReader):
    """Reads a whole script."""

    def read(self) -> list[Statement]:
        """All statements of the script."""
        plain = plain_steps(self.text, self.variant, statements_or_none)
        if plain is not None:
            self.end = Token("end", "", len(self.text))
            return plain
        return self.read_tokens()

    def read_tokens(self) -> list[Statement]:
        """See `read`; token by token."""
        self.begin()
        self.read_header()
        body = self._statements(None)
        self.end = self.now
        return body

    def _statements(self, opening: Token | None) -> list[Statement]:
        body: list[Statement] = []
        frames = 0
        while True:
            self.skip_separators()
            token = self.now
            if token.kind == "end":
                if opening is not None:
                    line, column = place_of(self.text, opening.at)
                    raise self.error("open-brace", f"'{{' opened at {line}:{column} is never closed", token)
                return body
            if self.sees("}"):
                if opening is None:
                    raise self.error("close-brace", "'}' closes nothing", token)
                return body
            statement = self._statement(frames)
            if not isinstance(statement, Lanes):
                self.end_of("step")
            frames += statement.frames
            if frames > MAX_FRAMES:
                raise self.too_long(token)
            body.append(statement)

    def _statement(self, now: int) -> Statement:
        token = self.now
        word = self.word()
        if word in self.words:
            return self.read_step()
        if self.sees("@"):
            message = "directives come before the first step"
            raise self.error("late-directive", message, token, until=self.peek(1))
        if self.sees(":"):
            return self._marker()
        if word == "seed":
            return self._seed()
        if word == "repeat" or (token.kind == "number" and self.word(1) == "x" and self.sees("{", 2)):
            return self._repeat()
        if word == "at":
            return self._at(now)
        if self._at_lane():
            return self._lanes()
        return self.read_step()

    def _marker(self) -> Mark:
        colon = self.take()
        token = self.take()
        if token.kind not in ("word", "string"):
            message = f"expected the name of a marker after ':', got {token.shown}"
            raise self.error("marker", message, token, 'markers: :start or :"look around"')
        name = token.text if token.kind == "word" else token.text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if not 1 <= len(name) <= MAX_NAME:
            message = f"the name of a marker has 1 to {MAX_NAME} characters, got {len(name)}"
            raise self.error("marker", message, token)
        at = self._at_row()
        pin = self.word() == "pin"
        if pin:
            self.take()
        return Mark(name, pin, at, colon)

    def _seed(self) -> Seed:
        place = self.take()
        number = self.number("a seed")
        digits = number.text if number.text.isdigit() and len(number.text) <= len(str(MAX_SEED)) else ""
        if not digits or int(digits) > MAX_SEED:
            raise self.error("seed", f"a seed is a whole number from 0 to {MAX_SEED}, got {number.text[:40]}", number)
        return Seed(int(digits), self._at_row(), place)

    def _at_row(self) -> int | None:
        """The row of `at`, which may stand behind a marker or a seed; None where it does not."""
        if self.word() != "at":
            return None
        word = self.take()
        if self.depth:
            raise self.error("at-in-repeat", "'at' cannot be used inside repeat", word)
        return self.duration("a time")[0]

    def _repeat(self) -> Repeat:
        start = self.take()
        count = start if start.kind == "number" else self.number("how many times")
        if start.kind == "number":
            self.take()
        times = integer(count)
        if times is None or not 1 <= times <= MAX_FRAMES:
            raise self.error(
                "repeat", f"repeat takes a whole number from 1 to {MAX_FRAMES}, got {count.text[:40]}", count
            )
        opening = self.expect("{", "after the number of repeats")
        if self.depth >= MAX_DEPTH:
            raise self.error("depth", f"repeats are nested more than {MAX_DEPTH} deep", start)
        self.depth += 1
        body = self._statements(opening)
        self.depth -= 1
        closing = self.take()
        frames = times * sum(s.frames for s in body)
        markers = times * sum(s.markers for s in body)
        if not frames:
            raise self.error(
                "empty-repeat", "there is nothing to repeat: no step inside takes time", opening, until=closing
            )
        if frames > MAX_FRAMES:
            raise self.too_long(start)
        if markers > MAX_MARKERS:
            raise self.error("markers", f"this repeat makes more than {MAX_MARKERS} markers", start)
        return Repeat(body, times, frames, markers)

    def _at(self, now: int) -> Wait:
        word = self.take()
        if self.depth:
            raise self.error("at-in-repeat", "'at' cannot be used inside repeat", word)
        frame, number, shown = self.duration("a time")
        if frame < now:
            message = f"at {shown} is in the past: the script is already at frame {now}"
            raise self.error("past", message, number)
        if frame > MAX_FRAMES:
            raise self.too_long(word)
        return Wait(frame - now)

    def _lanes(self) -> Lanes:
        lanes: list[tuple[str, list[Step]]] = []
        names: set[str] = set()
        while self._at_lane() and self.word() not in names:
            token = self.take()
            name = token.text.lower()
            self.take()
            clash = names & {"cam"} if name in AXES else names & set(AXES) if name == "cam" else set()
            if clash:
                other = name if name in AXES else min(clash, key=AXES.index)
                message = f"a cam lane sets yaw and pitch, so it cannot stand beside a {other} lane"
                raise self.error("lane-clash", message, token, "use cam alone, or yaw and pitch")
            if name != "keys":
                self.camera_allowed(token, (name,) if name in AXES else ("yaw",), f"a {name} lane")
            names.add(name)
            lanes.append((name, self._lane(name)))
            self.end_of("step")
            self.skip_separators()
        return Lanes(lanes, max(sum(step.frames for step in steps) for _, steps in lanes))

    def _at_lane(self) -> bool:
        return self.word() in LANES and self.sees(":", 1)

    def _lane(self, name: str) -> list[Step]:
        steps: list[Step] = []
        frames = 0
        while True:
            token = self.now
            steps.append(self.read_step(name))
            frames += steps[-1].frames
            if frames > MAX_FRAMES:
                raise self.too_long(token)
            if not self.sees(","):
                return steps
            self.take()
            while self.now.kind == "newline":
                self.take()
            if self._at_lane() or self.sees("}") or self.sees(";") or self.now.kind == "end":
                return steps


def statements_or_none(text: str, variant: Variant) -> list[Statement] | None:
    """The statements of a text, or None where there is an error or a warning in it."""
    parser = Parser(text, variant)
    try:
        body = parser.read_tokens()
    except ScriptError:
        return None
    return None if parser.warnings else body
