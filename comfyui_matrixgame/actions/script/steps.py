"""Steps: what is held and how the camera moves, for how long."""

from __future__ import annotations

from collections.abc import Iterable

from ...variants import FRAMES_PER_BLOCK
from ..vocabulary import AXES, CAMERA, EASINGS, action_list, held_keys, suggestion
from .lexer import UNREADABLE, Token
from .statements import Ramp, Step
from .token_reader import TokenReader

SUSTAINED_UP = 2 * FRAMES_PER_BLOCK  # rows of looking up in one step that deserve a word


class _Chord:
    """A chord while it is read."""

    __slots__ = ("camera", "idle", "keys", "words")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.words: list[str] = []
        self.camera: dict[str, Ramp] = {}
        self.idle = False


class StepReader(TokenReader):
    """Reads steps of the cursor's variant."""

    def read_step(self, lane: str = "") -> Step:
        start = self.now
        frames = self._step_duration() if start.kind == "number" else None
        chord, first = self._chord(lane)
        after = self.now
        if frames is None and after.kind == "number":
            frames = self._step_duration()
        elif frames is None and self.sees("-"):
            frames = self._latents(self.take())
        elif frames is None:
            frames = FRAMES_PER_BLOCK
        keys = chord.keys
        if len(keys) > 1:
            keys.sort(key=held_keys(self.variant).index)
            for one, other in self.variant.opposites:
                if one in keys and other in keys:
                    self.warn(
                        "opposite", f"'{one}' and '{other}' are opposites held together, which is untested", first
                    )
        pitch = chord.camera.get("pitch")
        if pitch and max(pitch.start, pitch.stop) > 0 and frames >= SUSTAINED_UP:
            self.warn("sustained-up", "looking up for long can make the picture go black", first)
        return Step(tuple(keys), chord.camera, frames)

    def _step_duration(self) -> int:
        frames, number, shown = self.duration("a duration")
        if frames < 1:
            raise self.error("no-frames", f"a step lasts at least one frame, got {shown}", number)
        return frames

    def _latents(self, dash: Token) -> int:
        if self.now.kind != "number":
            message = f"expected a number of latent frames after '-', got {self.now.shown}"
            raise self.error("expected", message, self.now, "w-3 is w for 3 latent frames (12 frames)")
        number = self.take()
        if self.now.kind == "word" and self.now.touches(number):
            message = f"after '-' comes a number of latent frames without a unit, got '{number.text}{self.now.text}'"
            raise self.error("latents", message, dash, until=self.now)
        frames = self.rows_of_duration(number, "l", None)
        if frames < 1:
            raise self.error("no-frames", f"a step lasts at least one frame, got {number.text}", number)
        return frames

    def _chord(self, lane: str) -> tuple[_Chord, Token]:
        chord = _Chord()
        first = last = self.now
        while True:
            last = self._action(chord, lane)
            if not self.sees("+"):
                break
            plus = self.take()
            if self.now.kind != "word":
                message = f"expected an action after '+', got {self.now.shown}"
                place = self.now if self.now.kind in UNREADABLE else plus
                raise self.error("expected", message, place, f"actions: {action_list(self.variant)}")
        held = len(chord.keys) + chord.idle
        if self.variant.exclusive and held > 1:
            message = f"{self.variant.name} takes one action at a time, got {'+'.join(chord.words)}"
            raise self.error("exclusive", message, first, until=last)
        if chord.idle and chord.keys:
            raise self.error("idle", f"idle presses nothing, got {'+'.join(chord.words)}", first, until=last)
        return chord, first

    def _action(self, chord: _Chord, lane: str) -> Token:
        token = self.now
        word = self.word()
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
        words = list(self.words) + (
            ["up", "down", "left", "right", "yaw", "pitch", "look"] if self.variant.mouse else []
        )
        stem = word.rstrip("0123456789")
        if stem != word and stem in words:
            return f"put a space between an action and its duration: {stem} {word[len(stem) :]}"
        near = suggestion(word, words)
        return f"did you mean '{near}'? {actions}" if near else actions

    def _key(self, chord: _Chord, lane: str) -> Token:
        token = self.take()
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

    def _camera(self, chord: _Chord, lane: str) -> Token:
        token = self.take()
        word = token.text.lower()
        axes = ("yaw", "pitch") if word == "look" else (word,) if word in AXES else (CAMERA[word][0],)
        self.camera_allowed(token, axes, f"'{token.text}'")
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
            value, last = self.variant.camera.speed if self.speed is None else self.speed, token
            if self.sees("("):
                self.take()
                value = self.camera_value()[0]
                last = self.expect(")", "after the speed")
            chord.camera[axis] = Ramp(sign * value + 0.0, sign * value + 0.0, None)
            return last
        self.expect("(", f"after '{token.text}'")
        for i, axis in enumerate(axes):
            if i:
                self.expect(",", "between yaw and pitch")
            chord.camera[axis] = self._ramp()
        return self.expect(")", "after the value")

    def camera_allowed(self, token: Token, axes: Iterable[str], what: str) -> None:
        if not self.variant.mouse:
            message = f"{what} moves the camera, and {self.variant.name} has no camera input"
            raise self.error("no-camera", message, token, f"actions: {action_list(self.variant)}")
        if "pitch" in axes and not self.variant.pitch:
            message = f"{what} sets pitch, which {self.variant.name} never uses"
            raise self.error("no-pitch", message, token, f"actions: {action_list(self.variant)}")

    def _ramp(self) -> Ramp:
        start = stop = self.camera_value()[0]
        if self.sees("->") or self.sees(".."):
            self.take()
            stop = self.camera_value()[0]
        ease = "linear"
        if self.now.kind == "word":
            token = self.take()
            ease = token.text.lower()
            if ease not in EASINGS:
                near = suggestion(ease, EASINGS)
                hint = f"easings: {' '.join(EASINGS)}"
                message = f"unknown easing '{token.text[:40]}'"
                raise self.error("easing", message, token, f"did you mean '{near}'? {hint}" if near else hint)
        return Ramp(start, stop, None if start == stop else ease)
