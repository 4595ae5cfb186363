"""What the scores of films can tell, and what those of the demo world are.

    python bench/scores.py calibrate                            # the estimator's own error, where the motion is known
    python bench/scores.py demo -o bench/results/scores-NAME    # the demo world, its fast modes, its window policies

`calibrate` plays the demo game in worlds and at places of its own, at several sizes, fields of view and textures, with
one and with two inputs at a time; a block counts where the true pose moved as asked. It writes
`comfyui_matrixgame/scores/measures/calibration.json`, which every report shows beside its scores, and with -o the
figures of each set. About ten minutes of one core.

`demo` scores films of the demo world as `matrixgame score` does: inputs one at a time, and play without a pause, in
each fast mode and under window policies; the game's own frames for the same inputs are the reference. Ten minutes of
one core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import demo_world.render as renderer
from bench.demo_world import CONTROLS, GamePlayer, ModelPlayer
from bench.drift import EXACT, ROLLOUT_MODES, in_mode
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints.builtin import FOLDER
from comfyui_matrixgame.checkpoints.load import load_generator
from comfyui_matrixgame.measure.machine import machine
from comfyui_matrixgame.measure.reports import report_argument, report_in, write_text
from comfyui_matrixgame.scores import protocol
from comfyui_matrixgame.scores.film import score_frames
from comfyui_matrixgame.scores.measures.asked import asked_of, signs_of_blocks
from comfyui_matrixgame.scores.measures.lag import find_lag
from comfyui_matrixgame.scores.measures.signs import CALIBRATION, Signs, count_signs
from comfyui_matrixgame.scores.motion.camera import AXES
from comfyui_matrixgame.scores.motion.meter import MotionMeter
from comfyui_matrixgame.scores.results.shown import summary
from comfyui_matrixgame.variants import FPS, SAME_VIEW, UNIVERSAL, Tried, first_input_of_block, frames_of_blocks
from demo_world.export import FILES
from demo_world.game import Pose, play
from demo_world.inputs import random_track
from demo_world.train.config import CPU

BLOCKS = 5
LEAST = (0.1, 0.1, 0.5, 0.5)  # radians, units: a block that moved by less was blocked
WORLD = 5000  # the first; training plays others
LAGS = range(-3, 4)
POLICIES = {
    "newest, window 12": Tried(window=12),
    "newest, window 18": Tried(window=18),
    "same view, window 12": Tried(window=12, keeps=SAME_VIEW),
}
PLAIN = ((0.46, 0.62, 0.30), (0.43, 0.58, 0.28))  # hardly any pattern on the ground


@dataclass(frozen=True)
class Set:
    """Films of one kind. at_once: inputs that a block has at most. field: of view, in degrees."""

    name: str
    width: int
    height: int
    films: int
    at_once: int = 1
    field: float = 78.0
    plain: bool = False


SETS = (
    Set("80x48", 80, 48, 60),
    Set("320x176", 320, 176, 48),
    Set("640x352", 640, 352, 24),
    Set("80x48, two inputs at a time", 80, 48, 40, 2),
    Set("320x176, two inputs at a time", 320, 176, 32, 2),
    Set("320x176, field of view 60 degrees", 320, 176, 24, 1, 60.0),
    Set("320x176, field of view 100 degrees", 320, 176, 16, 1, 100.0),
    Set("320x176, a plain ground", 320, 176, 24, 1, 78.0, True),
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
    """The game as a set shows it."""
    field, grass = renderer.FOV, renderer.GRASS
    renderer.FOV, renderer.GRASS = math.radians(kind.field), PLAIN if kind.plain else grass
    try:
        yield
    finally:
        renderer.FOV, renderer.GRASS = field, grass


def metered(frames: Tensor) -> MotionMeter:
    """Frames [N, H, W, 3] measured."""
    meter = MotionMeter()
    for chunk in frames.split(FPS):
        meter.add(chunk)
    meter.end()
    return meter


def true_motion(a: Pose, b: Pose) -> tuple[float, float, float, float]:
    """Of AXES, between two poses: radians, then units."""
    yaw = (b.yaw - a.yaw + math.pi) % (2 * math.pi) - math.pi
    middle, dx, dy = a.yaw + yaw / 2, b.x - a.x, b.y - a.y
    s, c = math.sin(middle), math.cos(middle)
    return yaw, b.pitch - a.pitch, dx * s + dy * c, dx * c - dy * s


def judged(kind: Set, seed: int) -> dict[str, Signs]:
    """Of each axis, what was told of the blocks that moved as asked."""
    total = {axis: Signs() for axis in AXES}
    with game_of(kind):
        for number, track in enumerate(tqdm(tracks(kind.films, kind.at_once, seed), desc=kind.name)):
            count, world = frames_of_blocks(BLOCKS), WORLD + 100 * seed + number
            frames, poses = play(world, track, count, kind.height, kind.width, place=number, samples=1)
            asked = signs_of_blocks(asked_of(track), BLOCKS)
            for block in range(BLOCKS):
                start, stop = max(0, frames_of_blocks(block) - 1), frames_of_blocks(block + 1) - 1
                true = np.array(true_motion(poses[start], poses[stop]))
                asked[block] = np.where(true * asked[block] > LEAST, asked[block], 0)
            for axis, signs in count_signs(asked, metered(frames).blocks).items():
                total[axis] += signs
    return total


def lags(films: int) -> dict[str, Any]:
    """Ten seconds of random play, with inputs that are early or late by up to three frames, mirrored, and swapped.
    named: clips in which that was named, for swapped axes either of the two. misnamed: fitting inputs, at each lag, of
    which a fault was named."""
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


def calibrate(options: argparse.Namespace) -> None:
    with ProcessPoolExecutor(options.processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = dict(zip((kind.name for kind in SETS), pool.map(judged, SETS, range(len(SETS))), strict=True))
    total = {axis: sum((counts[axis] for counts in found.values()), Signs()) for axis in AXES}
    about = {"of": "the demo game, all sets of bench/scores.py together", "axes": shares(total)}
    CALIBRATION.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    report = about | {"sets": {name: shares(counts) for name, counts in found.items()}, "lag": lags(options.clips)}
    if options.output:
        write_text(options.output.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def demo(options: argparse.Namespace) -> None:
    """Films of the demo world scored, in each mode and under each window policy."""
    game = GamePlayer(CPU.height, CPU.width, CPU.world)
    generator = load_generator(FOLDER / FILES[0], EXACT)
    report: dict[str, Any] = protocol.about_protocol() | {"machine": machine(torch.device("cpu")), "scores": {}}
    report["films"] = f"{options.films} of {BLOCKS} blocks, {options.long} of {options.seconds} s"
    ways = {f"{mode}, newest, window 6": (mode, Tried()) for mode in ROLLOUT_MODES}
    ways |= {f"{EXACT}, {name}": (EXACT, tried) for name, tried in POLICIES.items()}
    report["scores"]["the game itself"] = scored_films(game, game, options)
    for name, (mode, tried) in ways.items():
        player = ModelPlayer(FOLDER, game)
        made = in_mode(generator, mode)
        made.run_as(tried.of(UNIVERSAL))
        player.models = replace(player.models, generator=made)
        report["scores"][name] = scored_films(player, game, options)
        if options.output:
            write_text(options.output.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
            write_text(options.output.with_suffix(".md"), as_table(report))
    print(as_table(report))


def scored_films(player: GamePlayer | ModelPlayer, game: GamePlayer, options: argparse.Namespace) -> dict[str, Any]:
    """The summary of the scores of a player's films."""
    long = options.seconds * FPS
    plans = [(number, track, frames_of_blocks(BLOCKS)) for number, track in enumerate(tracks(options.films, 1, 99))]
    plans += [(100 + n, random_track(np.random.default_rng([n, 0x10]), long), long) for n in range(options.long)]
    found = []
    for number, track, count in tqdm(plans, desc="films"):
        made, true = (each.frames([number], [track], count)[0] for each in (player, game))
        score = score_frames(iter(made.split(FPS)), track, frames=count, reference=iter(true.split(FPS)))
        found.append(asdict(score) | {"error": "", "name": str(number)})
    scores = summary(found)
    for axis in AXES:
        del scores[axis]["estimator"]  # which is in the calibration
    return scores


