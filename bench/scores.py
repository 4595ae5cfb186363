"""How far scores of films can be trusted, and the scores of the demo world.

    python bench/scores.py calibrate                            # the estimator's own error, where the motion is known
    python bench/scores.py demo -o bench/results/scores-NAME    # the demo world, its fast modes, its window policies
    python bench/scores.py footage CLIP... -o bench/results/scores-NAME    # the estimator on real footage

`calibrate` plays the demo game in worlds and at places of its own, at several sizes, fields of view and textures, with
one and with two inputs at a time; a block counts where the true pose moved as asked. The estimator was tuned on half of
the films; of the other half only figures are looked at, never films. It writes
`comfyui_matrixgame/scores/measures/calibration.json`, which every report shows beside its scores, and with -o the
figures of each set. About twelve minutes of one core; with -o, a run that was stopped goes on after the last whole set.

`demo` scores films of the demo world as `matrixgame score` does: inputs one at a time, and play without a pause, in
each fast mode and under window policies; the game's own frames for the same inputs are the reference. Ten minutes of
one core.

`footage` takes clips with measured poses, as KITTI's odometry benchmark has them (`bench/scoring/footage.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.demo_world import GamePlayer, ModelPlayer
from bench.drift import EXACT, ROLLOUT_MODES, in_mode
from bench.scoring import calibration
from bench.scoring.calibration import BLOCKS, tracks
from bench.scoring.footage import of_footage
from comfyui_matrixgame.checkpoints.builtin import FOLDER
from comfyui_matrixgame.checkpoints.load import load_generator
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.measure.machine import machine
from comfyui_matrixgame.measure.reports import report_argument, report_in, write_text
from comfyui_matrixgame.scores import protocol
from comfyui_matrixgame.scores.film import score_frames
from comfyui_matrixgame.scores.motion.camera import AXES
from comfyui_matrixgame.scores.results.shown import summary
from comfyui_matrixgame.variants import FPS, SAME_VIEW, UNIVERSAL, Tried, frames_of_blocks
from demo_world.export import FILES
from demo_world.inputs import random_track
from demo_world.train.config import CPU

POLICIES = {
    "newest, window 12": Tried(window=12),
    "newest, window 18": Tried(window=18),
    "same view, window 12": Tried(window=12, keeps=SAME_VIEW),
}


def calibrate(options: argparse.Namespace) -> None:
    print(json.dumps(calibration.calibrate(options.clips, options.processes, options.output), indent=2))


def footage(options: argparse.Namespace) -> None:
    try:
        report = json.dumps(of_footage(options.footage), indent=2)
    except MatrixGameError as error:
        sys.exit(str(error))
    if options.output:
        write_text(options.output.with_suffix(".json"), report + "\n")
    print(report)


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
        del scores[axis]["estimator"]  # the calibration has it
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
    """Right signs of an axis, and of how many."""
    if part["percent"] is None:
        return f"not computed ({part['why']})"
    return f"{part['percent']}% ({part['judged_percent']}% of {part['asked']})"


def is_scores(path: Path) -> bool:
    """Whether this program wrote a file."""
    found = report_in(path.with_suffix(".json"))
    return "scores" in found or "sets" in found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["calibrate", "demo", "footage"])
    parser.add_argument("footage", nargs="*", type=Path, help="folders of clips with their poses")
    parser.add_argument("--clips", type=int, default=12, help="clips of ten seconds, for the lag")
    parser.add_argument("--processes", type=int, default=1, help="sets measured at a time")
    parser.add_argument("-o", "--output", type=report_argument(".json", ".md", is_report=is_scores))
    parser.add_argument("--films", type=int, default=20, help="films of the demo world with inputs one at a time")
    parser.add_argument("--long", type=int, default=2, help="films of play without a pause")
    parser.add_argument("--seconds", type=int, default=20, help="length of these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    {"calibrate": calibrate, "demo": demo, "footage": footage}[options.what](options)


if __name__ == "__main__":
    main()
