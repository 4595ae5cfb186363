"""A block in the making: what its passes work with, and what there is of it before it is asked for.

While a device finishes a block, the host has nothing to do, and afterwards the device would wait for the host. So the
next block is begun before the last one's frames are there: its noise, and where its inputs are known its first pass.
Nobody sees that: what the pass writes over in the rings is kept until the block is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..actions.track import ActionTrack
from ..generator.kv_cache import Entries
from ..generator.model import BlockConstants
from .noise import NoiseSource
from .world import World

log = logging.getLogger(__name__)


@dataclass
class Making:
    """A block in the making.

    world: the one before it, with the condition that it needs. rows: the inputs that it is the first to read.
    condition: [B, 20, 3, h, w]. noise: [steps, B, 16, 3, h, w]. latents: what the last pass made, [B, 16, 3, h, w];
    None before the first.
    """

    world: World
    rows: list[ActionTrack]
    condition: Tensor
    constants: BlockConstants
    noise: Tensor
    latents: Tensor | None = None


@dataclass
class Begun:
    """A block that was begun before it was asked for.

    block: its index in the world's life. overwritten: what the rings held where it writes. making: None until its
    first pass is launched.
    """

    block: int
    overwritten: Entries
    making: Making | None = None


def noise_of_block(source: NoiseSource, world: World, steps: int, shape: tuple[int, ...]) -> Tensor:
    """The noise of all steps of the world's next block, [steps, B, *shape], in main memory."""
    parts = [torch.stack([source(seed, world.block, step, shape) for seed in world.seeds]) for step in range(steps)]
    return torch.stack(parts)


class Attempts:
    """Work that is done ahead, and need not succeed: what stops it is raised when the work is asked for.

    stopped: a stop that came meanwhile, to be raised by whoever asks for more.
    """

    def __init__(self) -> None:
        self.stopped: BaseException | None = None
        self._failed = False

    def to(self, work: Callable[[], object]) -> bool:
        """Do it, and say whether it was done. After a failure nothing more is done ahead: trying costs time."""
        if self._failed:
            return False
        try:
            work()
        except (RuntimeError, MemoryError) as error:
            self._failed = True
            log.info("Blocks are begun only when they are asked for: %s", str(error).partition("\n")[0])
            return False
        except BaseException as stop:
            self.stopped = stop
            return False
        return True

    def raise_stopped(self) -> None:
        """Raise what stopped work that was done ahead, once."""
        stopped, self.stopped = self.stopped, None
        if stopped is not None:
            raise stopped
