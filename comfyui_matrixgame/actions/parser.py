"""Tokens to statements: what each step holds and for how long. Times are added up in `score`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..variants import (
    CAMERA_DEFAULT,
    CAMERA_LIMIT,
    CAMERA_UNIT_DEGREES,
    CAMERA_WARN,
    FPS,
    FRAMES_PER_BLOCK,
    UNIVERSAL,
    VARIANTS,
    Variant,
)
from .check import MAX_FRAMES, MAX_MARKERS, MAX_NAME
from .lexer import ScriptError, ScriptWarning, Token, source_line, tokens
from .vocabulary import (
    AXES,
    CAMERA,
    EASINGS,
    OPPOSITES,
    ROUNDED_UNITS,
    UNITS,
    action_list,
    held_keys,
    key_words,
    suggestion,
)

SCRIPT_VERSION = 1
MAX_DEPTH = 16  # of repeats in repeats
SUSTAINED_UP = 2 * FRAMES_PER_BLOCK  # rows of looking up in one step that deserve a word
LANES = ("keys", "cam", *AXES)
DIRECTIVES = ("version", "variant", "fps", "speed", "unit", "length")


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


@dataclass
class _Chord:
    """A chord while it is read."""

    keys: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    camera: dict[str, Ramp] = field(default_factory=dict)
    idle: bool = False


class Parser:
    """Reads normalised script text once, from left to right, and stops at the first fault."""

    def __init__(self, text: str, given: Variant | None) -> None:
        self.text, self.given = text, given
        self.variant = given or UNIVERSAL
        self.speed, self.unit = CAMERA_DEFAULT, "f"
        self.length: tuple[int, Token] | None = None
        self._length_given: tuple[Token, str | None] | None = None  # its unit may come from a later @unit
        self.warnings: list[ScriptWarning] = []
        self.last = Token("end", "", 1, 1)
        self.depth = 0
        self.words: dict[str, str] = {}
        self._stream = tokens(text)
        self._ahead: list[Token] = []

    def read(self) -> list[Statement]:
        """All statements of the script."""
        self._directives()
        self.words = key_words(self.variant)
        body = self._statements(None)
        self.last = self._peek()
        return body

    # ---- tokens

    def _peek(self, ahead: int = 0) -> Token:
        while len(self._ahead) <= ahead:
            self._ahead.append(next(self._stream, None) or self._ahead[-1])
        return self._ahead[ahead]

    def _next(self) -> Token:
        token = self._peek()
        if token.kind != "end":
            self._ahead.pop(0)
        return token

    def _is(self, symbol: str, ahead: int = 0) -> bool:
        token = self._peek(ahead)
        return token.kind == "symbol" and token.text == symbol

    def _word(self, ahead: int = 0) -> str:
        token = self._peek(ahead)
        return token.text.lower() if token.kind == "word" else ""

    def _expect(self, symbol: str, after: str) -> Token:
        if not self._is(symbol):
            raise self.error("expected", f"expected '{symbol}' {after}, got {self._peek().shown}", self._peek())
        return self._next()

    def error(self, code: str, message: str, place: Token, hint: str = "", until: Token | None = None) -> ScriptError:
        """The error at `place`, underlined up to the end of `until`."""
        end = until.end if until is not None and until.line == place.line else place.end
        return ScriptError(code, message, self.text, place.line, place.column, end - place.column, hint)

    def warn(self, code: str, message: str, place: Token) -> None:
        """Keep a warning at `place`."""
        width = max(1, len(place.text))
        source = source_line(self.text, place.line)
        self.warnings.append(ScriptWarning(code, message, place.line, place.column, width, source))

    def _separators(self) -> None:
        while self._peek().kind == "newline" or self._is(";") or self._is(","):
            self._next()

    # ---- directives

    def _directives(self) -> None:
        seen: set[str] = set()
        self._separators()
        while self._is("@"):
            at = self._next()
            name = self._next()
            word = name.text.lower()
            known = f"directives: {' '.join('@' + d for d in DIRECTIVES)}"
            if name.kind != "word" or word not in DIRECTIVES:
                near = suggestion(word, DIRECTIVES) if name.kind == "word" else None
                hint = f"did you mean '@{near}'? {known}" if near else known
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
            self._end_of("directive")
            self._separators()
        if self._length_given:
            number, unit = self._length_given
            rows = self._rows(number, unit or self.unit, unit)
            if rows < 1:
                raise self.error("no-frames", f"a script lasts at least one frame, got {number.text}", number)
            self.length = (rows, number)

    def _version(self) -> None:
        token = self._number("a version")
        if _integer(token) != SCRIPT_VERSION:
            newer = f"script version {token.text} is newer than this node understands ({SCRIPT_VERSION})"
            older = f"there is no script version {token.text}; this node understands {SCRIPT_VERSION}"
            raise self.error("version", newer if float(token.text) > SCRIPT_VERSION else older, token)

    def _variant(self) -> None:
        token = self._next()
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
        if self.given is not None and self.given.name != name:
            message = f"the script is for {name}, but here the variant is {self.given.name}"
            raise self.error("other-variant", message, token, "load the other weights, or change the script")
        self.variant = VARIANTS[name]

    def _fps(self) -> None:
        token = self._number("a number of frames")
        if float(token.text) != FPS:
            raise self.error("fps", f"the model makes {FPS} frames a second, got {token.text}", token)

    def _speed(self) -> None:
        value, token = self._value()
        if value < 0:
            raise self.error("speed", "a speed is 0 or more; left, right, up and down choose the way", token)
        self.speed = value

    def _unit(self) -> None:
        token = self._next()
        if token.kind != "word" or token.text.lower() not in UNITS:
            raise self.error("unit", f"expected a unit, got {token.shown}", token, _units_hint())
        self.unit = token.text.lower()

    def _length(self) -> None:
        token = self._number("a duration")
        self._length_given = (token, self._touching_unit(token))

    # ---- statements

    def _statements(self, opening: Token | None) -> list[Statement]:
        body: list[Statement] = []
        frames = 0
        while True:
            self._separators()
            token = self._peek()
            if token.kind == "end":
                if opening is not None:
                    where = f"'{{' opened at {opening.line}:{opening.column} is never closed"
                    raise self.error("open-brace", where, token)
                return body
            if self._is("}"):
                if opening is None:
                    raise self.error("close-brace", "'}' closes nothing", token)
                return body
            statement = self._statement(frames)
            if not isinstance(statement, Lanes):
                self._end_of("step")
            frames += statement.frames
            if frames > MAX_FRAMES:
                raise self._too_long(token)
            body.append(statement)

    def _statement(self, now: int) -> Statement:
        token = self._peek()
        word = self._word()
        if self._is("@"):
            message = "directives come before the first step"
            raise self.error("late-directive", message, token, until=self._peek(1))
        if self._is(":"):
            return self._marker()
        if word == "repeat" or (token.kind == "number" and self._word(1) == "x" and self._is("{", 2)):
            return self._repeat()
        if word == "at":
            return self._at(now)
        if self._at_lane():
            return self._lanes()
        return self._step()

    def _end_of(self, what: str) -> None:
        token = self._peek()
        if token.kind in ("newline", "end") or any(self._is(s) for s in ";,}"):
            return
        hint = f"separate {what}s with a new line, ',' or ';'"
        raise self.error("end-of-step", f"expected end of {what} before {token.shown}", token, hint)

    def _too_long(self, place: Token) -> ScriptError:
        message = f"the script makes more than {MAX_FRAMES} frames"
        return self.error("too-long", message, place, f"{MAX_FRAMES} frames are one hour; make several scripts")

    def _marker(self) -> Mark:
        colon = self._next()
        token = self._next()
        if token.kind not in ("word", "string"):
            message = f"expected the name of a marker after ':', got {token.shown}"
            raise self.error("marker", message, token, 'markers: :start or :"look around"')
        name = token.text if token.kind == "word" else token.text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if not 1 <= len(name) <= MAX_NAME:
            message = f"the name of a marker has 1 to {MAX_NAME} characters, got {len(name)}"
            raise self.error("marker", message, token)
        at = None
        if self._word() == "at":
            word = self._next()
            if self.depth:
                raise self.error("at-in-repeat", "'at' cannot be used inside repeat", word)
            at = self._duration("a time")[0]
        pin = self._word() == "pin"
        if pin:
            self._next()
        return Mark(name, pin, at, colon)

    def _repeat(self) -> Repeat:
        start = self._next()
        count = start if start.kind == "number" else self._number("how many times")
        if start.kind == "number":
            self._next()
        times = _integer(count)
        if times is None or not 1 <= times <= MAX_FRAMES:
            raise self.error(
                "repeat", f"repeat takes a whole number from 1 to {MAX_FRAMES}, got {count.text[:40]}", count
            )
        opening = self._expect("{", "after the number of repeats")
        if self.depth >= MAX_DEPTH:
            raise self.error("depth", f"repeats are nested more than {MAX_DEPTH} deep", start)
        self.depth += 1
        body = self._statements(opening)
        self.depth -= 1
        closing = self._next()
        frames = times * sum(s.frames for s in body)
        markers = times * sum(s.markers for s in body)
        if not frames:
            raise self.error(
                "empty-repeat", "there is nothing to repeat: no step inside takes time", opening, until=closing
            )
        if frames > MAX_FRAMES:
            raise self._too_long(start)
        if markers > MAX_MARKERS:
            raise self.error("markers", f"this repeat makes more than {MAX_MARKERS} markers", start)
        return Repeat(body, times, frames, markers)

    def _at(self, now: int) -> Wait:
        word = self._next()
        if self.depth:
            raise self.error("at-in-repeat", "'at' cannot be used inside repeat", word)
        frame, number, shown = self._duration("a time")
        if frame < now:
            message = f"at {shown} is in the past: the script is already at frame {now}"
            raise self.error("past", message, number)
        if frame > MAX_FRAMES:
            raise self._too_long(word)
        return Wait(frame - now)

    def _lanes(self) -> Lanes:
        lanes: list[tuple[str, list[Step]]] = []
        names: set[str] = set()
        while self._at_lane() and self._word() not in names:
            token = self._next()
            name = token.text.lower()
            self._next()
            clash = names & {"cam"} if name in AXES else names & set(AXES) if name == "cam" else set()
            if clash:
                other = name if name in AXES else clash.pop()
                message = f"a cam lane sets yaw and pitch, so it cannot stand beside a {other} lane"
                raise self.error("lane-clash", message, token, "use cam alone, or yaw and pitch")
            if name != "keys":
                self._camera_allowed(token, (name,) if name in AXES else ("yaw",), f"a {name} lane")
            names.add(name)
            lanes.append((name, self._lane(name)))
            self._end_of("step")
            self._separators()
        return Lanes(lanes, max(sum(step.frames for step in steps) for _, steps in lanes))

    def _at_lane(self) -> bool:
        return self._word() in LANES and self._is(":", 1)

    def _lane(self, name: str) -> list[Step]:
        steps: list[Step] = []
        frames = 0
        while True:
            token = self._peek()
            steps.append(self._step(name))
            frames += steps[-1].frames
            if frames > MAX_FRAMES:
                raise self._too_long(token)
            if not self._is(","):
                return steps
            self._next()
            while self._peek().kind == "newline":
                self._next()
            if self._at_lane() or self._is("}") or self._is(";") or self._peek().kind == "end":
                return steps

    # ---- steps

    def _step(self, lane: str = "") -> Step:
        start = self._peek()
        frames = self._step_duration() if start.kind == "number" else None
        chord, first = self._chord(lane)
        after = self._peek()
        if frames is None and after.kind == "number":
            frames = self._step_duration()
        elif frames is None and self._is("-"):
            frames = self._latents(self._next())
        elif frames is None:
            frames = FRAMES_PER_BLOCK
        for one, other in OPPOSITES:
            if one in chord.keys and other in chord.keys:
                self.warn("opposite", f"'{one}' and '{other}' are opposites held together, which is untested", first)
        pitch = chord.camera.get("pitch")
        if pitch and max(pitch.start, pitch.stop) > 0 and frames >= SUSTAINED_UP:
            self.warn("sustained-up", "looking up for long can make the picture go black", first)
        order = held_keys(self.variant)
        return Step(tuple(key for key in order if key in chord.keys), chord.camera, frames)

    def _step_duration(self) -> int:
        frames, number, shown = self._duration("a duration")
        if frames < 1:
            raise self.error("no-frames", f"a step lasts at least one frame, got {shown}", number)
        return frames

    def _latents(self, dash: Token) -> int:
        if self._peek().kind != "number":
            message = f"expected a number of latent frames after '-', got {self._peek().shown}"
            raise self.error("expected", message, self._peek(), "w-3 is w for 3 latent frames (12 frames)")
        number = self._next()
        if self._peek().kind == "word" and self._peek().touches(number):
            message = (
                f"after '-' comes a number of latent frames without a unit, got '{number.text}{self._peek().text}'"
            )
            raise self.error("latents", message, dash, until=self._peek())
        frames = self._rows(number, "l", None)
        if frames < 1:
            raise self.error("no-frames", f"a step lasts at least one frame, got {number.text}", number)
        return frames

    def _chord(self, lane: str) -> tuple[_Chord, Token]:
        chord = _Chord()
        first = last = self._peek()
        while True:
            last = self._action(chord, lane)
            if not self._is("+"):
                break
            plus = self._next()
            if self._peek().kind != "word":
                message = f"expected an action after '+', got {self._peek().shown}"
                raise self.error("expected", message, plus, f"actions: {action_list(self.variant)}")
        held = len(chord.keys) + chord.idle
        if self.variant.exclusive and held > 1:
            message = f"{self.variant.name} takes one action at a time, got {'+'.join(chord.words)}"
            raise self.error("exclusive", message, first, until=last)
        if chord.idle and chord.keys:
            raise self.error("idle", f"idle presses nothing, got {'+'.join(chord.words)}", first, until=last)
        return chord, first

    def _action(self, chord: _Chord, lane: str) -> Token:
        token = self._peek()
        word = self._word()
        if word in self.words:
            return self._key(chord, lane)
        if word in CAMERA or word in AXES or word == "look":
            return self._camera(chord, lane)
        if token.kind != "word":
            message = f"expected an action, got {token.shown}"
            raise self.error("expected", message, token, f"actions: {action_list(self.variant)}")
        raise self.error(
            "action", f"unknown action '{token.text[:40]}' for {self.variant.name}", token, self._meant(word)
        )

    def _meant(self, word: str) -> str:
        actions = f"actions: {action_list(self.variant)}"
        known = list(self.words) + (
            ["up", "down", "left", "right", "yaw", "pitch", "look"] if self.variant.mouse else []
        )
        stem = word.rstrip("0123456789")
        if stem != word and stem in known:
            return f"put a space between an action and its duration: {stem} {word[len(stem) :]}"
        near = suggestion(word, known)
        return f"did you mean '{near}'? {actions}" if near else actions

    def _key(self, chord: _Chord, lane: str) -> Token:
        token = self._next()
        key = self.words[token.text.lower()]
        if key == "idle":
            chord.idle = True
            chord.words.append(token.text.lower())
            return token
        if lane in ("cam", *AXES):
            raise self.error("lane", f"'{token.text}' is a key, and this is a {lane} lane", token)
        if key in chord.keys:
            raise self.error("key-twice", f"{key} is pressed twice in one step", token)
        chord.keys.append(key)
        chord.words.append(token.text.lower())
        return token

    # ---- the camera

    def _camera(self, chord: _Chord, lane: str) -> Token:
        token = self._next()
        word = token.text.lower()
        axes = ("yaw", "pitch") if word == "look" else (word,) if word in AXES else (CAMERA[word][0],)
        self._camera_allowed(token, axes, f"'{token.text}'")
        if lane == "keys" or (lane in AXES and axes != (lane,)):
            what = "the camera" if lane == "keys" else " and ".join(axes)
            verb = "moves" if lane == "keys" else "sets"
            raise self.error("lane", f"'{token.text}' {verb} {what}, and this is a {lane} lane", token)
        for axis in axes:
            if axis in chord.camera:
                both = "left and right set yaw, up and down set pitch, look sets both"
                raise self.error("axis-twice", f"{axis} is set twice in one step", token, both)
        if word in CAMERA:
            axis, sign = CAMERA[word]
            value, last = self.speed, token
            if self._is("("):
                self._next()
                value = self._value()[0]
                last = self._expect(")", "after the speed")
            chord.camera[axis] = Ramp(sign * value + 0.0, sign * value + 0.0, None)
            return last
        self._expect("(", f"after '{token.text}'")
        for i, axis in enumerate(axes):
            if i:
                self._expect(",", "between yaw and pitch")
            chord.camera[axis] = self._ramp()
        return self._expect(")", "after the value")

    def _camera_allowed(self, token: Token, axes: Iterable[str], what: str) -> None:
        if not self.variant.mouse:
            message = f"{what} moves the camera, and {self.variant.name} has no camera input"
            raise self.error("no-camera", message, token, f"actions: {action_list(self.variant)}")
        if "pitch" in axes and not self.variant.pitch:
            message = f"{what} sets pitch, which {self.variant.name} never uses"
            raise self.error("no-pitch", message, token, f"actions: {action_list(self.variant)}")

    def _ramp(self) -> Ramp:
        start = stop = self._value()[0]
        if self._is("->") or self._is(".."):
            self._next()
            stop = self._value()[0]
        ease = "linear"
        if self._peek().kind == "word":
            token = self._next()
            ease = token.text.lower()
            if ease not in EASINGS:
                near = suggestion(ease, EASINGS)
                hint = f"easings: {' '.join(EASINGS)}"
                message = f"unknown easing '{token.text[:40]}'"
                raise self.error("easing", message, token, f"did you mean '{near}'? {hint}" if near else hint)
        return Ramp(start, stop, None if start == stop else ease)

    def _value(self) -> tuple[float, Token]:
        """A camera value in units, and its first token."""
        first = self._peek()
        sign = -1.0 if self._is("-") else 1.0
        if self._is("-") or self._is("+"):
            self._next()
        token = self._number("a number")
        shown = (first.text if first is not token else "") + token.text
        value = sign * float(token.text)
        last = token
        if self._word() == "deg" and self._peek().touches(token):
            last = self._next()
            shown += "deg"
            value = math.floor(value / CAMERA_UNIT_DEGREES * 1e6 + 0.5) / 1e6 if abs(value) < 1e6 else value
        if abs(value) > CAMERA_LIMIT:
            hint = "0.1 is what the model was benchmarked with (1.5deg a frame)"
            message = f"camera speed {shown[:40]} is outside -{CAMERA_LIMIT:g}..{CAMERA_LIMIT:g}"
            raise self.error("camera-range", message, first, hint, last)
        if abs(value) > CAMERA_WARN:
            self.warn("fast-camera", f"camera speed {shown[:40]} is beyond {CAMERA_WARN:g}, which is untested", first)
        return value + 0.0, first

    # ---- numbers

    def _number(self, what: str) -> Token:
        token = self._peek()
        if token.kind != "number":
            raise self.error("expected", f"expected {what}, got {token.shown}", token)
        return self._next()

    def _touching_unit(self, number: Token) -> str | None:
        """The unit written right behind `number`, or None."""
        token = self._peek()
        if token.kind != "word" or not token.touches(number):
            return None
        if token.text.lower() not in UNITS:
            hint = f"{_units_hint()}; write '{number.text} {token.text}' for {number.text} frames of {token.text}"
            known = token.text.lower() in self.words
            raise self.error("unit", f"unknown unit '{token.text[:40]}'", token, hint if known else _units_hint())
        return self._next().text.lower()

    def _duration(self, what: str) -> tuple[int, Token, str]:
        """Rows, the number's token, and the duration as it was written."""
        number = self._number(what)
        unit = self._touching_unit(number)
        shown = number.text[:40] + (unit or "")
        return self._rows(number, unit or self.unit, unit), number, shown

    def _rows(self, number: Token, unit: str, written: str | None) -> int:
        """`number` units as rows; seconds are rounded to the nearest row, other units must come out whole."""
        rows = float(number.text) * UNITS[unit] if len(number.text) < 40 else math.inf
        if rows > MAX_FRAMES + 0.5:
            raise self._too_long(number)
        whole = math.floor(rows + 0.5)
        if unit not in ROUNDED_UNITS and abs(rows - whole) > 1e-6:
            shown = number.text + (unit if written is None else written)
            raise self.error(
                "fraction", f"{shown} is {_short(rows)} frames, which is not a whole number of frames", number
            )
        return whole


def _units_hint() -> str:
    return "units: f frames, l latent frames (4), b blocks (12), s seconds, ms milliseconds"


def _integer(token: Token) -> int | None:
    return int(token.text) if token.text.isdigit() and len(token.text) < 10 else None


def _short(value: float) -> str:
    """At most four decimals, none of them a trailing zero."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
