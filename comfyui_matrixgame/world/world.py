"""The World: everything a rollout needs to go on, as a value that nothing changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..actions.track import ActionTrack
from ..errors import WorldError
from ..networks.generator.kv_cache import Caches, LayerCache, Ring
from ..networks.vae.base import SPATIAL_STRIDE, State
from ..variants import NEWEST, Variant, first_input_of_block
from .recent import Recent, select_recent, stack_recent

ENGINE_VERSION = 3  # of what a block's name stands for: raise it when the same inputs give other numbers


@dataclass(frozen=True, eq=False)
class World:
    """One or more rollouts (a batch of B) stopped before block `block`.

    seeds, names: one per world; a name stands for weights, image, seeds, steps and every input read so far. A seed is
    that of the next block's noise, where its inputs do not change it.
    image: [B, 3, H, W] in [-1, 1]. features: [B, 257, dim] of the image tower. condition: [B, 16, n, h, w], the
    encoded start image and zeros, as far as it was needed. encoder_state: to go on with it; None at its end or
    where it must be made again. decoder_state: of the decoder called `decoder_id`. caches: one per layer; none
    before the first block. tail: the last 8 input rows of each world that were read, which the next block reads
    again; None before the first block. loras: names of those that were in the generator, as far as they are known.
    views: the last clean latent [B, 16, n, h, w] of each block in the window, where what stays there depends on them
    (see block/views.py). recent: the last blocks, as many as are known of those that a change needs; in main memory.
    """

    variant: Variant
    block: int
    seeds: tuple[int, ...]
    names: tuple[str, ...]
    models_id: str
    decoder_id: str
    image: Tensor
    features: Tensor
    condition: Tensor
    encoder_state: State | None
    decoder_state: State | None
    caches: Caches
    tail: tuple[ActionTrack, ...] | None
    loras: tuple[str, ...] = ()
    views: Tensor | None = None
    recent: Recent = ()

    @property
    def batch(self) -> int:
        """How many worlds these are."""
        return len(self.seeds)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    @property
    def latent_size(self) -> tuple[int, int]:
        """Height and width of the latents."""
        return self.size[0] // SPATIAL_STRIDE, self.size[1] // SPATIAL_STRIDE

    @property
    def first_input(self) -> int:
        """The first input row that the next block is the first to read."""
        return first_input_of_block(self.block)

    @property
    def nbytes(self) -> int:
        """Memory of all its tensors but the recent blocks, which are its rollout's."""
        tensors = [self.image, self.features, self.condition, *(self.encoder_state or ()), *(self.decoder_state or ())]
        tensors += [] if self.views is None else [self.views]
        tensors += [part for layer in self.caches for ring in layer.rings().values() for part in (ring.k, ring.v)]
        return sum(tensor.nbytes for tensor in tensors)

    def to(self, device: torch.device | str) -> World:
        """The same world with its tensors on `device`; recent blocks stay in main memory."""
        return _world_with_tensors(self, lambda tensor: tensor.to(device))


def pixels_name(pixels: Tensor) -> str:
    """A name for the values of an image or a clip."""
    return hashlib.sha256(pixels.cpu().contiguous().numpy().tobytes()).hexdigest()


def first_name(
    models_id: str, variant: Variant, image: Tensor | str, seed: int, steps: Sequence[int], history: str = ""
) -> str:
    """The name of a world before its first block. image: or its pixels_name. history: names a clip it continues."""
    pixels = image if isinstance(image, str) else pixels_name(image)
    parts: tuple[object, ...] = (ENGINE_VERSION, models_id, variant.name, pixels, seed, tuple(steps), history)
    if variant.sink:
        parts += ("sink", variant.sink)
    if variant.published is None:  # its description may be changed
        parts += ("made", variant.block, variant.window, variant.shift)
    if variant.described_as is not None:  # its steps are there already
        parts += ("tried", variant.window, variant.sink)
    if variant.keeps != NEWEST:
        parts += ("keeps", variant.keeps)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def next_name(name: str, rows: ActionTrack) -> str:
    """The name after a block that was the first to read `rows`, and was made with another seed where they say one."""
    digest = hashlib.sha256(name.encode())
    digest.update(rows.keyboard.tobytes())
    if rows.mouse is not None:
        digest.update((rows.mouse + 0.0).tobytes())  # -0 is 0
    if rows.last_seed is not None:
        digest.update(f"seed {rows.last_seed}".encode())
    return digest.hexdigest()


