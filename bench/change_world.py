"""What becomes of a world whose last frame is changed, on the demo world.

    python bench/change_world.py -o bench/results/change_world-NAME

Worlds that stand still, turn or walk are changed after some blocks as Change World does, and go on for three seconds:

- nothing changed: the frames that follow are compared with those of the world itself, to the bit;
- an orange landmark made blue: how far its mean colour, where the world itself shows the landmark, has come from the
  old colour (0) to the new one (1);
- everything darker and bluer: how much of the darkening is left, in the same way;
- steering: blocks that moved as the inputs ask for, of those that could be judged, as `matrixgame score` counts them.

About six minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.demo_world import control_tracks
from bench.scoring.calibration import metered
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.checkpoints.builtin import FOLDER, start_images
from comfyui_matrixgame.checkpoints.load import load_generator, load_vae, load_vision
from comfyui_matrixgame.measure import machine
from comfyui_matrixgame.measure.reports import report_argument, report_in, write_text
from comfyui_matrixgame.media.images import read_start
from comfyui_matrixgame.scores.measures.asked import asked_of, signs_of_blocks
from comfyui_matrixgame.scores.measures.signs import count_signs
from comfyui_matrixgame.variants import FPS, UNIVERSAL, first_input_of_block
from comfyui_matrixgame.world import Models, World, rollout, start_world
from comfyui_matrixgame.world.change import change_world, plan_change
from demo_world.export import FILES
from demo_world.train.config import CPU

Row = dict[str, float]
Recolour = Callable[[Tensor], Tensor]
BEFORE, AFTER = 5, 7  # blocks; AFTER is 84 frames
MOMENTS = {"at once": 0, "1 s": FPS - 1, "2 s": 2 * FPS - 1, "3 s": 3 * FPS - 1}
PLACES = (0, 3, 5)  # start images with an orange landmark
WALKS: tuple[tuple[Row, Row], ...] = (({}, {}), ({"yaw": 0.03}, {"yaw": -0.02}), ({"s": 1.0}, {}))
"""What is held before the change, and after it."""
LEAST = 20  # pixels, of 3840, that a landmark must cover
STILL, STEERED = 2, 5  # blocks without inputs before the change, and with one input each after it
WAYS: dict[str, dict[str, Any]] = {
    "one picture": {},
    "one picture, network sees the start": {"seen": False},
    "one picture, strength 1.3": {"strength": 1.3},
    "twelve pictures": {"pictures": 12},
}
OF_NIGHT = 2  # how many of these ways are measured for the night


def orange(frames: Tensor) -> Tensor:
    """Where frames [..., 3] of 8 bits show the landmark."""
    red, green, blue = frames.float().unbind(-1)
    return (red - blue > 50) & (red > 1.25 * green)


def blue_landmark(frames: Tensor) -> Tensor:
    """Orange made blue: red and blue change places there."""
    return torch.where(orange(frames).unsqueeze(-1), frames.flip(-1), frames)


def night(frames: Tensor) -> Tensor:
    """Everything darker and bluer."""
    return (frames * torch.tensor([0.45, 0.5, 0.7])).round().to(torch.uint8)


def load() -> Models:
    """The demo world's networks in float32."""
    generator, vae, vision = (FOLDER / name for name in FILES)
    return Models(load_generator(generator, "float32"), load_vae(vae, "float32"), vision=load_vision(vision, "float32"))


def begin(models: Models, number: int) -> World:
    """A world from one of the pictures that come with the package, at the size of the demo world."""
    pictures = start_images()
    return start_world(models, read_start(pictures[number % len(pictures)], CPU.height, CPU.width), number)


def onward(models: Models, world: World, track: ActionTrack) -> tuple[Tensor, World]:
    """Frames [N, H, W, 3] that follow, and the world after them."""
    run = rollout(models, world, track)
    frames = torch.cat([block.frames[0] for block in run])
    return frames, run.world


def held(row: Row, blocks: int, first: int = 0) -> ActionTrack:
    """One row of inputs for some blocks."""
    return ActionTrack.from_rows(UNIVERSAL, [row] * rows_of_blocks(blocks, first))


def changed(
    models: Models,
    world: World,
    frames: Tensor,
    recolour: Recolour,
    pictures: int = 1,
    seen: bool = True,
    strength: float = 1.0,
) -> World:
    """The world after a change of its last frames."""
    change = plan_change(models, world, recolour(frames[-pictures:]), None, strength)
    assert models.vision is not None
    return change_world(models, change, models.vision(change.picture.unsqueeze(0)) if seen else None)


def share(made: Tensor, old: Tensor, new: Tensor) -> float:
    """How far colours [N, 3] have come from the old mean to the new one: 0 to 1."""
    a, b, c = (part.float().reshape(-1, 3).mean(0) for part in (old, new, made))
    return float(((c - a) @ (b - a)) / ((b - a) @ (b - a)))


