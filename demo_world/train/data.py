"""Clips to learn from: played by a random player as they are needed, or read from a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..game import play
from ..inputs import SCRIPTS, random_track, script_track

TRAIN_WORLDS = 1_000_000  # training plays worlds from this seed on; the seeds below are held out
SCRIPTED = 0.15  # share of clips in which the player follows a script


@dataclass(frozen=True)
class Clip:
    """frames [N, H, W, 3] uint8; keyboard [N, 4] and mouse [N, 2]: row t is held while frame t is on screen."""

    frames: Tensor
    keyboard: Tensor
    mouse: Tensor


def play_clip(number: int, frames: int, height: int, width: int, device: str = "cpu", samples: int = 2) -> Clip:
    """Training clip `number`: a world of its own and a random or scripted player."""
    rng = np.random.default_rng([number, 0xC11B])
    if rng.random() < SCRIPTED:
        names = sorted(SCRIPTS)
        track = script_track(names[int(rng.integers(len(names)))], frames)
    else:
        track = random_track(rng, frames)
    pictures, _ = play(TRAIN_WORLDS + number, track, frames, height, width, device=device, samples=samples)
    assert track.mouse is not None
    return Clip(pictures, torch.from_numpy(track.keyboard.copy()), torch.from_numpy(track.mouse.copy()))


def to_pixels(frames: Tensor) -> Tensor:
    """Frames [..., N, H, W, 3] uint8 to pixels [..., 3, N, H, W] in [-1, 1]."""
    return frames.float().div(127.5).sub(1).movedim(-1, -4)


class ClipPool:
    """Clips played so far, growing while they are drawn from: rendering never holds up a step for long."""

    def __init__(self, frames: int, height: int, width: int, seed: int, device: torch.device, start: int, most: int):
        self.size = (frames, height, width)
        self.device = device
        self.most = most
        self.rng = np.random.default_rng([seed, 0x9001])
        self.next = int(self.rng.integers(1 << 30))
        self.clips: list[Clip] = []
        for _ in range(start):
            self.grow()

    def grow(self) -> None:
        """Play one clip more; when the pool is full it takes the place of another."""
        clip = play_clip(self.next, *self.size, device=str(self.device))
        self.next += 1
        if len(self.clips) < self.most:
            self.clips.append(clip)
        else:
            self.clips[int(self.rng.integers(self.most))] = clip

    def pixels(self, batch: int, frames: int, crop: int) -> Tensor:
        """Random pieces [B, 3, frames, crop or H, crop or W] in [-1, 1]; corners are multiples of 8."""
        _, height, width = self.size
        pieces = []
        for _ in range(batch):
            clip = self.clips[int(self.rng.integers(len(self.clips)))].frames
            t = int(self.rng.integers(len(clip) - frames + 1))
            h, w = (min(crop, height), min(crop, width)) if crop else (height, width)
            y = 8 * int(self.rng.integers((height - h) // 8 + 1))
            x = 8 * int(self.rng.integers((width - w) // 8 + 1))
            pieces.append(clip[t : t + frames, y : y + h, x : x + w])
        return to_pixels(torch.stack(pieces))
