"""Clips to learn from: played by a random player as they are needed, or read from a recording."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import MatrixGameError

from ..game import play, poses_array, spawn, walk
from ..inputs import SCRIPTS, one_at_a_time, random_track, script_track
from ..render import render
from ..scene import make_scene
from .config import Preset

TRAIN_WORLDS = 1_000_000  # training plays worlds (or, in one world, places) from this on; those below are held out
SCRIPTED, SINGLE = 0.15, 0.5  # shares of clips in which the player follows a script, does one thing at a time
CLIPS_IN_FILE = 20
MOST_PLAYERS = 16  # processes; a machine may show more cores than it lends


class Source(Protocol):
    """Where clips come from. The same number gives the same clip."""

    def clip(self, number: int, frames: int) -> Clip:
        """`frames` frames in a row with their inputs."""
        ...

    def stills(self, number: int, count: int) -> Tensor:
        """`count` frames [N, H, W, 3] in any order."""
        ...


@dataclass(frozen=True)
class Clip:
    """frames [N, H, W, 3] uint8; keyboard [N, 4] and mouse [N, 2]: row t is held while frame t is on screen."""

    frames: Tensor
    keyboard: Tensor
    mouse: Tensor


@dataclass(frozen=True)
class GameSource:
    """Clips played when they are asked for, by a random or scripted player.

    world: the seed of the one world that is played, each number from another place; None: a world for each number.
    """

    height: int
    width: int
    device: str = "cpu"
    world: int | None = None

    def clip(self, number: int, frames: int) -> Clip:
        """See Source."""
        track = player_track(number, frames)
        seed, place = self._where(number)
        pictures, _ = play(seed, track, frames, self.height, self.width, place=place, device=self.device)
        return _clip(pictures, track)

    def stills(self, number: int, count: int) -> Tensor:
        """See Source."""
        scene = make_scene(self._where(number)[0])
        rng = np.random.default_rng([number, 0x5A9])
        poses = [spawn(scene, int(s)) for s in rng.integers(1 << 30, size=count)]
        poses = [replace(p, pitch=float(rng.normal(0.0, 0.15))) for p in poses]
        return render(scene, poses_array(poses).to(self.device), self.height, self.width)

    def batches(self, numbers: Sequence[int], frames: int, size: int) -> Iterator[Clip]:
        """The clips of these numbers, `size` at a time, each [B, ...] on the source's device.

        Players walk in processes of their own, ahead of the drawing; the pictures of one world are drawn together.
        """
        jobs = [(self._where(n), n, frames) for n in numbers]
        walks = players().map(_walk, jobs, chunksize=max(1, min(16, len(jobs) // 64)))
        for start in range(0, len(jobs), size):
            part = list(itertools.islice(walks, size))
            keyboard, mouse, poses = (torch.from_numpy(np.stack(v)).to(self.device) for v in zip(*part, strict=True))
            yield Clip(self._pictures([job[0][0] for job in jobs[start : start + size]], poses), keyboard, mouse)

    def _pictures(self, worlds: list[int], poses: Tensor) -> Tensor:
        """Poses [B, N, 4], each clip's in a world of its own -> [B, N, H, W, 3]."""
        if self.world is None:
            return torch.stack([self._draw(w, p) for w, p in zip(worlds, poses, strict=True)])
        return self._draw(self.world, poses.flatten(0, 1)).unflatten(0, poses.shape[:2])

    def _draw(self, world: int, poses: Tensor) -> Tensor:
        return render(make_scene(world), poses, self.height, self.width)

    def _where(self, number: int) -> tuple[int, int]:
        number += TRAIN_WORLDS
        return (number, 0) if self.world is None else (self.world, number)


@cache
def players() -> ProcessPoolExecutor:
    """Processes in which players walk. Call it before anything touches a GPU: they may be forks."""
    return ProcessPoolExecutor(min(MOST_PLAYERS, os.cpu_count() or 1))


def player_track(number: int, frames: int) -> ActionTrack:
    """What the player of a clip does: follows a script, does one thing at a time, or anything."""
    rng = np.random.default_rng([number, 0xC11B])
    kind = rng.random()
    if kind < SCRIPTED:
        names = sorted(SCRIPTS)
        return script_track(names[int(rng.integers(len(names)))], frames)
    return one_at_a_time(rng, frames) if kind < SCRIPTED + SINGLE else random_track(rng, frames)


