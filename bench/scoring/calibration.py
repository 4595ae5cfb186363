"""The estimator of signs and lag held against the demo game, whose motion is known, in sets of films of several kinds.

The estimator was tuned on half of each set; the other half is held out: its figures are looked at, its films never are.
A block counts where the true pose moved as asked, whatever key was held.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import demo_world.render as renderer
from bench.demo_world import CONTROLS
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.measure.reports import write_text
from comfyui_matrixgame.scores import protocol
from comfyui_matrixgame.scores.measures.asked import asked_of, signs_of_blocks
from comfyui_matrixgame.scores.measures.lag import find_lag
from comfyui_matrixgame.scores.measures.signs import CALIBRATION, Signs, count_signs
from comfyui_matrixgame.scores.motion import camera
from comfyui_matrixgame.scores.motion.camera import AXES, fit_camera
from comfyui_matrixgame.scores.motion.flow import flow_between, small_grey
from comfyui_matrixgame.scores.motion.meter import STEP, MotionMeter
from comfyui_matrixgame.variants import FPS, UNIVERSAL, first_input_of_block, frames_of_blocks
from demo_world.game import Pose, play, poses_array, spawn, walk
from demo_world.inputs import random_track
from demo_world.render import render
from demo_world.scene import make_scene

BLOCKS = 5
LEAST = (0.1, 0.1, 0.5, 0.5)  # radians, units: a block that moved by less was blocked
WORLD = 5000  # the first world; training plays others
HALVES = {"tuned": 0, "held out": 150}  # added to a set's number, this seeds the half
LAGS = range(-3, 4)
PLAIN = ((0.46, 0.62, 0.30), (0.43, 0.58, 0.28))  # hardly any pattern on the ground


@dataclass(frozen=True)
class Set:
    """Films of one kind. films: how many in each half. at_once: most inputs of a block. field: of view, in degrees."""

    name: str
    width: int
    height: int
    films: int
    at_once: int = 1
    field: float = 78.0
    plain: bool = False


SETS = (
    Set("80x48", 80, 48, 48),
    Set("320x176", 320, 176, 48),
    Set("640x352", 640, 352, 48),
    Set("80x48, two inputs at a time", 80, 48, 40, 2),
    Set("320x176, two inputs at a time", 320, 176, 40, 2),
    Set("320x176, field of view 60 degrees", 320, 176, 48, 1, 60.0),
    Set("320x176, field of view 100 degrees", 320, 176, 48, 1, 100.0),
    Set("320x176, a plain ground", 320, 176, 48, 1, 78.0, True),
)


def tracks(count: int, at_once: int, seed: int) -> list[ActionTrack]:
    """Tracks whose blocks each hold up to `at_once` inputs, drawn from the seed; each input as often one way as the
    other, so that nothing is gained by guessing."""
    rng = np.random.default_rng([seed, 0x5C0])
    names = [
        [str(name) for name in rng.choice(list(CONTROLS), int(rng.integers(1, at_once + 1)), replace=False)]
        for _ in range(count * BLOCKS)
    ]
    ways = {}
    for name in CONTROLS:
        uses = sum(name in held for held in names)
        ways[name] = iter(rng.permutation(np.arange(uses) % 2).tolist())
    made = []
    for number in range(count):
        rows: list[dict[str, float]] = []
        for block in range(BLOCKS):
            row: dict[str, float] = {}
            for name in names[number * BLOCKS + block]:
                row |= CONTROLS[name][next(ways[name])]
            rows += [row] * (first_input_of_block(block + 1) - first_input_of_block(block))
        made.append(ActionTrack.from_rows(UNIVERSAL, rows))
    return made


@contextlib.contextmanager
def game_of(kind: Set) -> Iterator[None]:
    """Inside, the game looks as a set wants it."""
    field, grass = renderer.FOV, renderer.GRASS
    renderer.FOV, renderer.GRASS = math.radians(kind.field), PLAIN if kind.plain else grass
    try:
        yield
    finally:
        renderer.FOV, renderer.GRASS = field, grass


def metered(frames: Tensor) -> MotionMeter:
    """A meter that has seen frames [N, H, W, 3]."""
    meter = MotionMeter()
    for chunk in frames.split(FPS):
        meter.add(chunk)
    meter.end()
    return meter


def true_motion(a: Pose, b: Pose) -> tuple[float, float, float, float]:
    """Motion along AXES between two poses: radians, then units."""
    yaw = (b.yaw - a.yaw + math.pi) % (2 * math.pi) - math.pi
    middle, dx, dy = a.yaw + yaw / 2, b.x - a.x, b.y - a.y
    s, c = math.sin(middle), math.cos(middle)
    return yaw, b.pitch - a.pitch, dx * s + dy * c, dx * c - dy * s


def films_of(number: int, half: str) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """For each film of a set: every second frame as `small_grey` makes it, from which alone signs are estimated, and
    what each block was asked and did, [BLOCKS, 4]: signs of AXES, 0 also where the pose did not move that way."""
    kind, seed, count = SETS[number], number + HALVES[half], frames_of_blocks(BLOCKS)
    with game_of(kind):
        for film, track in enumerate(tracks(kind.films, kind.at_once, seed)):
            scene = make_scene(WORLD + 100 * seed + film)
            poses = walk(scene, spawn(scene, film), track, count)
            asked = signs_of_blocks(asked_of(track), BLOCKS)
            for block in range(BLOCKS):
                start, stop = max(0, frames_of_blocks(block) - 1), frames_of_blocks(block + 1) - 1
                true = np.array(true_motion(poses[start], poses[stop]))
                asked[block] = np.where(true * asked[block] > LEAST, asked[block], 0)
            yield small_grey(render(scene, poses_array(poses[::STEP]), kind.height, kind.width, samples=1)), asked


def judged(number: int, half: str) -> dict[str, Signs]:
    """For each axis, the signs estimated for the blocks of a set that moved as asked."""
    kind, found = SETS[number], []
    for small, asked in tqdm(films_of(number, half), desc=f"{kind.name}, {half}", total=kind.films):
        meter = MotionMeter()
        with torch.no_grad():
            meter.add_fit(fit_camera(flow_between(small[:-1], small[1:])))
        meter.end()
        found.append(count_signs(asked, meter.blocks))
    return added(found)


def calibrate(clips: int, processes: int, output: Path | None) -> dict[str, Any]:
    """The report of all sets; see `bench/scores.py`. clips: how many of ten seconds, for the lag. output: the report's
    path without its ending; figures so far are kept beside it until all are there."""
    kept = Kept(output and output.with_suffix(".part"))
    todo = [(number, half) for half in HALVES for number in range(len(SETS)) if (number, half) not in kept.found]
    with ProcessPoolExecutor(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        at_work = {pool.submit(judged, *each): each for each in todo}
        for done in as_completed(at_work):
            kept.put(at_work[done], done.result())
    found, numbers = kept.found, range(len(SETS))
    about = {
        "of": "the demo game, all sets of bench/scores.py together",
        "axes": shares(added(found.values())),
    }
    CALIBRATION.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    report = about | {
        "version": protocol.VERSION,
        "halves": {half: shares(added(found[number, half] for number in numbers)) for half in HALVES},
        "sets": {kind.name: shares(added(found[number, half] for half in HALVES)) for number, kind in enumerate(SETS)},
        "sets, by halves": {
            kind.name: {half: shares(found[number, half]) for half in HALVES} for number, kind in enumerate(SETS)
        },
        "lag": lags(clips),
    }
    if output:
        write_text(output.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    kept.remove()
    return report


class Kept:
    """What was found in each (set, half), also in a file, which is read if estimator and sets are the same."""

    def __init__(self, path: Path | None) -> None:
        self.found: dict[tuple[int, str], dict[str, Signs]] = {}
        self._path = path
        code = b"".join(file.read_bytes() for file in sorted(Path(camera.__file__).parent.glob("*.py")))
        self._of = {"estimator": hashlib.sha256(code).hexdigest(), "sets": [asdict(kind) for kind in SETS]}
        before = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
        if before.get("of") == self._of:
            for number, half, counts in before["found"]:
                self.found[number, half] = {axis: Signs(**signs) for axis, signs in counts.items()}

    def put(self, which: tuple[int, str], counts: dict[str, Signs]) -> None:
        """Add the counts of one and write the file."""
        self.found[which] = counts
        if self._path:
            found = [[*key, {axis: asdict(signs) for axis, signs in each.items()}] for key, each in self.found.items()]
            write_text(self._path, json.dumps({"of": self._of, "found": found}) + "\n")

    def remove(self) -> None:
        """Delete the file."""
        if self._path:
            self._path.unlink(missing_ok=True)


def added(counts: Iterable[dict[str, Signs]]) -> dict[str, Signs]:
    """Counts by axis of several films or sets, added up."""
    total = {axis: Signs() for axis in AXES}
    for each in counts:
        total = {axis: signs + each[axis] for axis, signs in total.items()}
    return total


def lags(films: int) -> dict[str, Any]:
    """Lags and faults found in ten seconds of random play whose inputs are early or late by up to three frames,
    mirrored, or swapped. named: clips in which that fault was named (swapped axes: either). misnamed: right inputs, at
    each lag, in which a fault was named."""
    exact = total = named = faults = misnamed = 0
    for number in tqdm(range(films), desc="lag"):
        width, height = ((80, 48), (320, 176))[number % 2]
        count = 10 * FPS
        track = random_track(np.random.default_rng([number, 0x1A6]), count)
        frames, _ = play(WORLD + 9000 + number, track, count, height, width, place=number, samples=1)
        series, asked = metered(frames).series, asked_of(track)
        for lag in LAGS:
            rows = np.arange(count).clip(0) + lag  # row t of these acts `lag` frames late
            told = find_lag(series, asked[rows.clip(0, count - 1)])
            exact += told.frames == lag
            misnamed += bool(told.faults)
            total += 1
        mirrored, swapped = asked * [-1, 1, 1, 1], asked[:, [1, 0, 2, 3]]
        for wrong, words in ((mirrored, ("yaw is mirrored",)), (swapped, ("yaw moves pitch", "pitch moves yaw"))):
            named += any(word in fault for fault in find_lag(series, wrong).faults for word in words)
            faults += 1
    return {"clips": total, "exact": exact, "misnamed": misnamed, "faults": faults, "named": named}


def shares(counts: dict[str, Signs]) -> dict[str, dict[str, Any]]:
    """Counts in percent."""
    named = ("percent", "interval", "judged_percent", "shuffled_percent", "shuffled_interval")
    abouts = {axis: signs.about(axis) for axis, signs in counts.items()}
    return {axis: {name: about[name] for name in named} | {"blocks": about["asked"]} for axis, about in abouts.items()}
