"""What the tests on pretended devices share: small networks there, their files, and work on two devices at once."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.compute.quantise import quantise
from comfyui_matrixgame.world import Block, Models, World, rollout, start_world

from ..batch.jobs import CLIP, GENERATOR, VAE
from ..support.networks import random_track, small_image, small_models, thinned

BLOCKS = 4  # the window is full from the second on, and from the third on all that is recorded is replayed
SIZE = 16, 16
CUDA = torch.device("cuda", 0), torch.device("cuda", 1)
T = TypeVar("T")


def on_both(work: Callable[[torch.device], T], together: bool = False) -> tuple[T, T]:
    """What work gives on cuda:0 and on cuda:1, each in a new thread. together: at the same time, which takes several
    times as long on a busy machine, since each operation may change the thread."""
    with ThreadPoolExecutor(2) as threads:
        started = []
        for device in CUDA:
            started.append(threads.submit(work, device))
            if not together:
                started[-1].exception()
        first, second = (future.result() for future in started)
    return first, second


@contextmanager
def without_graphs() -> Iterator[None]:
    """Inside, passes are called one by one."""
    with mock.patch.dict(os.environ, {"MATRIXGAME_GRAPHS": "0"}):
        yield


def small_on(
    device: torch.device | str,
    tiny: bool = False,
    precision: str = "exact",
    dtype: Any = None,
    *,
    name: str = "universal",
    layers: int | None = None,
    thin: bool = False,
) -> Models:
    """The small networks on a device. layers: how many, no two of them equal. thin: with a thinned VAE, whose worlds no
    file can hold."""
    models = small_models(name, tiny)
    generator, vae = copy.deepcopy(models.generator), copy.deepcopy(models.vae)
    if layers is not None:
        generator.blocks = torch.nn.ModuleList(copy.deepcopy(generator.blocks[0]) for _ in range(layers))
        generator.config = replace(generator.config, layers=layers, action_layers=tuple(range(layers)))
        for i in range(layers):
            generator.get_submodule(f"blocks.{i}.ffn.0").get_parameter("weight").data.mul_(1 + i / 4)
    if thin:
        vae = thinned(vae)
    decoder: Any = copy.deepcopy(models.decoder) if tiny else None
    quantise(generator, precision)
    for network in (generator, vae, decoder):
        if network is not None:
            network.to(device, dtype)
            network.compute_dtype = dtype or network.compute_dtype
    return Models(generator, vae, decoder, None)


def begin(models: Models, seed: int = 3, size: tuple[int, int] = SIZE) -> World:
    """A world of a picture."""
    features = torch.zeros(1, 257, models.generator.config.visual_dim)
    return start_world(models, small_image(*size), seed, features=features)


def track_of(models: Models, blocks: int = BLOCKS, first: int = 0, name: str = "track") -> ActionTrack:
    """Inputs that change on every row, for blocks from the first one on."""
    track = random_track(models.variant, rows_of_blocks(first + blocks), name)
    return track.slice(rows_of_blocks(first) if first else 0)


def made(models: Models, world: World, blocks: int, track: ActionTrack | None = None) -> tuple[Tensor, Tensor]:
    """Frames [B, N, H, W, 3] and latents [B, 16, 3n, h, w] of some blocks, in main memory."""
    run = rollout(models, world, track_of(models, blocks) if track is None else track, blocks)
    found = [(block.frames.clone(), block.latents.cpu()) for block in run]
    return torch.cat([frames for frames, _ in found], 1), torch.cat([latents for _, latents in found], 2)


def blocks_of(models: Models, world: World | None = None, blocks: int = BLOCKS) -> list[Block]:
    """All blocks of a rollout, in main memory."""
    world = begin(models) if world is None else world
    return [at_home(block) for block in rollout(models, world, track_of(models, blocks), blocks)]


def at_home(block: Block) -> Block:
    """A block in main memory."""
    return Block(block.index, block.frames.clone(), block.latents.cpu(), block.names)


@functools.cache
def reference() -> list[Block]:
    """What cuda:0 makes alone, call by call. Call it on a pretended device."""
    with without_graphs():
        return blocks_of(small_on(CUDA[0]))


def named(folder: Path) -> list[str]:
    """The terminal's options for the files that tests.batch.jobs.write_files writes."""
    files = {"--generator": GENERATOR, "--vae": VAE, "--clip": CLIP}
    return [word for option, name in files.items() for word in (option, str(folder / name))]
