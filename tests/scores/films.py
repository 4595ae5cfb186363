"""Films whose motion is known: the demo game's, played with known inputs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from comfyui_matrixgame.actions.formats.writers import write_csv
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.media.video import VideoWriter
from comfyui_matrixgame.scores.motion.meter import MotionMeter
from comfyui_matrixgame.variants import UNIVERSAL, first_input_of_block
from demo_world.game import play


def track_of(*blocks: dict[str, float]) -> ActionTrack:
    """Inputs that hold each of these for a block."""
    rows: list[dict[str, float]] = []
    for number, held in enumerate(blocks):
        rows += [held] * (first_input_of_block(number + 1) - first_input_of_block(number))
    return ActionTrack.from_rows(UNIVERSAL, rows)


def film(track: ActionTrack, world: int, height: int = 48, width: int = 80) -> Tensor:
    """Frames [rows + 1, H, W, 3] of the game."""
    return play(world, track, len(track) + 1, height, width, place=world, samples=1)[0]


def measured(frames: Tensor, chunk: int = 25) -> MotionMeter:
    """The motion of frames that come in chunks."""
    torch.set_num_threads(1)
    meter = MotionMeter()
    for part in frames.split(chunk):
        meter.add(part)
    meter.end()
    return meter


def write_film(path: Path, frames: Tensor, track: ActionTrack | None = None) -> None:
    """An mp4, and its inputs beside it."""
    with VideoWriter(path, *frames.shape[1:3]) as writer:
        writer.write(frames)
        writer.close()
    if track is not None:
        path.with_suffix(".csv").write_text(write_csv(track), encoding="utf-8")
