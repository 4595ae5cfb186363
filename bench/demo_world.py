"""How well the demo model plays the demo game: `python bench/demo_world.py --models FOLDER`.

Everything is measured from places (with --world none: in worlds) that training does not play from, with inputs it
has not seen, against the game's own frames for the same inputs:

- control: does the picture move as the input says, block by block, with one input at a time; the same estimate on
  the game's frames says how far the estimator itself can be trusted;
- picture: PSNR over the first second of these rollouts, and over two seconds of walking straight on or standing
  still, where little that was not seen comes into view;
- endurance: brightness, saturation and sharpness at the end of a minute of random play, relative to the game's;
- stillness: mean change per frame, in grey levels, when nothing is pressed;
- speed: frames a second of the full path, by the CPU time of one thread.

Without --models only the estimator is calibrated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints.load import load_generator, load_vae, load_vision
from comfyui_matrixgame.measure.reports import report_argument, report_in, write_text
from comfyui_matrixgame.variants import FPS, UNIVERSAL, first_input_of_block, frames_of_blocks
from comfyui_matrixgame.world import Models, rollout, start_world
from demo_world.export import FILES
from demo_world.game import Game, Pose, play
from demo_world.inputs import random_track
from demo_world.motion import estimate_motion
from demo_world.train.config import CPU

BLOCKS = 5
PARTS = ("control", "endurance", "straight")
ESTIMATOR = "estimator_on_the_game"
CONTROLS = {
    "yaw": ({"yaw": 0.1}, {"yaw": -0.1}),
    "pitch": ({"pitch": 0.1}, {"pitch": -0.1}),
    "forward": ({"w": 1.0}, {"s": 1.0}),
    "right": ({"d": 1.0}, {"a": 1.0}),
}
TARGETS = {"yaw": 95, "pitch": 90, "forward": 90, "right": 85}
MOVED = 0.5  # units in a block: less was blocked by a wall, and tells nothing
BATCH = 8


class GamePlayer:
    """The game itself. world: the seed of the one world to play, each number from its own place; None: a world each."""

    def __init__(self, height: int, width: int, world: int | None = None) -> None:
        self.size, self.world = (height, width), world
        self.played: dict[tuple[object, ...], Tensor] = {}

    def where(self, number: int) -> tuple[int, int]:
        """World and place of a rollout."""
        return (number, 0) if self.world is None else (self.world, number)

    def frames(self, numbers: Sequence[int], tracks: Sequence[ActionTrack], count: int) -> list[Tensor]:
        """Frames [count, H, W, 3] for each rollout."""
        made = []
        for number, track in zip(numbers, tracks, strict=True):
            name = (number, count, track.keyboard.tobytes(), None if track.mouse is None else track.mouse.tobytes())
            if name not in self.played:
                self.played[name] = self._play(number, track, count, *self.size)[0]
            made.append(self.played[name])
        return made

    def poses(self, number: int, track: ActionTrack, count: int) -> list[Pose]:
        """Where the player was."""
        return self._play(number, track, count, 16, 16, samples=1)[1]

    def _play(self, number: int, track: ActionTrack, count: int, height: int, width: int, samples: int = 2):
        world, place = self.where(number)
        return play(world, track, count, height, width, place=place, samples=samples)


class ModelPlayer:
    """The model, started from the game's first frame."""

    def __init__(self, folder: Path, game: GamePlayer) -> None:
        paths = [folder / name for name in FILES]
        self.models = Models(
            load_generator(paths[0], "float32"), load_vae(paths[1], "float32"), vision=load_vision(paths[2], "float32")
        )
        self.game = game
        self.seconds, self.made = 0.0, 0

    def frames(self, numbers: Sequence[int], tracks: Sequence[ActionTrack], count: int) -> list[Tensor]:
        """See GamePlayer."""
        blocks = next(b for b in range(1, 10**6) if frames_of_blocks(b) >= count)
        first = np.stack([Game.new(*self.game.where(n)).frame(*self.game.size) for n in numbers])
        images = torch.from_numpy(first).permute(0, 3, 1, 2).float() / 127.5 - 1
        began = time.process_time()
        world = start_world(self.models, images, list(numbers))
        made = [block.frames for block in rollout(self.models, world, list(tracks), blocks)]
        self.seconds += time.process_time() - began
        self.made += frames_of_blocks(blocks) * len(numbers)
        return list(torch.cat(made, dim=1)[:, :count])


