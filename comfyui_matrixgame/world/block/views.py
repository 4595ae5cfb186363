"""Which blocks stay in the window: the newest, or, while the view is the same, the oldest.

A picture drifts because each block is made from blocks that were themselves made. Where the camera stands still the
oldest block in the window shows the same and has drifted least, so it is worth more than the newer ones. This is the
idea of StableWorld (arXiv 2601.15281), which compares decoded frames; here latents are compared, so that no decoder
has a say in what is made.

The ring of caches is not moved for that: a block that stays is copied from the slot that the next block overwrites to
the slot of the block after it, which goes in its place.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...networks.generator.kv_cache import Entries
from ...variants import LATENTS_PER_BLOCK, SAME_VIEW, Variant
from ..world import World

ALIKE = 0.9  # correlation of latents, from which on two blocks show the same view


def blocks_in_window(variant: Variant) -> int:
    """Blocks that the window holds, the one that is made included."""
    return variant.window // LATENTS_PER_BLOCK


def latent_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlation [B] of latents [B, 16, h, w] over all channels, each without its mean."""
    a, b = (part.double() - part.double().mean((-2, -1), keepdim=True) for part in (a, b))
    return (a * b).sum((1, 2, 3)) / (a.square().sum((1, 2, 3)) * b.square().sum((1, 2, 3))).sqrt().clamp(min=1e-12)


def with_views(world: World, latents: Tensor) -> tuple[World, Entries | None]:
    """The world after a block with these clean latents [B, 16, 3, h, w], its window as the variant keeps it.

    world: where its clean pass is done; its caches are changed in place. Returns also what was there in the place of
    a block that stays; None where none does.
    """
    if world.variant.keeps != SAME_VIEW:
        return world, None
    count, newest = blocks_in_window(world.variant), world.block - 1
    last = latents[:, :, -1:].float()
    views = world.views
    if views is None:
        views = last.new_zeros(*last.shape[:2], count, *last.shape[3:])
    views = views.clone()
    views[:, :, newest % count] = last[:, :, 0]
    world = replace(world, views=views)
    if world.block < count:
        return world, None
    oldest, after = world.block % count, (world.block + 1) % count
    same = (latent_correlation(views[:, :, oldest], last[:, :, 0]) >= ALIKE).tolist()
    if not any(same):
        return world, None
    gone = Entries.of(world.caches, after * LATENTS_PER_BLOCK, LATENTS_PER_BLOCK)
    stays = Entries.of(world.caches, oldest * LATENTS_PER_BLOCK, LATENTS_PER_BLOCK)
    stays.put_at(after * LATENTS_PER_BLOCK, world.caches, same)
    kept = torch.tensor(same, device=views.device)
    views[kept, :, after] = views[kept, :, oldest]
    return world, gone