def stack_worlds(worlds: Sequence[World]) -> World:
    """Worlds that stand before the same block, as one batch. Raises WorldError where they do not fit."""
    first = worlds[0]
    for other in worlds[1:]:
        for what, a, b in (
            ("block", first.block, other.block),
            ("size", first.size, other.size),
            ("generator", first.models_id, other.models_id),
            ("decoder", first.decoder_id, other.decoder_id),
            ("window", first.variant.settings, other.variant.settings),
        ):
            if a != b:
                raise WorldError(f"These worlds cannot run as one batch: their {what} differs ({a} and {b}).")
    shortest = min(world.condition.shape[2] for world in worlds)
    same = all(world.condition.shape[2] == shortest for world in worlds)
    have_encoder = same and all(world.encoder_state is not None for world in worlds)
    return replace(
        first,
        seeds=sum((w.seeds for w in worlds), ()),
        names=sum((w.names for w in worlds), ()),
        image=torch.cat([w.image for w in worlds]),
        features=torch.cat([w.features for w in worlds]),
        condition=torch.cat([w.condition[:, :, :shortest] for w in worlds]),
        encoder_state=_stack_states([w.encoder_state for w in worlds]) if have_encoder else None,
        decoder_state=_stack_states([w.decoder_state for w in worlds]),
        caches=[_stack_layers(layers) for layers in zip(*(w.caches for w in worlds), strict=True)],
        tail=None if first.tail is None else sum((w.tail or () for w in worlds), ()),
        views=None if first.views is None else torch.cat([w.views for w in worlds if w.views is not None]),
        recent=stack_recent([w.recent for w in worlds]),
    )


def select_world(world: World, index: int) -> World:
    """One world of a batch, with tensors of its own."""
    if not 0 <= index < world.batch:
        raise WorldError(f"There is no world {index} in a batch of {world.batch}.")
    batch = world.batch

    def part(tensor: Tensor) -> Tensor:
        count = tensor.shape[0] // batch
        return tensor[index * count : (index + 1) * count].clone()

    picked = _world_with_tensors(world, part)
    return replace(
        picked,
        seeds=(world.seeds[index],),
        names=(world.names[index],),
        tail=None if world.tail is None else (world.tail[index],),
        recent=select_recent(world.recent, index),
    )


def _world_with_tensors(world: World, change: Any) -> World:
    def state(tensors: State | None) -> State | None:
        return None if tensors is None else tuple(change(tensor) for tensor in tensors)

    def ring(entry: Ring | None) -> Ring | None:
        return None if entry is None else replace(entry, k=change(entry.k), v=change(entry.v))

    return replace(
        world,
        image=change(world.image),
        features=change(world.features),
        condition=change(world.condition),
        encoder_state=state(world.encoder_state),
        decoder_state=state(world.decoder_state),
        caches=[LayerCache(ring(c.video), ring(c.mouse), ring(c.keyboard)) for c in world.caches],  # type: ignore[arg-type]
        views=None if world.views is None else change(world.views),
    )


def _stack_states(states: Sequence[State | None]) -> State | None:
    if any(state is None for state in states):
        return None
    return tuple(torch.cat(parts) for parts in zip(*(s for s in states if s is not None), strict=True))


def _stack_layers(layers: Sequence[LayerCache]) -> LayerCache:
    def stack(rings: Sequence[Ring | None]) -> Ring | None:
        real = [ring for ring in rings if ring is not None]
        if not real:
            return None
        return replace(real[0], k=torch.cat([r.k for r in real]), v=torch.cat([r.v for r in real]))

    parts = [stack([getattr(layer, name) for layer in layers]) for name in ("video", "mouse", "keyboard")]
    return LayerCache(*parts)  # type: ignore[arg-type]
