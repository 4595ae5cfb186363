"""`python -m demo_world.record`: clips of the game, of another one, or of a user's own play, as a dataset to train on.

One row of inputs per frame (`media/datasets/lerobot.py` says how it lies on disk): row t holds what is pressed while
frame t is on screen, and first acts on frame t + 1. A stopped recording resumes where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.media.datasets.lerobot import (
    Episode,
    rate_and_length,
    read_video,
    table_path,
    video_path,
    write_meta,
    write_table,
    write_video,
)
from comfyui_matrixgame.media.datasets.lines import read_lines
from comfyui_matrixgame.variants import FPS, UNIVERSAL

from .gym_game import GymGame, play_gym, random_inputs, read_game
from .inputs import SCRIPTS, random_track, script_track

TASKS = ("random", *sorted(SCRIPTS))  # what an episode's player does


@dataclass(frozen=True)
class Plan:
    """What to record from the game. frames: length of an episode; scripted: share that follows a script."""

    episodes: int
    frames: int = 250
    height: int = 176
    width: int = 320
    seed: int = 0
    scripted: float = 0.25


def episode_track(plan: Plan, number: int) -> tuple[ActionTrack, str]:
    """The inputs of an episode, one row per frame, and a word for what the player does."""
    rng = np.random.default_rng([plan.seed, number, 0xE9])
    if rng.random() < plan.scripted:
        name = sorted(SCRIPTS)[int(rng.integers(len(SCRIPTS)))]
        return script_track(name, plan.frames), name
    return random_track(rng, plan.frames), TASKS[0]


def record(root: Path, plan: Plan, workers: int = 1) -> int:
    """Record what is still missing of the plan under `root`; returns how many episodes were made now.

    Raises MatrixGameError where `root` holds a recording made with another plan.
    """
    _check_plan(root, {"source": "game", **asdict(plan)})
    missing = [n for n in range(plan.episodes) if not table_path(root, n).exists()]
    _in_parallel(partial(_record_episode, root, plan), missing, plan.episodes, workers)
    write_meta(root, plan.episodes, TASKS)
    return len(missing)


def record_folder(root: Path, source: Path, workers: int = 1) -> int:
    """Make episodes of every NAME.mp4 beside NAME.jsonl in `source`; returns how many were made now.

    The lines are in the style of VPT: one JSON object per frame with `keyboard.keys` (names such as
    "key.keyboard.w") and `mouse.dx`, `mouse.dy` in pixels, or the plain keys w, s, a, d, pitch and yaw. While a menu is
    open (isGuiOpen) the player stands still.
    Raises MatrixGameError where there is nothing, or where a file cannot be used.
    """
    pairs = [(v, v.with_suffix(".jsonl")) for v in sorted(source.glob("*.mp4"))]
    if not pairs:
        raise MatrixGameError(f"There is no .mp4 in {source}; put NAME.mp4 and NAME.jsonl side by side.")
    for _, lines in pairs:
        if not lines.exists():
            raise MatrixGameError(f"{lines.name} is missing: every video needs its inputs, one JSON object per frame.")
    _check_plan(root, {"source": "folder", "files": [v.name for v, _ in pairs]})
    shapes = [rate_and_length(video) for video, _ in pairs]
    first = np.cumsum([0, *(length for _, length in shapes)]).tolist()
    missing = [n for n in range(len(pairs)) if not table_path(root, n).exists()]
    _in_parallel(
        partial(_import_episode, root, pairs, [rate for rate, _ in shapes], first), missing, len(pairs), workers
    )
    write_meta(root, len(pairs), [video.stem for video, _ in pairs])
    return len(missing)


def record_gym(root: Path, mapping: Path, episodes: int, frames: int, seed: int = 0, workers: int = 1) -> int:
    """Record the missing episodes of a Gymnasium environment (see `gym_game.py`); returns how many were made now. Each
    worker is a fresh process, because games do not survive a fork. Raises MatrixGameError."""
    game = read_game(mapping)
    about = json.loads(mapping.read_text(encoding="utf-8"))
    _check_plan(root, {"source": "gym", "map": about, "frames": frames, "seed": seed, "episodes": episodes})
    missing = [n for n in range(episodes) if not table_path(root, n).exists()]
    _in_parallel(partial(_record_gym_episode, root, game, frames, seed), missing, episodes, workers, "spawn")
    write_meta(root, episodes, [game.environment])
    return len(missing)


def _record_gym_episode(root: Path, game: GymGame, frames: int, seed: int, number: int) -> None:
    track, actions = random_inputs(game, np.random.default_rng([seed, number, 0x6A]), frames)
    pictures = play_gym(game, seed * 100_003 + number, actions, frames)
    _, colours = write_video(video_path(root, number), iter(pictures), game.rate)
    write_table(root, Episode(number, track, None, 0, game.rate, number * frames), colours)


def _record_episode(root: Path, plan: Plan, number: int) -> None:
    import torch

    from .game import play

    torch.set_num_threads(1)  # the workers share the cores
    track, task = episode_track(plan, number)
    frames, poses = play(plan.seed * 100_003 + number, track, plan.frames, plan.height, plan.width)
    state = np.array([[p.x, p.y, p.yaw, p.pitch] for p in poses], np.float32)
    _, colours = write_video(video_path(root, number), iter(frames.numpy()), FPS)
    episode = Episode(number, track, state, TASKS.index(task), FPS, number * plan.frames)
    write_table(root, episode, colours)


def _import_episode(
    root: Path, pairs: list[tuple[Path, Path]], rates: list[float], first: list[int], number: int
) -> None:
    video, lines = pairs[number]
    track = read_lines(lines, UNIVERSAL).track
    count, colours = write_video(video_path(root, number), read_video(video), rates[number])
    if abs(count - len(track)) > 1:  # a row for the last frame may be there or not
        raise MatrixGameError(
            f"{video.name} has {count} frames but {lines.name} has {len(track)} lines; make them equal."
        )
    track = track.padded(count).slice(0, count)
    write_table(root, Episode(number, track, None, number, rates[number], first[number]), colours)


def _in_parallel(work, numbers: list[int], total: int, workers: int, begin: str | None = None) -> None:
    with tqdm(total=total, initial=total - len(numbers), desc="episodes", dynamic_ncols=True) as bar:
        if workers <= 1:
            for number in numbers:
                work(number)
                bar.update()
            return
        with ProcessPoolExecutor(workers, mp_context=get_context(begin)) as pool:
            try:
                for done in as_completed([pool.submit(work, number) for number in numbers]):
                    done.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _check_plan(root: Path, plan: dict[str, object]) -> None:
    """Refuse a folder recorded with another plan; only the number of episodes may grow."""
    path = root / "meta" / "plan.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        before = json.loads(path.read_text())
        changed = [k for k in plan if k != "episodes" and before.get(k) != plan[k]]
        if changed:
            raise MatrixGameError(
                f"{root} was recorded with another {changed[0]} ({before.get(changed[0])}, not {plan[changed[0]]}); "
                "choose another folder, or the same settings."
            )
    path.write_text(json.dumps(plan, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo_world.record", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the dataset; what is there already is kept")
    parser.add_argument("--from", dest="source", type=Path, help="record NAME.mp4 + NAME.jsonl of this folder instead")
    parser.add_argument("--gym", type=Path, metavar="MAP.json", help="record a Gymnasium environment, see gym_game.py")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--frames", type=int, default=250, help="frames of an episode, 25 a second")
    parser.add_argument("--size", default="320x176", help="WIDTHxHEIGHT of the game's frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scripted", type=float, default=0.25, help="share of episodes that follow a script")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.source is not None:
        made = record_folder(options.out, options.source, options.workers)
    elif options.gym is not None:
        made = record_gym(options.out, options.gym, options.episodes, options.frames, options.seed, options.workers)
    else:
        width, height = (int(v) for v in options.size.lower().split("x"))
        plan = Plan(options.episodes, options.frames, height, width, options.seed, options.scripted)
        made = record(options.out, plan, options.workers)
    print(f"{made} episodes recorded into {options.out}")


if __name__ == "__main__":
    main()