def measure_colours(models: Models) -> dict[str, Any]:
    """Shares of each way at each moment, in each scene, for the landmark and for the night; and whether a change of
    nothing changed nothing."""
    found: dict[str, Any] = {"unchanged": {"scenes": 0, "equal": 0}, "landmark": {}, "night": {}}
    scenes = [(place, *walk) for place in PLACES for walk in WALKS]
    for place, before, after in tqdm(scenes, desc="colours"):
        start = begin(models, place)
        frames, world = onward(models, start, held(before, BEFORE))
        ahead = held(after, AFTER, world.block)
        own, _ = onward(models, world, ahead)
        again, _ = onward(models, changed(models, world, frames, lambda x: x), held(after, 1, world.block))
        found["unchanged"]["scenes"] += 1
        found["unchanged"]["equal"] += int(torch.equal(own[: len(again)], again))
        for name, recolour in (("landmark", blue_landmark), ("night", night)):
            counted = [frame for frame in (own[at] for at in MOMENTS.values())]
            if name == "landmark" and min(int(orange(frame).sum()) for frame in [frames[-1], *counted]) < LEAST:
                continue
            for way, how in list(WAYS.items())[: OF_NIGHT if name == "night" else None]:
                made, _ = onward(models, changed(models, world, frames, recolour, **how), ahead)
                shares = []
                for at in MOMENTS.values():
                    where = orange(own[at]) if name == "landmark" else torch.ones(own[at].shape[:2], dtype=torch.bool)
                    shares.append(round(share(made[at][where], own[at][where], recolour(own[at])[where]), 3))
                found[name].setdefault(way, []).append(shares)
    return found


def measure_steering(models: Models, films: int) -> dict[str, dict[str, float]]:
    """Blocks that were judged, and those of them that moved as asked, after each change."""
    changes: dict[str, Recolour | None] = {
        "not changed": None,
        "night": night,
        "red and blue swapped": lambda x: x.flip(-1),
    }
    found = {name: {"judged": 0, "right": 0} for name in changes}
    for number, (track, _) in enumerate(tqdm(control_tracks(films, STILL), desc="steering")):
        start = begin(models, number)
        first = first_input_of_block(STILL)
        frames, world = onward(models, start, track.slice(0, first))
        asked = signs_of_blocks(asked_of(track), STILL + STEERED)
        for name, recolour in changes.items():
            there = world if recolour is None else changed(models, world, frames, recolour)
            made, _ = onward(models, there, track.slice(first))
            still = frames[-1:] if recolour is None else recolour(frames[-1:])
            film = torch.cat([still.expand(len(frames), -1, -1, -1), made])  # the change itself is not motion
            for signs in count_signs(asked, metered(film).blocks).values():
                found[name]["judged"] += signs.judged
                found[name]["right"] += signs.right
    return {name: part | {"percent": round(100 * part["right"] / part["judged"], 1)} for name, part in found.items()}


def summary(colours: dict[str, Any]) -> dict[str, Any]:
    """For each way, the mean share at each moment, the least after 3 s, and how many scenes end nearer to new."""
    made: dict[str, Any] = {}
    for name in ("landmark", "night"):
        for way, shares in colours[name].items():
            values = np.array(shares)
            means = dict(zip(MOMENTS, values.mean(0).round(2).tolist(), strict=True))
            last = values[:, -1]
            made.setdefault(name, {})[way] = {
                "scenes": len(values),
                "mean": means,
                "least after 3 s": float(last.min()),
                "nearer to new": int((last > 0.5).sum()),
            }
    return made


def as_table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    same = report["colours"]["unchanged"]
    moments = " | ".join(MOMENTS)
    lines = [
        "# A changed world goes on (demo world, 80x48, float32)",
        "",
        f"Machine: {report['machine']['processor']}. Nothing changed: {same['equal']} of {same['scenes']} scenes equal "
        "to the bit. Below, how far the picture is from the old colours (0) to the new ones (1), means of all scenes.",
        "",
        f"| change | how | {moments} | least after 3 s | nearer to new than to old |",
        "|---" * (4 + len(MOMENTS)) + "|",
    ]
    for name, ways in report["summary"].items():
        for way, part in ways.items():
            cells = [f"{part['mean'][moment]:.2f}" for moment in MOMENTS]
            nearer = f"{part['nearer to new']} of {part['scenes']}"
            lines.append(f"| {name} | {way} | {' | '.join(cells)} | {part['least after 3 s']:.2f} | {nearer} |")
    lines += ["", "| steering after | blocks judged | moved as asked |", "|---|---|---|"]
    lines += [f"| {name} | {part['judged']} | {part['percent']}% |" for name, part in report["steering"].items()]
    return "\n".join([*lines, ""])


def is_own(path: Path) -> bool:
    """Whether this program wrote a file."""
    return {"colours", "steering"} <= report_in(path.with_suffix(".json")).keys()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=report_argument(".json", ".md", is_report=is_own))
    parser.add_argument("--films", type=int, default=24, help="of five steered blocks, for each change")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    models = load()
    colours = measure_colours(models)
    report = {"machine": machine(torch.device("cpu")), "colours": colours, "summary": summary(colours)}
    report["steering"] = measure_steering(models, options.films)
    if options.output:
        write_text(options.output.with_suffix(".json"), json.dumps(report, indent=1) + "\n")
        write_text(options.output.with_suffix(".md"), as_table(report))
    print(as_table(report))


if __name__ == "__main__":
    main()
