"""Starting a world: from an image, or from a clip with the inputs that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..compute.devices import computes
from ..errors import ImageError, WorldError
from ..media.fitting import check_size
from ..networks.generator import GeneratorConfig
from ..system.words import counted
from ..variants import LATENTS_PER_BLOCK, blocks_of_frames, frames_of_blocks
from .block.condition import encode_start, whole_condition
from .block.inputs import tracks_for
from .block.passes import clean_pass, rollout_constants, with_caches
from .models import Models, network_id
from .recent import with_block
from .world import World, first_name, next_name, pixels_name


@computes
def start_world(
    models: Models, image: Tensor, seed: int | Sequence[int] = 0, *, features: Tensor | None = None
) -> World:
    """A world before its first block.

    image: [3, H, W] or [B, 3, H, W] in [-1, 1], sides multiples of 16 (fitting.fit_image makes them so). seed:
    one, or one for each world; one image with several seeds is repeated. features: [B, 257, dim] where the
    image tower was run before, so that it need not be in memory with the generator.
    Raises ImageError, or WorldError where neither features nor an image tower are given.
    """
    image = image if image.ndim == 4 else image.unsqueeze(0)
    check_size(*image.shape[-2:])
    if not torch.isfinite(image).all():
        raise ImageError("The image holds values that are not numbers; look at the step that made it.")
    seeds = (int(seed),) * len(image) if isinstance(seed, int) else tuple(int(s) for s in seed)
    if len(image) == 1 and len(seeds) > 1:
        image = image.expand(len(seeds), -1, -1, -1)
    if len(seeds) != len(image):
        raise WorldError(
            f"There are {counted(len(image), 'image')} and {counted(len(seeds), 'seed')}; give one "
            "seed, or one for each."
        )
    if features is None:
        if models.vision is None:
            raise WorldError("Starting a world needs the image tower; load clip_vision_h.safetensors beside the VAE.")
        features = models.vision(image)
    assert features is not None
    features = features.float().expand(len(image), -1, -1)
    check_features(models.generator.config, features)
    image = image.float().contiguous()
    condition, state = encode_start(models.vae, image, LATENTS_PER_BLOCK)
    models_id = models.id()
    steps = models.variant.steps
    world = World(
        variant=models.variant,
        block=0,
        seeds=seeds,
        names=tuple(first_name(models_id, models.variant, im, s, steps) for im, s in zip(image, seeds, strict=True)),
        models_id=models_id,
        decoder_id=network_id(models.decoder),
        image=image.to(models.device),
        features=features.to(models.device),
        condition=condition.to(models.device),
        encoder_state=state,
        decoder_state=None,
        caches=[],
        tail=None,
        loras=models.loras,
    )
    return whole_condition(world, models.vae)


@computes
def start_world_from_clip(
    models: Models,
    clip: Tensor,
    tracks: ActionTrack | Sequence[ActionTrack],
    seed: int | Sequence[int] = 0,
    *,
    features: Tensor | None = None,
) -> World:
    """A world that goes on where footage ends.

    clip: [3, N, H, W] or [B, 3, N, H, W] in [-1, 1], N = 9 + 12k frames. tracks: the inputs that belong to the
    clip, row t held while frame t is on screen; at least N - 1 rows. The caches are filled from the clip, block
    by block, and the decoder is brought to its end, so the next block's frames follow the clip's.
    Raises ImageError or WorldError.
    """
    clip = clip if clip.ndim == 5 else clip.unsqueeze(0)
    frames = clip.shape[2]
    blocks = blocks_of_frames(frames)
    if blocks < 1 or frames != frames_of_blocks(blocks):
        fitting = frames_of_blocks(max(1, blocks))
        raise ImageError(
            f"A clip of {counted(frames, 'frame')} cannot be continued: it needs 9 + 12k frames, such as {fitting}."
        )
    world = start_world(models, clip[:, :, 0], seed, features=features)
    given = tracks_for(world, tracks)
    rows = rows_of_blocks(blocks)
    short = next((track for track in given if len(track) < rows), None)
    if short is not None:
        raise WorldError(f"The clip of {frames} frames needs {rows} input rows, and {len(short)} were given.")
    latents, _ = models.vae.encode(clip.to(models.vae.input_device))
    digest = pixels_name(clip)
    world = replace(world, names=tuple(clip_name(name, digest, given[i]) for i, name in enumerate(world.names)))
    return fill_from_latents(models, world, latents.to(models.device), [track.slice(0, rows) for track in given])


def clip_name(name: str, pixels: str, track: ActionTrack) -> str:
    """The name of a world after a clip. name: before it. pixels: the clip's pixels_name. track: the clip's inputs."""
    return next_name(f"{name}/{pixels}", track)


@computes
def fill_from_latents(models: Models, world: World, latents: Tensor, tracks: Sequence[ActionTrack]) -> World:
    """Run given clean latents [B, 16, 3n, h, w] through the caches and the decoder, one clean pass a block.

    world: before its first block or later; caches it has are filled in place, so it must not be used again.
    tracks: the rows that these blocks are the first to read.
    """
    constants = rollout_constants(models, world)
    world, row = with_caches(models, world), 0
    for given in latents.split(LATENTS_PER_BLOCK, dim=2):
        count = rows_of_blocks(1, world.block)
        rows = [track.slice(row, row + count) for track in tracks]
        recent = with_block(world.recent, given.cpu(), rows, models.decoder)
        world = clean_pass(models, constants, world, given, rows)
        row += count
        _, decoder_state = models.decoder.decode(given, world.decoder_state)
        world = replace(world, decoder_state=decoder_state, recent=recent)
    return world


def check_features(config: GeneratorConfig, features: Tensor) -> None:
    """Raise WorldError where image features are not those that a generator takes."""
    wanted = config.visual_dim
    if features.shape[-1] != wanted:
        raise WorldError(
            f"The image tower gives {features.shape[-1]} values a token and the generator needs {wanted}; load the "
            "tower that belongs to it (clip_vision_h for the published files)."
        )
