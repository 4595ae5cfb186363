"""A block that is being made: what its passes work with, and what there is of it before it is asked for.

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

from ...compute.devices import computing_on
from ...networks.generator.kv_cache import Caches, Entries
from ...variants import LATENTS_PER_BLOCK
from ..world import World
from .passes import BlockStart

log = logging.getLogger(__name__)


@dataclass
class Making:
    """A block that is being made.

    noise: [steps, B, 16, 3, h, w]. latents: what the last pass made, [B, 16, 3, h, w]; None before the first.
    """

    start: BlockStart
    noise: Tensor
    latents: Tensor | None = None


@dataclass
class _Begun:
    """A block that was begun before it was asked for.

    block: its index in the world's life. overwritten: what the rings held where it writes. making: None until its
    first pass is launched.
    """

    block: int
    overwritten: Entries
    making: Making | None = None


class Ahead:
    """What a rollout has of its next block before that is asked for.

    caches: the rollout's. begin: makes a world's next block ready and launches its first pass. noise: makes the noise
    of a world's next block, on the device. What fails here is done, or fails, when the block is asked for; a stop is
    kept until then.
    """

    def __init__(
        self, device: torch.device, caches: Caches, begin: Callable[[World], Making], noise: Callable[[World], Tensor]
    ) -> None:
        self._device, self._caches, self._first_pass, self._make_noise = device, caches, begin, noise
        self._begun: _Begun | None = None
        self._noise: tuple[int, tuple[int, ...], Tensor] | None = None  # of a block and seeds
        self._stopped: BaseException | None = None
        self._failed = False

    def begin(self, world: World) -> None:
        """Launch the first pass of a world's next block."""

        def work() -> None:
            first_frame = world.block * LATENTS_PER_BLOCK
            self._begun = _Begun(world.block, Entries.of(self._caches, first_frame, LATENTS_PER_BLOCK))
            self._begun.making = self._first_pass(world)

        if not self._done(work):
            self.take_back()

    def make_noise(self, world: World) -> None:
        """Have the noise of a world's next block; where inputs change its seed later, it is made anew."""

        def work() -> None:
            self._noise = world.block, world.seeds, self._make_noise(world)

        self._done(work)

    def noise_of(self, world: World) -> Tensor:
        """The noise of a world's next block, made here where it was not."""
        have, self._noise = self._noise, None
        fits = have is not None and have[:2] == (world.block, world.seeds)
        return have[2] if have is not None and fits else self._make_noise(world)

    def making_of(self, world: World) -> Making | None:
        """A world's next block where its first pass is launched; else the rings are as if nothing had been begun."""
        begun = self._begun
        if begun is None or begun.making is None or begun.block != world.block:
            self.take_back()
            return None
        return begun.making

    def go_on(self) -> None:
        """What was begun is now the block at hand, and is not taken back any more."""
        self._begun = None

    def take_back(self) -> None:
        """Have the rings be as the last finished block has left them."""
        if self._begun is not None:
            self.correct(self._caches)
            self._begun = None

    def correct(self, copies: Caches) -> None:
        """Have copies of the rings be as the last finished block has left these."""
        if self._begun is not None:
            with computing_on(self._device):
                self._begun.overwritten.put_into(copies)

    def raise_stopped(self) -> None:
        """Raise what has stopped something that was done ahead, once."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            raise stopped

    def _done(self, work: Callable[[], object]) -> bool:
        """Whether work was done. After a failure nothing more is done ahead, since trying costs time."""
        if self._failed:
            return False
        try:
            work()
        except (RuntimeError, MemoryError) as error:
            self._failed = True
            log.info("Blocks are begun only when they are asked for: %s", str(error).partition("\n")[0])
        except BaseException as stop:
            self._stopped = stop
        else:
            return True
        return False
