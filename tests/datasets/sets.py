"""Small datasets of the demo game, whose motion is known."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.media.datasets.lerobot import (
    Episode,
    video_path,
    write_meta,
    write_table,
    write_video,
)
from comfyui_matrixgame.variants import FPS, UNIVERSAL
from demo_world.game import play
from demo_world.inputs import one_at_a_time

FRAMES = 130


class Played(NamedTuple):
    """frames: [N, 48, 80, 3]. keyboard: [N, 4]. mouse: [N, 2]."""

    frames: np.ndarray
    keyboard: np.ndarray
    mouse: np.ndarray

    def at(self, index: Sequence[int] | np.ndarray) -> Played:
        """Only these frames, with their rows."""
        return Played(self.frames[index], self.keyboard[index], self.mouse[index])

    def late(self, frames: int) -> Played:
        """The same, but the pictures come this many frames later."""
        index = (np.arange(len(self.frames)) + frames).clip(0, len(self.frames) - 1)
        return self._replace(keyboard=self.keyboard[index], mouse=self.mouse[index])


@functools.cache
def played(seed: int) -> Played:
    """A player who does one thing after the other."""
    torch.set_num_threads(1)
    track = one_at_a_time(np.random.default_rng(seed + 3), FRAMES)
    assert track.mouse is not None
    frames, _ = play(seed + 1, track, FRAMES, 48, 80, place=seed, samples=1)
    return Played(frames.numpy(), track.keyboard, track.mouse)


def write_lerobot(root: Path, clips: Sequence[Played]) -> Path:
    """A dataset of LeRobot 2.1."""
    (root / "meta").mkdir(parents=True)
    first = 0
    for number, clip in enumerate(clips):
        _, colours = write_video(video_path(root, number), iter(clip.frames), FPS)
        track = ActionTrack(UNIVERSAL, clip.keyboard, clip.mouse)
        write_table(root, Episode(number, track, None, 0, FPS, first), colours)
        first += len(clip.frames)
    write_meta(root, len(clips), ["play"])
    return root


def vpt_line(clip: Played, row: int, **more: object) -> str:
    """A row as VPT writes it."""
    pitch, yaw = clip.mouse[row] * 15 / 0.15
    keys = [f"key.keyboard.{key}" for key, held in zip("wsad", clip.keyboard[row], strict=True) if held]
    step = {"keyboard": {"keys": keys}, "mouse": {"dx": float(yaw), "dy": -float(pitch)}, "tick": row}
    return json.dumps(step | more)


def write_vpt(root: Path, clips: Sequence[Played], rate: float = FPS) -> Path:
    """Films with VPT's lines beside them."""
    root.mkdir(parents=True, exist_ok=True)
    for number, clip in enumerate(clips):
        write_video(root / f"take{number}.mp4", iter(clip.frames), rate)
        lines = [vpt_line(clip, row) for row in range(len(clip.frames))]
        (root / f"take{number}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return root


def write_gf_minecraft(root: Path, clips: Sequence[Played]) -> Path:
    """GF-Minecraft's films and metadata."""
    for number, clip in enumerate(clips):
        write_video(root / "video" / f"seed_{number}.mp4", iter(clip.frames), FPS)
        (root / "metadata").mkdir(exist_ok=True)
        frames = {}
        for row, (keys, (pitch, yaw)) in enumerate(zip(clip.keyboard, clip.mouse, strict=True)):
            w, s, a, d = (bool(key) for key in keys)
            frames[str(row)] = {
                "ws": 1 if w else 2 if s else 0, "ad": 1 if a else 2 if d else 0, "scs": 0,
                "pitch_delta": -float(pitch), "yaw_delta": float(yaw), "pos": [row, 0, 0],
            }  # fmt: skip
        about = {"biome": "plains", "actions": frames}
        (root / "metadata" / f"seed_{number}.json").write_text(json.dumps(about), encoding="utf-8")
    return root


def write_fastvideo(root: Path, clips: Sequence[Played]) -> Path:
    """What FastVideo preprocesses: a list, films and pickled arrays."""
    items = []
    for number, clip in enumerate(clips):
        write_video(root / f"{number}.mp4", iter(clip.frames), FPS)
        arrays = {"keyboard": clip.keyboard.astype(np.float32), "mouse": clip.mouse.astype(np.float32)}
        np.save(root / f"{number}_action.npy", np.array(arrays, dtype=object), allow_pickle=True)
        item = {"path": f"{number}.mp4", "cap": ["walk"], "fps": 25, "action_path": f"{number}_action.npy"}
        items.append(item)
    (root / "videos2caption.json").write_text(json.dumps(items), encoding="utf-8")
    (root / "merge.txt").write_text(f"{root},{root}/videos2caption.json\n", encoding="utf-8")
    return root