def as_table(report: dict[str, Any]) -> str:
    """A report of the demo world as Markdown."""
    ways, rest = report["scores"], ("lag", "flicker", "sharpness_drift", "saturation_drift", "brightness_drift", "psnr")
    heads = [*(f"{axis}, right (judged)" for axis in AXES), *(name.replace("_", " ") for name in rest)]
    lines = [
        f"# Scores of the demo world ({report['protocol']}, version {report['version']})", "",
        f"Films: {report['films']}. Machine: {report['machine']['processor']}. Drift is the last "
        "second against the first, in %; flicker in grey levels; PSNR against the game's own frames, in dB.", "",
        f"| films of | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|",
    ]  # fmt: skip
    for name, part in ways.items():
        cells = [_of_axis(part[axis]) for axis in AXES]
        cells += [f"{part[each]['mean']:.4g}" if each in part else "not computed" for each in rest]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {text}" for text in report["deviations"]), ""])


def _of_axis(part: dict[str, Any]) -> str:
    """Signs of an axis: right, and of how many."""
    if part["percent"] is None:
        return f"not computed ({part['why']})"
    return f"{part['percent']}% ({part['judged_percent']}% of {part['asked']})"


def is_scores(path: Path) -> bool:
    """Whether this program wrote a file."""
    found = report_in(path.with_suffix(".json"))
    return "scores" in found or "sets" in found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["calibrate", "demo"])
    parser.add_argument("--clips", type=int, default=12, help="of ten seconds, for the lag")
    parser.add_argument("--processes", type=int, default=1, help="sets measured at a time")
    parser.add_argument("-o", "--output", type=report_argument(".json", ".md", is_report=is_scores))
    parser.add_argument("--films", type=int, default=20, help="of the demo world with inputs one at a time")
    parser.add_argument("--long", type=int, default=2, help="of play without a pause")
    parser.add_argument("--seconds", type=int, default=20, help="of each of these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    {"calibrate": calibrate, "demo": demo}[options.what](options)


if __name__ == "__main__":
    main()
