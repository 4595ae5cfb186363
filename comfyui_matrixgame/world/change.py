"""A world whose last frames are changed as pictures, and that goes on from there.

The latents of its last block are moved by the difference of two encodings: of its own frames, and of the same frames
changed. What a VAE loses is in both, so what was not changed stays. The block's clean pass is then done again over
its own entries in the rings, where it sees what it saw before, and the decoder goes through the block anew: the world
is to the bit what it would be had the block been made with these latents. (Where an older block has stayed because
the view is the same, that one is seen twice.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..compute.choices import SEEN_CHANGED, SEEN_START
from ..compute.devices import computes
from ..errors import ImageError, WorldError
from ..media.fitting import image_tensor
from ..networks.generator.kv_cache import copies
from ..networks.vae import VideoEncoder
from ..networks.vae.base import State, pixels_to_frames
from ..system.words import counted
from ..variants import FRAMES_PER_LATENT
from .block.condition import encode_start
from .block.inputs import TAIL_ROWS
from .block.passes import clean_pass, rollout_constants
from .models import Models
from .recent import RecentBlock, blocks_to_change
from .start import check_features
from .take_over import check_fits, take_over_world, world_on_device
from .world import World

CONTEXT = 1 + 8 * FRAMES_PER_LATENT  # frames before the block that both encodings have seen
MOST_STRENGTH = 10.0


@dataclass(frozen=True)
class Change:
    """A change of a world's last block that has been made ready: all that is known before the network has seen it.

    world: the one to change. own: the frames of its last block, [9 or 12, H, W, 3] of 8 bits. wanted: the same as they
    should be. context: up to 33 frames before them, of the same kind; None where there are none. state: the decoder's,
    before the block. asked: what was asked for, as a digest.
    """

    world: World
    own: Tensor
    wanted: Tensor
    context: Tensor | None
    state: State | None
    strength: float
    asked: str

    @property
    def is_none(self) -> bool:
        """Whether everything stays as it is."""
        return self.strength == 0 or torch.equal(self.own, self.wanted)

    @property
    def picture(self) -> Tensor:
        """The last frame as it should be, [3, H, W] in [-1, 1]: what an image tower is shown."""
        return image_tensor(self.wanted[-1].numpy())


def check_strength(strength: float) -> None:
    """Raise WorldError for a strength that no change has."""
    if not 0 <= strength <= MOST_STRENGTH:
        raise WorldError(f"The strength of a change is from 0 to {MOST_STRENGTH:g}, got {strength:g}.")


@computes
def plan_change(
    models: Models, world: World, pictures: Tensor, mask: Tensor | None = None, strength: float = 1.0
) -> Change:
    """Make a change of a world's last frames ready.

    pictures: [N, H, W, 3] of 8 bits, the last N frames as they should be; frames of the last block before them change
    as the first of them does. mask: [H, W] or [N, H, W], 1 where the pictures count and 0 where the world's own frames
    do; everywhere without one. strength: how far the latents are moved; 1 is to where the pictures are.
    Raises ImageError for pictures or a mask that do not fit, and WorldError for a world that cannot be changed.
    """
    _check_world(models, world)
    check_strength(strength)
    mask = _checked_mask(world, pictures, mask)
    own, context, state = _last_frames(models, world)
    if not 0 < len(pictures) <= len(own):
        raise ImageError(
            f"A change takes up to {counted(len(own), 'picture')}, which are the last frames of the world, got "
            f"{len(pictures)}; give it the last of them."
        )
    wanted = changed_frames(own, pictures, mask)
    return Change(world, own, wanted, context, state, strength, _digest(pictures, mask, strength))


@computes
def change_world(models: Models, change: Change, features: Tensor | None = None) -> World:
    """The world that goes on from a change; the one that is changed stays as it is, and is returned where nothing
    changes.

    features: [1, 257, dim] of the image tower for the change's picture. With them the network is shown that picture
    from here on, in place of the world's first one; what has changed everywhere, such as the light, lasts only so.
    """
    if change.is_none:
        return change.world
    seen = SEEN_START if features is None else SEEN_CHANGED
    world = take_over_world(models, change.world)
    name = hashlib.sha256(f"{world.names[0]}/changed/{change.asked}/{seen}".encode()).hexdigest()
    world = replace(world, names=(name,))
    if features is not None:
        world = _shown(models, world, change.picture.unsqueeze(0), features)
    move = _encoded_difference(models.vae, change).to(models.device)
    latents = world.recent[-1].latents.to(models.device) + change.strength * move.float()
    return _with_last_block(models, world, latents, change.state)


@computes
def last_frame(models: Models, world: World) -> Tensor:
    """What a world has shown last, [H, W, 3] of 8 bits: its start image before the first frame, and where it does not
    know so many of its last blocks that the frame would be the same to the bit."""
    if world.block and not _unknown_blocks(models, world):
        return _last_frames(models, world)[0][-1]
    return pixels_to_frames(world.image.unsqueeze(2))[0, 0].cpu()


def _unknown_blocks(models: Models, world: World) -> int:
    """How many of the last blocks would have to be known too for its last frames to be what they were."""
    return max(0, min(blocks_to_change(models.decoder), world.block) - len(world.recent))


def _last_frames(models: Models, world: World) -> tuple[Tensor, Tensor | None, State | None]:
    """What a world has shown last, decoded from its recent blocks: the frames of the last, those before them, and the
    decoder's state between the two."""
    *before, last = (block.latents for block in world.recent)
    shown: Tensor | None = None
    state: State | None = None
    for latents in before:
        pixels, state = models.decoder.decode(latents.to(models.device), state)
        frames = pixels_to_frames(pixels)[0].cpu()
        shown = (frames if shown is None else torch.cat([shown, frames]))[-CONTEXT:]
    pixels, _ = models.decoder.decode(last.to(models.device), state)
    return pixels_to_frames(pixels)[0].cpu(), shown, state


