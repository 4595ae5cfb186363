"""Inputs for recordings: what a random player does, and short scripts that show one thing each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.variants import UNIVERSAL

from .game import PITCH_LIMIT

MOVES = ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 1, 0), (1, 0, 0, 1))
MOVE_ODDS = (0.24, 0.34, 0.10, 0.10, 0.10, 0.06, 0.06)
SPEED = UNIVERSAL.camera.speed
SPEEDS = (0.05, 0.1, 0.1, 0.1, 0.15, 0.2)

# Rows are repeated over a clip: (keys W S A D, pitch, yaw, frames).
SCRIPTS: dict[str, tuple[tuple[tuple[int, int, int, int], float, float, int], ...]] = {
    "still": (((0, 0, 0, 0), 0.0, 0.0, 25),),
    "forward": (((1, 0, 0, 0), 0.0, 0.0, 25),),
    "back": (((0, 1, 0, 0), 0.0, 0.0, 25),),
    "left": (((0, 0, 1, 0), 0.0, 0.0, 25),),
    "right": (((0, 0, 0, 1), 0.0, 0.0, 25),),
    "turn_left": (((0, 0, 0, 0), 0.0, -SPEED, 25),),
    "turn_right": (((0, 0, 0, 0), 0.0, SPEED, 25),),
    "nod": (((0, 0, 0, 0), SPEED, 0.0, 12), ((0, 0, 0, 0), -SPEED, 0.0, 24)),
    "look_around": (((0, 0, 0, 0), 0.0, SPEED, 30), ((0, 0, 0, 0), 0.0, -SPEED, 60)),
    "circle": (((1, 0, 0, 0), 0.0, SPEED, 25),),
    "orbit": (((0, 0, 1, 0), 0.0, SPEED, 25),),
    "there_and_back": (((1, 0, 0, 0), 0.0, 0.0, 40), ((0, 1, 0, 0), 0.0, 0.0, 40)),
}


def random_track(rng: np.random.Generator, rows: int) -> ActionTrack:
    """A player who holds one thing for a third of a second to two seconds, then another; [rows] rows."""
    keyboard = np.zeros((rows, 4), np.float32)
    mouse = np.zeros((rows, 2), np.float32)
    _hold(rng, rows, lambda span: _walk(rng, keyboard, span))
    pitch = [0.0]
    _hold(rng, rows, lambda span: _look(rng, mouse, span, pitch))
    return ActionTrack(UNIVERSAL, keyboard, mouse)


def one_at_a_time(rng: np.random.Generator, rows: int) -> ActionTrack:
    """A player at the usual speed who does one thing for half a second to a second and a half, then another."""
    keyboard = np.zeros((rows, 4), np.float32)
    mouse = np.zeros((rows, 2), np.float32)

    def fill(span: slice) -> None:
        what, sign = int(rng.integers(11)), 1.0 if rng.random() < 0.5 else -1.0
        if what < 3:
            mouse[span, 1] = sign * SPEED
        elif what < 5:
            mouse[span, 0] = sign * SPEED
        elif what < 10:
            keyboard[span, int(rng.integers(4))] = 1.0

    start = int(rng.integers(-11, 1))  # so that changes do not always fall on the same frames
    while start < rows:
        stop = start + int(rng.integers(12, 37))
        fill(slice(max(0, start), min(rows, stop)))
        start = stop
    return ActionTrack(UNIVERSAL, keyboard, mouse)


def script_track(name: str, rows: int) -> ActionTrack:
    """`rows` rows of the script of that name, repeated from its start where it ends."""
    steps: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for keys, pitch, yaw, frames in SCRIPTS[name]:
        steps += [(np.array(keys, np.float32), np.array([pitch, yaw], np.float32))] * frames
    chosen = [steps[t % len(steps)] for t in range(rows)]
    return ActionTrack(UNIVERSAL, np.stack([k for k, _ in chosen]), np.stack([m for _, m in chosen]))


def _hold(rng: np.random.Generator, rows: int, fill) -> None:
    start = 0
    while start < rows:
        stop = min(rows, start + int(rng.integers(8, 50)))
        fill(slice(start, stop))
        start = stop


def _walk(rng: np.random.Generator, keyboard: NDArray[np.float32], span: slice) -> None:
    keyboard[span] = MOVES[int(rng.choice(len(MOVES), p=MOVE_ODDS))]


def _look(rng: np.random.Generator, mouse: NDArray[np.float32], span: slice, pitch: list[float]) -> None:
    what, speed = rng.random(), float(rng.choice(SPEEDS))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    frames = span.stop - span.start
    if what < 0.40:
        mouse[span, 1] = sign * speed
    if 0.35 < what < 0.60:
        if abs(pitch[0]) > 0.3:  # look back to the horizon rather than stay at the limit
            sign = -float(np.sign(pitch[0]))
        limit = PITCH_LIMIT * 0.8 / np.radians(15.0)  # in units of the input
        room = (limit - sign * pitch[0]) / (speed * frames)
        mouse[span, 0] = sign * speed * min(1.0, max(0.0, room))
        pitch[0] += float(mouse[span, 0].sum())
