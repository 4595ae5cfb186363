"""What was made from a world while it lives and no cache was asked for: a run that was cancelled goes on from here, and
one that wants other outputs, or has other inputs at its end, makes only what is new."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import WorldError
from ..world.block.finish import Block
from ..world.models import Models
from ..world.world import World
from .keys import BlockKeys


class RecentBlocks:
    """The blocks of the last two rollouts from one world, and the world after what was made last.

    Latents are in temporary files in `folder`, which go when this does; frames are decoded again. The world lies on
    `place`, and is the same value, not a copy, as the one that goes on.
    """

    def __init__(self, folder: Path, place: torch.device) -> None:
        self._parent, self._place = folder, place
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[str, Path] = {}  # by the latents' key
        self._before: set[str] = set()  # keys of the last rollout
        self._count = 0
        self.world: tuple[str, World] | None = None  # with the key of its state

    def records_of(self, block_keys: BlockKeys, models: Models) -> RecentRecords:
        """The records of a rollout that begins; what is neither its nor the last one's goes."""
        keys = set(block_keys.keys)
        for key in self._files.keys() - keys - self._before:
            self._files.pop(key).unlink(missing_ok=True)
        self._before = keys
        return RecentRecords(self, block_keys)

    def has(self, key: str) -> bool:
        """Whether latents are there: somebody may have emptied the temporary folder."""
        return key in self._files and self._files[key].is_file()

    def get(self, key: str) -> Tensor | None:
        """Latents [1, 16, 3, h, w]."""
        if not self.has(key):
            return None
        try:
            return torch.from_numpy(np.load(self._files[key]))
        except (OSError, ValueError, EOFError):  # cut off; it is made again
            del self._files[key]
            return None

    def put(self, key: str, latents: Tensor) -> None:
        """Keep latents; raises WorldError where they cannot be written."""
        if self.has(key):
            return
        try:
            path = self._new_file()
            np.save(path, latents.numpy())
        except OSError as error:
            raise WorldError(
                f"A finished block cannot be kept in the temporary folder {self._parent} ({error.strerror or error}); "
                "make room on that disk, and run again."
            ) from error
        self._files[key] = path

    def rest(self, key: str, world: World) -> None:
        """Keep a world in place of the one before."""
        self.world = None  # first: it may take gigabytes
        self.world = key, world.to(self._place)

    def _new_file(self) -> Path:
        if self._folder is None or not Path(self._folder.name).is_dir():
            self._parent.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(prefix="latents_", dir=self._parent)
        path = Path(self._folder.name) / f"{self._count}.npy"
        self._count += 1
        return path


class RecentRecords:
    """RolloutRecords of recent blocks: of states only the last, of frames none."""

    def __init__(self, recent: RecentBlocks, block_keys: BlockKeys) -> None:
        self.block_keys, self._recent = block_keys, recent

    def has_latents(self, block: int) -> bool:
        """See RolloutRecords."""
        return self._recent.has(self.block_keys.latents_key(block))

    def has_frames(self, block: int) -> bool:
        """See RolloutRecords."""
        return False

    def find_latents(self, block: int) -> Tensor | None:
        """See RolloutRecords."""
        return self._recent.get(self.block_keys.latents_key(block))

    def find_frames(self, block: int) -> Tensor | None:
        """See RolloutRecords."""
        return None

    def store_block(self, block: Block) -> None:
        """See RolloutRecords. Raises WorldError where there is no room."""
        self._recent.put(self.block_keys.latents_key(block.index), block.latents)

    def has_state(self, block: int) -> bool:
        """See RolloutRecords."""
        return self._recent.world is not None and self._recent.world[0] == self.block_keys.state_key(block)

    def has_pinned_state(self, block: int) -> bool:
        """See RolloutRecords."""
        return self.has_state(block)

    def outlives(self, block: int) -> bool:
        """See RolloutRecords."""
        return self.has_state(block)

    def find_state(self, block: int) -> World | None:
        """See RolloutRecords."""
        return self._recent.world[1] if self._recent.world is not None and self.has_state(block) else None

    def store_state(self, kind: str, world: World, spare: bool = False) -> None:
        """See RolloutRecords."""
        self._recent.rest(self.block_keys.state_key(world.block), world)

    def wants_edited(self, block: int) -> bool:
        """See RolloutRecords: only the end is kept."""
        return False

    def wants_spare(self, block: int, nbytes: int) -> bool:
        """See RolloutRecords."""
        return False

    def with_condition(self, world: World) -> World:
        """See RolloutRecords: worlds are kept whole."""
        return world

    def store_condition(self, condition: Tensor) -> None:
        """See RolloutRecords."""
