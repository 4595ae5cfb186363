"""Blocks that are played, and their inputs."""

from __future__ import annotations

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.play.early_frames import Frames
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.variants import UNIVERSAL


def rows(block: int, key: str) -> ActionTrack:
    return ActionTrack.from_rows(UNIVERSAL, [{key: 1.0}] * rows_of_blocks(1, block))


def play(played: PlayedWorld, letters: str) -> list[Frames]:
    """A block for each letter; returns the parts that were shown."""
    shown: list[Frames] = []
    for key in letters:
        played.make(rows(played.block, key), lambda frames, _: shown.append(frames))
    return shown


def whole(letters: str) -> ActionTrack:
    track = rows(0, letters[0])
    for block, key in enumerate(letters[1:], 1):
        track = track.concat(rows(block, key))
    return track
