"""Random documents, tracks and scripts, from a seeded `random.Random` (quick enough for thousands)."""

from __future__ import annotations

import random

import numpy as np

from comfyui_matrixgame.actions.document import Marker, Timeline, canonical_lanes
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.actions.vocabulary import EASINGS, camera_axes, held_keys
from comfyui_matrixgame.variants import VARIANTS, Variant, frames_of_blocks

NAMES = ("start", "look around", 'say "hi"', "back\\slash", "看", "a_1", "1st", "end;", "# no comment", "at")


def variant(rng: random.Random) -> Variant:
    return rng.choice(list(VARIANTS.values()))


def runs(rng: random.Random, length: int) -> list[list[int]]:
    out, t = [], rng.randrange(12)
    while t < length and len(out) < 8:
        count = min(rng.choice((1, 2, 6, 12, 24)), length - t)
        out.append([t, count])
        t += count + rng.choice((1, 5, 12, 30))
    return out


def speed(rng: random.Random) -> float:
    return rng.choice((0, 0.1, -0.1, 0.05, 0.3, 1, -1, round(rng.uniform(-1, 1), rng.choice((1, 3, 9)))))


def curve(rng: random.Random, length: int) -> list[list]:
    out: list[list] = []
    t = rng.randrange(12)
    while t < length and len(out) < 8:
        if rng.random() < 0.5:
            out.append([t, speed(rng)])
            t += rng.choice((1, 6, 12))
        else:
            count = rng.choice((1, 2, 11, 24, 60))
            out.append([t, speed(rng), rng.choice(EASINGS), count, speed(rng)])
            t += count + rng.choice((0, 0, 7))
    return out


def timeline(rng: random.Random) -> Timeline:
    kind = variant(rng)
    length = frames_of_blocks(rng.randint(1, 12))
    lanes: dict[str, list] = {key: runs(rng, length) for key in held_keys(kind) if rng.random() < 0.7}
    if kind.exclusive:
        lanes = {}
        for start, count in runs(rng, length):
            lanes.setdefault(rng.choice(held_keys(kind)), []).append([start, count])
    lanes.update({axis: curve(rng, length) for axis in camera_axes(kind) if rng.random() < 0.7})
    marks = [Marker(rng.randint(0, length), rng.choice(NAMES), rng.random() < 0.3) for _ in range(rng.randrange(4))]
    seeds = tuple((row, rng.randrange(2**53)) for row in sorted(rng.sample(range(length), rng.randrange(3))))
    markers = tuple(sorted(marks, key=lambda m: m.t))
    return Timeline(kind, length, canonical_lanes(kind, lanes), markers, seeds=seeds)


def track(rng: random.Random, rows: int | None = None, kind: Variant | None = None) -> ActionTrack:
    kind = kind or variant(rng)
    rows = rows or rng.choice((1, 8, 9, 21, 40, 57))
    noise = np.random.default_rng(rng.getrandbits(32))
    hold = rng.choice((1, 4, 12))
    count = -(-rows // hold)
    if kind.exclusive:
        keyboard = np.eye(len(kind.keys), dtype=np.float32)[noise.integers(0, len(kind.keys), count)]
    else:
        keyboard = noise.integers(0, 2, (count, len(kind.keys))).astype(np.float32)
    mouse = noise.uniform(-1, 1, (count, 2)).astype(np.float32)
    mouse[noise.random(count) < 0.3] = 0
    if not kind.pitch:
        mouse[:, 0] = 0
    keyboard, mouse = (np.repeat(a, hold, axis=0)[:rows] for a in (keyboard, mouse))
    seeds = tuple((row, row + 3) for row in range(rng.choice((rows, 7)), rows, 12))
    return ActionTrack(kind, keyboard, mouse if kind.mouse else None, seeds=seeds)


def script(rng: random.Random, kind: Variant, depth: int = 0) -> str:
    """A script that is mostly well formed."""
    return "".join(_statement(rng, kind, depth) + rng.choice(("\n", "\n", "; ", ", ", "\n# so\n")) for _ in range(4))


def _statement(rng: random.Random, kind: Variant, depth: int) -> str:
    roll = rng.random()
    if roll < 0.04:
        return f"seed {rng.choice((0, 7, 2**53 - 1, 2**53))}" + rng.choice(("", "", " at 2b"))
    if roll < 0.1:
        return f':"{rng.choice(("a", "b c", "看"))}"'
    if roll < 0.2 and depth < 3:
        return f"{rng.choice(('repeat 3', '2x', '2 x'))} {{ {script(rng, kind, depth + 1)} }}"
    if roll < 0.25 and not depth:
        return f"at {rng.randint(0, 60)}b"
    if roll < 0.35 and kind.mouse:
        return f"keys: {_step(rng, kind, False)}, {_step(rng, kind, False)}\nyaw: left 12, yaw(0 -> 0.1 in) 7\n"
    return _step(rng, kind, True)


def _step(rng: random.Random, kind: Variant, camera: bool) -> str:
    keys = held_keys(kind)
    chord = [rng.choice(keys)] if kind.exclusive else rng.sample(keys, rng.randint(0, 2)) or ["idle"]
    if camera and kind.mouse and rng.random() < 0.5:
        chord.append(rng.choice(("left", "right(0.05)", "yaw(-3deg)", "yaw(0 -> 0.1 smooth)", "yaw(.1 .. 0)")))
    duration = rng.choice(("", " 12", " 3", " 2b", " 1s", " 5l", "-2", " 400ms"))
    return "+".join(chord) + duration


def broken(rng: random.Random, text: str) -> str:
    """`text` with a few letters or words changed, moved or left out."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        much = rng.choice((0, 1, 1, 5))
        junk = rng.choice(
            ("", "", "{", "}", "(", ")", '"', "@", "->", "..", "+", "-", "\x00", "é", "9" * 30, "\n", "\t")
        )
        word = rng.choice(
            (junk, junk, "seed", "repeat 9 {", "at 3", "keys:", "yaw(", "@length 3", "@speed", "up", "left", "x", ";")
        )
        text = text[:at] + word + text[at + much :]
    return text
