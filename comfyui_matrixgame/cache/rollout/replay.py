"""The state of a world at any block, from latents made before: one clean pass a block, and the decoder's share.

How far back that must begin for the same bits:

- Caches. Layer 0's keys of a block depend on that block alone. Each layer after it looks at what the layer below
  made of the blocks inside the window, and so does each camera attention, which lies between two layers. With S such
  stages and a window that reaches w blocks back, the keys of all layers depend on the w * S blocks before, and on no
  earlier one: passes over these, begun with empty caches, end with the very numbers of the rollout. A sink is seen by
  every block, so its own blocks come first; they depend on nothing that comes after them. Where older blocks stay
  while the view is the same, any block may be in the window, and all are passed over again.
- Decoder. Its convolutions over time see a bounded past, which each decoder counts itself (`latents_behind`).

Both bounds are held to the last bit in tests/cache/test_resume.py, from above and from below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from ...actions.track import ActionTrack
from ...networks.generator import Generator, GeneratorConfig
from ...networks.generator.model import RolloutConstants
from ...networks.vae.base import State
from ...variants import LATENTS_PER_BLOCK, SAME_VIEW
from ...world.block.condition import with_condition
from ...world.block.passes import clean_pass, rollout_constants, with_caches
from ...world.models import Models
from ...world.world import World

LatentsOf = Callable[[int], Tensor]
"""Latents [1, 16, 3, h, w] of a block of a world's life."""


def context_blocks(config: GeneratorConfig) -> int:
    """Blocks whose latents decide all keys and values that the next block sees, beside those of a sink."""
    stages = config.layers + (len(config.action_layers) if config.mouse else 0)
    behind = math.ceil((config.window - config.sink - LATENTS_PER_BLOCK) / LATENTS_PER_BLOCK)
    return stages * behind


def sink_blocks(config: GeneratorConfig) -> int:
    """Blocks of the rollout's beginning whose keys and values stay in the window, at least in part."""
    return math.ceil(config.sink / LATENTS_PER_BLOCK)


def replayed_blocks(generator: Generator, start: int, until: int) -> tuple[range, range]:
    """Blocks whose clean passes bring a world's caches from block `start` to `until`: those of the sink that it has not
    had, and the last ones. Between the two nothing need be done."""
    config, variant = generator.config, generator.variant
    if variant is not None and variant.keeps == SAME_VIEW:
        return range(start, start), range(start, until)
    cold = max(start, until - context_blocks(config))
    end = max(start, min(cold, sink_blocks(config)))
    return range(start, end), range(cold, until)


def replay_context(
    models: Models,
    world: World,
    latents: LatentsOf,
    rows: Callable[[int], Sequence[ActionTrack]],
    until: int,
    before_pass: Callable[[], None],
) -> World:
    """`world` with its caches brought to block `until`, and its condition, block and tail; the rest is as it was.

    world: its caches are filled in place. rows: what a block is the first to read.
    """
    constants: RolloutConstants | None = None
    world = with_condition(with_caches(models, world), models.vae, until * LATENTS_PER_BLOCK)
    for index in range(world.block, until):
        given = latents(index).to(models.device)
        before_pass()
        if constants is None:
            constants = rollout_constants(models, world)
        world = clean_pass(models, constants, world, given, rows(index))
    return world


def replay_decoder(
    models: Models, state: State | None, latents: LatentsOf, blocks: range, before: Callable[[], None]
) -> State | None:
    """The decoder's state after `blocks`, begun with `state`."""
    for index in blocks:
        before()
        _, state = models.decoder.decode(latents(index).to(models.device), state)
    return state
