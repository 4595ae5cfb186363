"""What stays in the window, tried on the demo world: how long a still scene keeps, and what that costs turns and walks.

- still: no input; PSNR of the frame after 10 and after 28.6 seconds against the one after one second;
- after standing still for 8 blocks, one control a block: share of right signs (as `bench/demo_world.py` judges them),
  and PSNR against the game over the first second of it;
- a minute of random play: brightness, saturation and sharpness of the last ten seconds against the game's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.demo_world import GamePlayer, ModelPlayer, measure_control, measure_endurance, psnr, squared_error
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.variants import FPS, SAME_VIEW, UNIVERSAL, Tried
from comfyui_matrixgame.world import Models
from demo_world.train.config import CPU

WAYS = {
    "newest, window 6 (published)": Tried(),
    "newest, window 9": Tried(window=9),
    "newest, window 12": Tried(window=12),
    "newest, window 18": Tried(window=18),
    "sink 3, window 6": Tried(sink=3),
    "same view, window 9": Tried(window=9, keeps=SAME_VIEW),
    "same view, window 12": Tried(window=12, keeps=SAME_VIEW),
}
AT = (10.0, 28.6)  # seconds
STILL_BLOCKS = 8
STILL_WORLDS = 6


def measure_windows(folder: Path, rollouts: int, minutes: int) -> dict[str, dict[str, Any]]:
    """For each way: dB at the times of AT, signs in percent, dB of the first second, and the looks after a minute."""
    game = GamePlayer(CPU.height, CPU.width, CPU.world)
    report = {}
    for name, tried in WAYS.items():
        player = ModelPlayer(folder, game)
        made = player.models
        made.generator.run_as(tried.of(UNIVERSAL))
        player.models = Models(made.generator, made.vae, vision=made.vision)  # made anew: it reads the variant once
        control, moving = measure_control(player, game, rollouts, STILL_BLOCKS)
        report[name] = {
            "still_db": dict(zip(map(str, AT), _still(player), strict=True)),
            "signs_right_percent": {control: share["percent"] for control, share in control.items()},
            "blocks_judged": sum(share["blocks"] for share in control.values()),
            "moving_db": moving,
            "after_a_minute_percent": measure_endurance(player, game, minutes, 60),
        }
    return report


def _still(player: ModelPlayer) -> list[float]:
    """PSNR in dB after each time of AT, mean of the worlds."""
    frames = round(max(AT) * FPS) + 1
    tracks = [ActionTrack.idle(UNIVERSAL, frames)] * STILL_WORLDS
    made = player.frames(list(range(STILL_WORLDS)), tracks, frames)

    def at(seconds: float) -> float:
        each = [psnr([squared_error(one[round(seconds * FPS)], one[FPS])]) for one in made]
        return round(sum(each) / len(each), 1)

    return [at(seconds) for seconds in AT]


def as_lines(report: dict[str, dict[str, Any]]) -> list[str]:
    """The report as a table in Markdown."""
    first = next(iter(report.values()))
    controls, looks = list(first["signs_right_percent"]), list(first["after_a_minute_percent"])
    heads = [*(f"still, {seconds} s" for seconds in AT), *(f"{name}, sign" for name in controls), "moving on", *looks]
    lines = [f"| window | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name, entry in report.items():
        cells = [f"{db} dB" for db in entry["still_db"].values()]
        cells += [f"{share}%" for share in entry["signs_right_percent"].values()]
        cells += [f"{entry['moving_db']} dB", *(f"{change:+}%" for change in entry["after_a_minute_percent"].values())]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