def _walk(job: tuple[tuple[int, int], int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keyboard [N, 4], mouse [N, 2] and poses [N, 4] of one clip, without torch: it runs beside the drawing."""
    (seed, place), number, frames = job
    track, scene = player_track(number, frames), make_scene(seed)
    poses = walk(scene, spawn(scene, place), track, frames)
    assert track.mouse is not None
    rows = [[p.x, p.y, p.yaw, p.pitch] for p in poses]
    return track.keyboard, track.mouse, np.array(rows, np.float32)


def batches(source: Source, numbers: Sequence[int], frames: int, size: int) -> Iterator[Clip]:
    """Clips [B, ...] of any source, `size` at a time; where a GPU draws, many at once."""
    if isinstance(source, GameSource) and torch.device(source.device).type != "cpu":
        yield from source.batches(numbers, frames, size)
        return
    for start in range(0, len(numbers), size):
        clips = [source.clip(n, frames) for n in numbers[start : start + size]]
        yield Clip(*(torch.stack([getattr(c, name) for c in clips]) for name in ("frames", "keyboard", "mouse")))


class PlayedSource:
    """Clips that `write_frames` has stored, so that no step waits for the game."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = lru_cache(maxsize=4)(lambda path: torch.load(path, map_location="cpu", weights_only=True))

    def __len__(self) -> int:
        return CLIPS_IN_FILE * len(list(self.folder.glob("*.pt")))

    def clip(self, number: int, frames: int) -> Clip:
        """See Source; the number is taken modulo the clips there are."""
        number %= len(self)
        stored = self._read(self.folder / f"{number // CLIPS_IN_FILE:05d}.pt")
        return Clip(*(stored[name][number % CLIPS_IN_FILE][:frames] for name in ("frames", "keyboard", "mouse")))

    def stills(self, number: int, count: int) -> Tensor:
        """See Source; from as many of the stored clips as possible."""
        rng = np.random.default_rng([number, 0x5A9])
        first = int(rng.integers(1 << 30))
        clips = [self.clip(first + n, 1 << 30).frames for n in range(count)]
        return torch.stack([frames[int(rng.integers(len(frames)))] for frames in clips])


def write_frames(folder: Path, source: Source, clips: int, frames: int) -> None:
    """Play `clips` clips and store them, 20 to a file; files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in tqdm(range(-(-clips // CLIPS_IN_FILE)), desc="frames (files)", dynamic_ncols=True):
        path = folder / f"{part:05d}.pt"
        if path.exists():
            continue
        made = [source.clip(n, frames) for n in range(part * CLIPS_IN_FILE, (part + 1) * CLIPS_IN_FILE)]
        names = ("frames", "keyboard", "mouse")
        partial = path.with_suffix(".partial")
        torch.save({name: torch.stack([getattr(c, name) for c in made]) for name in names}, partial)
        os.replace(partial, path)


class RecordingSource:
    """Pieces of recorded episodes (media/datasets/lerobot.py), cut to the shape of the frames and resized."""

    def __init__(self, root: Path, height: int, width: int, device: str = "cpu") -> None:
        from comfyui_matrixgame.media.datasets.lerobot import count_episodes

        self.root, self.size, self.device = root, (height, width), device
        self.episodes = count_episodes(root)
        self._read = lru_cache(maxsize=8)(self._episode)

    def clip(self, number: int, frames: int) -> Clip:
        """See Source. Raises MatrixGameError where an episode is too short."""
        rng = np.random.default_rng([number, 0xC11B])
        episode = int(rng.integers(self.episodes))
        pictures, track = self._read(episode)
        if len(pictures) < frames:
            raise MatrixGameError(f"Episode {episode} has {len(pictures)} frames; training clips have {frames}.")
        start = int(rng.integers(len(pictures) - frames + 1))
        return _clip(pictures[start : start + frames].to(self.device), track.slice(start, start + frames))

    def stills(self, number: int, count: int) -> Tensor:
        """See Source."""
        rng = np.random.default_rng([number, 0x5A9])
        pictures, _ = self._read(int(rng.integers(self.episodes)))
        return pictures[rng.integers(len(pictures), size=count)].to(self.device)

    def _episode(self, number: int) -> tuple[Tensor, ActionTrack]:
        from comfyui_matrixgame.media.datasets.lerobot import read_episode

        frames, track = read_episode(self.root, number)
        height, width = self.size
        pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
        scale = max(height / pictures.shape[2], width / pictures.shape[3])
        whole = [max(side, round(have * scale)) for side, have in zip(self.size, pictures.shape[2:], strict=True)]
        pictures = F.interpolate(pictures, size=whole, mode="bilinear", antialias=True)
        top, left = (whole[0] - height) // 2, (whole[1] - width) // 2
        cut = pictures[:, :, top : top + height, left : left + width]
        return cut.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous(), track


def make_source(preset: Preset, device: torch.device, recording: Path | None) -> Source:
    """The game, or a recording where one is given."""
    if recording is not None:
        return RecordingSource(recording, preset.height, preset.width, str(device))
    return GameSource(preset.height, preset.width, str(device), preset.world)


def _clip(pictures: Tensor, track: ActionTrack) -> Clip:
    assert track.mouse is not None
    return Clip(pictures, torch.from_numpy(track.keyboard.copy()), torch.from_numpy(track.mouse.copy()))


def to_pixels(frames: Tensor) -> Tensor:
    """Frames [..., N, H, W, 3] uint8 to pixels [..., 3, N, H, W] in [-1, 1]."""
    return frames.float().div(127.5).sub(1).movedim(-1, -4)


class ClipPool:
    """Clips drawn so far, growing while they are drawn from: a new one never holds up a step for long."""

    def __init__(self, source: Source, frames: int, seed: int, *, start: int, most: int, stills: bool = False) -> None:
        """start, most: clips at first and at last. stills: frames without order, not a walk."""
        self.source, self.frames, self.stills, self.most = source, frames, stills, most
        self.rng = np.random.default_rng([seed, 0x9001])
        self.next = int(self.rng.integers(1 << 30))
        self.clips: list[Tensor] = []
        for _ in range(start):
            self.grow()

    def grow(self) -> None:
        """Add one clip; in a full pool it replaces another."""
        if self.stills:
            clip = self.source.stills(self.next, self.frames)
        else:
            clip = self.source.clip(self.next, self.frames).frames
        self.next += 1
        if len(self.clips) < self.most:
            self.clips.append(clip)
        else:
            self.clips[int(self.rng.integers(self.most))] = clip

    def pixels(self, batch: int, frames: int, crop: int) -> Tensor:
        """Random pieces [B, 3, frames, crop or H, crop or W] in [-1, 1]; corners are multiples of 8."""
        height, width = self.clips[0].shape[1:3]
        pieces = []
        for _ in range(batch):
            clip = self.clips[int(self.rng.integers(len(self.clips)))]
            t = int(self.rng.integers(len(clip) - frames + 1))
            h, w = (min(crop, height), min(crop, width)) if crop else (height, width)
            y = 8 * int(self.rng.integers((height - h) // 8 + 1))
            x = 8 * int(self.rng.integers((width - w) // 8 + 1))
            pieces.append(clip[t : t + frames, y : y + h, x : x + w])
        return to_pixels(torch.stack(pieces))


class StackedPool:
    """As ClipPool, for a GPU: all clips are drawn at the start, lie in one tensor, and are picked from there."""

    def __init__(self, clips: Tensor, seed: int) -> None:
        """clips: [N, T, H, W, 3] uint8."""
        self.clips = clips
        self.generator = torch.Generator(device=clips.device).manual_seed(seed)

    def grow(self) -> None:
        """Do nothing: all clips were drawn at the start."""

    def pixels(self, batch: int, frames: int, crop: int) -> Tensor:
        """Random pieces [B, 3, frames, H, W] in [-1, 1], always of whole frames."""
        assert not crop
        count, length = self.clips.shape[:2]
        which = self._draw(count, batch)
        times = self._draw(length - frames + 1, batch)[:, None] + torch.arange(frames, device=self.clips.device)
        return to_pixels(self.clips[which[:, None], times])

    def _draw(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator, device=self.clips.device)


@lru_cache(maxsize=1)
def drawn_clips(source: Source, first: int, count: int, frames: int) -> Tensor:
    """Frames [count, frames, H, W, 3] of `count` clips from this number on; two stages that follow each other share
    them."""
    numbers = range(first, first + count)
    parts = [part.frames for part in tqdm(batches(source, numbers, frames, 100), total=-(-count // 100), desc="clips")]
    return torch.cat(parts)
