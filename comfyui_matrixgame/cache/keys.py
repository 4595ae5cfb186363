"""The keys that a world's next blocks are stored under: known from the world and its inputs before any is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..errors import WorldError
from ..networks.generator.kv_cache import Caches
from ..networks.vae.base import State
from ..world.block.inputs import TAIL_ROWS, with_seeds
from ..world.models import Models, network_id
from ..world.world import World, next_name


@dataclass(frozen=True)
class WorldKeys:
    """What the keys of a world's next blocks depend on, besides the inputs; it holds no tensor.

    name: of the world before block `first`. numbers: what decides the last bits and is not in a name, such as image
    features, device, attention and the version of torch. decoder: what makes the frames.
    """

    name: str
    first: int
    numbers: str
    decoder: str

    def names(self, track: ActionTrack, blocks: int) -> list[str]:
        """Names of the world before block first + i, for i up to `blocks`; the track is long enough."""
        names, row = [self.name], 0
        for block in range(self.first, self.first + blocks):
            count = rows_of_blocks(1, block)
            names.append(next_name(names[-1], track.slice(row, row + count)))
            row += count
        return names

    def key(self, name: str) -> str:
        """The key of what belongs to a world of this name."""
        return hashlib.sha256(f"{name}/{self.numbers}".encode()).hexdigest()[:40]

    def with_decoder(self, key: str) -> str:
        """The key of what depends on the decoder as well."""
        return f"{key}-{self.decoder}"


def keys_after(models: Models, world: World) -> WorldKeys:
    """The keys after a world that goes on with these models; raises WorldError for a batch."""
    if world.batch != 1:
        raise WorldError(f"A cache holds one world at a time, got a batch of {world.batch}; pick one of them.")
    decoder = network_id(models.decoder)[:16]
    return WorldKeys(world.names[0], world.block, _numbers(models, world), decoder)


def condition_key(world_keys: WorldKeys, world: World) -> str:
    """The key of the condition of a world's image."""
    return hashlib.sha256(f"{world_keys.numbers}/{_picture(world)}".encode()).hexdigest()[:40]


class BlockKeys:
    """The keys of blocks first..last - 1 of a world's life, by the block's index.

    names[i], keys[i]: of the world before block first + i, so block first + i is stored under keys[i + 1]."""

    def __init__(self, models: Models, world: World, track: ActionTrack, blocks: int) -> None:
        self.world = world
        self.first, self.last = world.block, world.block + blocks
        self._track = track.padded(rows_of_blocks(blocks, world.block))
        self.world_keys = keys_after(models, world)
        self.root = condition_key(self.world_keys, world)
        self.names = self.world_keys.names(self._track, blocks)
        self.keys = [self.world_keys.key(name) for name in self.names]

    def latents_key(self, block: int) -> str:
        """The key of a block's latents."""
        return self.keys[block - self.first + 1]

    def frames_key(self, block: int) -> str:
        """The key of a block's frames."""
        return self.world_keys.with_decoder(self.latents_key(block))

    def state_key(self, block: int) -> str:
        """The key of the world's state before a block."""
        return self.world_keys.with_decoder(self.keys[block - self.first])

    def rows(self, block: int) -> list[ActionTrack]:
        """The rows that a block is the first to read."""
        start = rows_of_blocks(block - self.first, self.first)
        return [self._track.slice(start, start + rows_of_blocks(1, block))]

    def rest(self, block: int) -> ActionTrack:
        """The rows from a block on."""
        return self._track.slice(rows_of_blocks(block - self.first, self.first))

    def tail(self, block: int) -> tuple[ActionTrack, ...] | None:
        """The last rows read before a block."""
        if block == self.first:
            return self.world.tail
        whole = self._track.slice(0, rows_of_blocks(block - self.first, self.first))
        if self.world.tail is not None:
            whole = self.world.tail[0].concat(whole)
        return (whole.slice(len(whole) - TAIL_ROWS).with_seeds(()),)

    def world_at(self, block: int, caches: Caches, decoder_state: State | None, views: Tensor | None = None) -> World:
        """The world before a block, from what changes on the way."""
        if block == self.first:
            return self.world
        names = (self.names[block - self.first],)
        tail = self.tail(block)
        seeds = with_seeds(self.world, [self._track.slice(0, rows_of_blocks(block - self.first, self.first))]).seeds
        state: dict[str, Any] = {"caches": caches, "decoder_state": decoder_state, "views": views, "recent": ()}
        return replace(self.world, block=block, names=names, seeds=seeds, tail=tail, **state)


def _numbers(models: Models, world: World) -> str:
    device = models.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    features = hashlib.sha256(world.features.cpu().contiguous().numpy().tobytes()).hexdigest()
    return f"{features}/{list(world.image.shape)}/{name}/{models.generator.attention.name}/{torch.__version__}"


def _picture(world: World) -> str:
    pixels = hashlib.sha256(world.image.cpu().contiguous().numpy().tobytes()).hexdigest()
    return f"{world.models_id}/{pixels}"