def changed_frames(own: Tensor, pictures: Tensor, mask: Tensor | None) -> Tensor:
    """A block's frames [F, H, W, 3] of 8 bits as pictures of the last N of them say. mask: [N, H, W, 1] or None."""
    first = len(own) - len(pictures)
    move = pictures.float() - own[first:].float()
    if mask is not None:
        move = move * mask
    move = torch.cat([move[:1].expand(first, -1, -1, -1), move])
    return (own.float() + move).round_().clamp_(0, 255).to(torch.uint8)


def _with_last_block(models: Models, world: World, latents: Tensor, state: State | None) -> World:
    """The world as it would be with other latents [1, 16, 3, h, w] of its last block. state: of the decoder, before
    that block."""
    *before, made = world.recent
    tail = tuple(track.slice(len(track) - TAIL_ROWS) for track in before[-1].rows) if before else None
    caches = copies(world.caches, models.device, models.cache_dtype)
    start = replace(world_on_device(replace(world, caches=[]), models), caches=caches, block=world.block - 1, tail=tail)
    after = clean_pass(models, rollout_constants(models, start), start, latents, made.rows)
    _, state = models.decoder.decode(latents, state)
    return replace(after, decoder_state=state, recent=(*before, RecentBlock(latents.cpu(), made.rows)))


def _shown(models: Models, world: World, image: Tensor, features: Tensor) -> World:
    """The world as if it had begun with another picture [1, 3, H, W], which has these features."""
    check_features(models.generator.config, features)
    condition, _ = encode_start(models.vae, image, world.condition.shape[2])
    return replace(world, image=image, features=features.float(), condition=condition, encoder_state=None)


def _encoded_difference(vae: VideoEncoder, change: Change) -> Tensor:
    """By how much [1, 16, 3, h, w] the encodings of the wanted frames and of the world's own differ."""

    def pixels(frames: Tensor) -> Tensor:
        scaled = frames.float().div_(127.5).sub_(1)
        return scaled.permute(3, 0, 1, 2).unsqueeze(0).contiguous().to(vae.input_device)

    state = None if change.context is None else vae.encode(pixels(change.context))[1]
    own, wanted = (vae.encode(pixels(frames), state)[0] for frames in (change.own, change.wanted))
    return wanted - own


def _digest(pictures: Tensor, mask: Tensor | None, strength: float) -> str:
    digest = hashlib.sha256(f"{list(pictures.shape)}/{float(strength)}/".encode())
    for tensor in (pictures, mask):
        digest.update(b"" if tensor is None else tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check_world(models: Models, world: World) -> None:
    if world.batch != 1:
        raise WorldError(f"{world.batch} worlds cannot be changed at once; change one of them.")
    if not world.block:
        raise WorldError("The world has shown no frame yet; start it from the changed picture instead.")
    check_fits(models, world)
    if more := _unknown_blocks(models, world):
        have = len(world.recent)
        raise WorldError(
            f"A change needs the last {counted(have + more, 'block')} of the world, and of this one, which was saved "
            f"by an older version or without them, {have} are known; let it go on for {more} more, then change it."
        )


def wrong_size(what: str, have: Sequence[int], wanted: Sequence[int]) -> ImageError:
    """The error of a picture or mask that has not the size, (height, width), of the world's frames."""
    return ImageError(
        f"The {what} is {have[1]}x{have[0]} and the world's frames are {wanted[1]}x{wanted[0]}; scale it to that size."
    )


def _checked_mask(world: World, pictures: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask as [N, H, W, 1] float32; raises ImageError where it, or the pictures, are of another size."""
    height, width = world.size
    for what, size in (
        ("picture", pictures.shape[1:3]),
        ("mask", (height, width) if mask is None else mask.shape[-2:]),
    ):
        if tuple(size) != (height, width):
            raise wrong_size(what, size, world.size)
    if mask is None:
        return None
    mask = mask.float().reshape(-1, height, width, 1)
    if len(mask) not in (1, len(pictures)):
        raise ImageError(
            f"There are {counted(len(pictures), 'picture')} and {counted(len(mask), 'mask')}; give one mask, or one "
            "for each picture."
        )
    if not torch.isfinite(mask).all():
        raise ImageError("The mask holds values that are not numbers; look at the step that made it.")
    return mask.clamp(0, 1).expand(len(pictures), -1, -1, -1).contiguous()