def control_tracks(count: int, still: int = 0) -> list[tuple[ActionTrack, list[tuple[str, int]]]]:
    """Tracks in which every block after the first `still` has one control, and which: (name, sign) for each."""
    rng = np.random.default_rng(0xC0)
    made = []
    for _ in range(count):
        rows: list[dict[str, float]] = [{}] * first_input_of_block(still)
        labels = []
        for block in range(still, still + BLOCKS):
            name = list(CONTROLS)[int(rng.integers(len(CONTROLS)))]
            sign = 1 if rng.random() < 0.5 else -1
            labels.append((name, sign))
            length = first_input_of_block(block + 1) - first_input_of_block(block)
            rows += [CONTROLS[name][0 if sign > 0 else 1]] * length
        made.append((ActionTrack.from_rows(UNIVERSAL, rows), labels))
    return made


def signs_right(
    frames: Tensor, poses: Sequence[Pose], labels: Sequence[tuple[str, int]], still: int = 0
) -> list[tuple[str, bool]]:
    """For each block after the first `still` that can be judged: the control, and whether the picture moved its way."""
    judged = []
    for block, (name, sign) in enumerate(labels, still):
        start = max(0, frames_of_blocks(block) - 1)
        stop = frames_of_blocks(block + 1)
        a, b = poses[start], poses[stop - 1]
        if name in ("forward", "right") and np.hypot(b.x - a.x, b.y - a.y) < MOVED:
            continue
        if name == "pitch" and abs(b.pitch - a.pitch) < 0.1:
            continue
        motion = estimate_motion(frames[start:stop], (a.pitch + b.pitch) / 2)
        judged.append((name, getattr(motion, name) * sign > 0))
    return judged


