"""What the passes of a block share, and the clean one: the pass over finished latents that leaves the caches as the
blocks after it see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ...actions.track import ActionTrack
from ...networks.generator.kv_cache import Caches
from ...networks.generator.model import BlockConstants, RolloutConstants
from ...networks.generator.schedule import Schedule
from ...variants import LATENTS_PER_BLOCK
from ..models import Models
from ..world import World
from .condition import block_condition, with_condition
from .inputs import block_windows, next_world_tail, with_seeds
from .views import with_views

CLEAN = 0.0  # timestep of the clean pass


@dataclass(frozen=True)
class PassProgress:
    """Where a rollout is: pass `step` of `steps` in block `done` of `blocks` (both counted from 0)."""

    done: int
    blocks: int
    step: int
    steps: int


OnPass = Callable[[PassProgress], None]


@dataclass(frozen=True)
class BlockStart:
    """What all passes of a block share.

    world: the one before it, with the condition and the seeds that it needs. rows: the inputs that it is the first to
    read.
    condition: [B, 20, 3, h, w].
    """

    world: World
    rows: Sequence[ActionTrack]
    condition: Tensor
    constants: BlockConstants

    def world_after(self) -> World:
        """The world after the block, once its clean pass is done; names and decoder state are those before it, and it
        knows no recent blocks."""
        world = self.world
        return replace(world, block=world.block + 1, tail=next_world_tail(world.tail, self.rows), recent=())


def rollout_constants(models: Models, world: World) -> RolloutConstants:
    """What all blocks of a rollout share: constants of the denoising steps and, last, of the clean pass."""
    timesteps = [*Schedule.of(world.variant.steps, world.variant.shift).timesteps, CLEAN]
    return models.generator.prepare_rollout(world.features, timesteps)


def begin_block(models: Models, world: World, rows: Sequence[ActionTrack]) -> BlockStart:
    """The beginning of a world's next block, which is the first to read `rows`. The keys' entries go into the world's
    caches."""
    first_frame = world.block * LATENTS_PER_BLOCK
    world = with_seeds(world, rows)
    world = with_condition(world, models.vae, first_frame + LATENTS_PER_BLOCK)
    condition = block_condition(world, first_frame, LATENTS_PER_BLOCK)
    inputs = block_windows(world.tail, rows, models.device)
    size, caches = world.latent_size, world.caches
    constants = models.generator.prepare_block(first_frame, LATENTS_PER_BLOCK, *size, inputs, caches)
    return BlockStart(world, rows, condition, constants)


def clean_pass(
    models: Models, constants: RolloutConstants, world: World, latents: Tensor, rows: Sequence[ActionTrack]
) -> World:
    """The world after a block whose clean latents [B, 16, 3, h, w] are there: as `BlockStart.world_after` has it.

    world: its caches are filled in place. rows: what the block is the first to read.
    """
    start = begin_block(models, world, rows)
    models.generator(latents, start.condition, world.variant.passes - 1, constants, start.constants, world.caches)
    return with_views(start.world_after(), latents)[0]


def with_caches(models: Models, world: World) -> World:
    """The world with empty caches where it has none."""
    return world if world.caches else replace(world, caches=empty_world_caches(models, world))


def empty_world_caches(models: Models, world: World) -> Caches:
    """Empty caches for a world."""
    return models.generator.empty_caches(world.batch, *world.latent_size, models.device, models.cache_dtype)
