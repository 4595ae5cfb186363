"""A decoder that hands out the frames of a block before the block is finished."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..networks.vae import VideoDecoder
from ..networks.vae.base import DecoderAround, State, pixels_to_frames
from ..variants import FRAMES_PER_LATENT, LATENTS_PER_BLOCK
from ..world import Models

Frames = NDArray[np.uint8]
OnFrames = Callable[[Frames, float], None]
"""Called with frames [N, H, W, 3] as soon as they are decoded, and the seconds their decoding took."""
Result = TypeVar("Result")


class EarlyDecoder(DecoderAround):
    """A decoder that hands over the frames of each latent frame as soon as they are there; same numbers.

    shown: whether it has handed over frames of the current block. stopped: what was raised since to stop that block.
    """

    def __init__(self, decoder: VideoDecoder) -> None:
        super().__init__(decoder)
        self.on_frames: OnFrames | None = None
        self.shown = False
        self.stopped: BaseException | None = None

    def whole(self, work: Callable[[], Result]) -> Result:
        """Do a part of a block. Once frames of it are shown it is made to its end: what is raised to stop it is kept in
        `stopped`, and the part is done again. What fails by itself fails again."""
        try:
            return work()
        except RuntimeError:
            raise  # of the device
        except BaseException as error:
            if not self.shown or self.stopped is not None:
                raise
            self.stopped = error
            return work()

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See VideoDecoder.decode."""
        parts: list[Tensor] = []
        for latent in latents.split(1, dim=2):
            began = time.perf_counter()
            pixels, state = self.whole(functools.partial(self._decoder.decode, latent, state))
            parts.append(pixels)
            if self.on_frames is not None:
                frames = pixels_to_frames(pixels)[0].cpu().numpy()
                self.shown = True
                self.on_frames(frames, time.perf_counter() - began)
        assert state is not None
        return torch.cat(parts, dim=2), state


def with_early_frames(models: Models) -> tuple[Models, EarlyDecoder]:
    """The same models with a decoder that hands frames over early, and that decoder."""
    early, models_id, theirs = EarlyDecoder(models.decoder), models.id(), copy.copy(models)
    theirs.decoder = early
    theirs.id = lambda: models_id  # type: ignore[method-assign] # not worked out again for every block
    return theirs, early


def parts_of_block(frames: Frames) -> list[Frames]:
    """The frames of a block as its latent frames give them."""
    first = len(frames) - FRAMES_PER_LATENT * (LATENTS_PER_BLOCK - 1)
    return np.split(frames, [first, first + FRAMES_PER_LATENT])