def measure_control(
    player, game: GamePlayer, rollouts: int, still: int = 0
) -> tuple[dict[str, dict[str, float]], float]:
    """Share of right signs in % per control after `still` blocks without any, and PSNR in dB over the first second of
    it."""
    plans = control_tracks(rollouts, still)
    begin, count = frames_of_blocks(still), frames_of_blocks(still + BLOCKS)
    votes: dict[str, list[bool]] = {name: [] for name in CONTROLS}
    errors: list[Tensor] = []
    for start in tqdm(range(0, rollouts, BATCH), desc="control"):
        worlds = list(range(start, min(rollouts, start + BATCH)))
        tracks = [plans[w][0] for w in worlds]
        true = game.frames(worlds, tracks, count)
        made = true if player is game else player.frames(worlds, tracks, count)
        for w, a, b in zip(worlds, made, true, strict=True):
            for name, right in signs_right(a, game.poses(w, plans[w][0], count), plans[w][1], still):
                votes[name].append(right)
            errors.append(squared_error(a[begin : begin + FPS], b[begin : begin + FPS]))
    shares = {n: {"percent": round(100 * float(np.mean(v)), 1), "blocks": len(v)} for n, v in votes.items() if v}
    return shares, psnr(errors)


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of 8-bit frames."""
    return (a.float() - b.float()).square().mean()


def psnr(errors: Sequence[Tensor]) -> float:
    """PSNR in dB of a mean of squared errors of 8-bit frames."""
    mean = float(torch.stack(list(errors)).mean())
    return round(10 * float(np.log10(255**2 / max(mean, 1e-6))), 2)


def measure_straight(player: ModelPlayer, game: GamePlayer, rollouts: int) -> float:
    """PSNR in dB over two seconds of walking straight on, or standing still."""
    errors: list[Tensor] = []
    for start in tqdm(range(0, rollouts, BATCH), desc="straight"):
        worlds = list(range(start, min(rollouts, start + BATCH)))
        tracks = [ActionTrack.from_rows(UNIVERSAL, [{"w": float(w % 2)}] * 2 * FPS) for w in worlds]
        true, made = (p.frames(worlds, tracks, 2 * FPS) for p in (game, player))
        errors += [squared_error(a, b) for a, b in zip(made, true, strict=True)]
    return psnr(errors)


def measure_stillness(player: ModelPlayer, rollouts: int) -> float:
    """Mean change per frame in grey levels when nothing is pressed, from the second frame on."""
    count = frames_of_blocks(BLOCKS)
    worlds = list(range(rollouts))
    made = player.frames(worlds, [ActionTrack.idle(UNIVERSAL, count)] * rollouts, count)
    return round(float(torch.stack([f.float().diff(dim=0).abs().mean() for f in made]).mean()), 3)


def look(frames: Tensor) -> dict[str, float]:
    """Mean brightness, saturation and sharpness of frames [N, H, W, 3]."""
    x = frames.float() / 255
    grey = x.mean(dim=-1)
    top, low = x.amax(dim=-1), x.amin(dim=-1)
    return {
        "brightness": float(grey.mean()),
        "saturation": float(((top - low) / top.clamp(min=1e-3)).mean()),
        "sharpness": float(grey.diff(dim=1).abs().mean() + grey.diff(dim=2).abs().mean()),
    }


def measure_endurance(player: ModelPlayer, game: GamePlayer, rollouts: int, seconds: int) -> dict[str, float]:
    """Change against the game in %, over the last ten seconds of random play."""
    count = seconds * FPS
    worlds = list(range(rollouts))
    tracks = [random_track(np.random.default_rng([w, 0x10]), count) for w in worlds]
    true, made = (p.frames(worlds, tracks, count) for p in (game, player))
    ends = [[look(f[-10 * FPS :]) for f in frames] for frames in (true, made)]
    means = [{k: float(np.mean([e[k] for e in part])) for k in part[0]} for part in ends]
    return {k: round(100 * (means[1][k] / means[0][k] - 1), 1) for k in means[0]}


def measure_speed(player: ModelPlayer) -> float:
    """Frames a second of one rollout, by the CPU time of one thread."""
    for _ in range(2):  # the first warms up
        player.seconds, player.made = 0.0, 0
        player.frames([0], [ActionTrack.idle(UNIVERSAL, 60)], frames_of_blocks(BLOCKS))
    return round(player.made / player.seconds, 2)


def measure(part: str, options: argparse.Namespace) -> dict[str, object]:
    """The figures of one part: `control`, `straight` or `endurance`."""
    torch.set_num_threads(1)
    width, height = (int(v) for v in options.size.split("x"))
    game = GamePlayer(height, width, options.world)
    player = None if options.models is None else ModelPlayer(options.models, game)
    figures: dict[str, object] = {}
    if part == "control":
        figures[ESTIMATOR] = measure_control(game, game, options.rollouts)[0]
    if player is None:
        return figures
    if part == "control":
        figures["control"], figures["psnr_first_second"] = measure_control(player, game, options.rollouts)
        figures["frames_per_second"] = measure_speed(player)
    elif part == "straight":
        figures["psnr_two_seconds"] = measure_straight(player, game, options.rollouts)
        figures["stillness"] = measure_stillness(player, min(BATCH, options.rollouts))
    else:
        figures["endurance_percent"] = measure_endurance(player, game, options.long, options.seconds)
    return figures


def in_words(figures: dict, seconds: int) -> dict[str, str]:
    """The figures as lines of a model card, each with what it should reach."""
    words = {f"estimator, {n}": f"{v['percent']}% of {v['blocks']} blocks" for n, v in figures[ESTIMATOR].items()}
    if "control" not in figures:
        return words
    for name, value in figures["control"].items():
        words[f"{name}, sign right"] = f"{value['percent']}% of {value['blocks']} blocks (target {TARGETS[name]}%)"
    words["PSNR, first second"] = f"{figures['psnr_first_second']} dB (target 22)"
    words["PSNR, two seconds straight on or still"] = f"{figures['psnr_two_seconds']} dB (target 18)"
    words["no input, mean change per frame"] = f"{figures['stillness']} grey levels (target below 1)"
    for name, value in figures["endurance_percent"].items():
        words[f"{name} after {seconds} s"] = f"{value:+}% against the game (target within 15%)"
    words["speed, one rollout"] = f"{figures['frames_per_second']} frames/s of one thread (target 2)"
    return words


def is_own_report(path: Path) -> bool:
    """Whether a file holds the figures that this program writes."""
    return {"estimator_on_the_game", "summary"} <= report_in(path).keys()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, help=f"folder with {', '.join(FILES)}")
    parser.add_argument("--size", default=f"{CPU.width}x{CPU.height}", help="WIDTHxHEIGHT the model was trained at")
    parser.add_argument(
        "--world", type=lambda text: None if text == "none" else int(text), default=CPU.world,
        help="seed of the world that the model knows, or none if it should know them all",
    )  # fmt: skip
    parser.add_argument("--rollouts", type=int, default=64)
    parser.add_argument("--long", type=int, default=4, help="rollouts of a minute")
    parser.add_argument("--seconds", type=int, default=60, help="length of the long rollouts")
    parser.add_argument("--processes", type=int, default=1, help="parts measured at a time, each on one thread")
    parser.add_argument(
        "--out", type=report_argument(option="--out", is_report=is_own_report),
        default=str(Path(__file__).parent / "results" / "demo_world.json"),
    )  # fmt: skip
    options = parser.parse_args(arguments)
    with ProcessPoolExecutor(options.processes) as pool:
        parts = list(pool.map(measure, PARTS, [options] * len(PARTS)))
    results = {k: getattr(options, k) for k in ("size", "world", "rollouts", "long")}
    results |= {k: v for part in parts for k, v in part.items()}
    results["summary"] = in_words(results, options.seconds)
    write_text(options.out, json.dumps(results, indent=2) + "\n")
    for name, value in results["summary"].items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
