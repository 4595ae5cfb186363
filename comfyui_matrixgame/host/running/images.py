"""IMAGE and the engine's pixels and frames."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
import math

import comfy.model_management as memory
import torch
from torch import Tensor

from ...errors import ImageError
from ...variants import frames_of_blocks

log = logging.getLogger(__name__)


def pixels_of(images: Tensor) -> Tensor:
    """IMAGE [N, H, W, C] in [0, 1] -> [N, 3, H, W] in [-1, 1], to the last bit what the engine reads from a file;
    raises ImageError."""
    if images.shape[-1] not in (1, 3, 4):
        raise ImageError(
            f"The image has {images.shape[-1]} channels; connect one with 1 (grey), 3 (RGB) or 4 (RGB and alpha)."
        )
    bytes_ = images[..., :3].expand(*images.shape[:3], 3).cpu().float().mul(255)
    if (bytes_ - bytes_.round()).abs().max() < 1e-3:  # pictures of 8 bits, and nearly all are
        return (bytes_.round() / 127.5 - 1).permute(0, 3, 1, 2)
    return (bytes_ / 127.5 - 1).permute(0, 3, 1, 2)


class Images:
    """The IMAGE of all frames of blocks first..last - 1 of a world's life, filled as they come; warns where it takes
    much of what is free. size: height and width."""

    def __init__(self, first: int, last: int, size: tuple[int, int]) -> None:
        shape = (frames_of_blocks(last) - frames_of_blocks(first), *size, 3)
        needed, free = 4 * math.prod(shape), memory.get_free_memory(torch.device("cpu"))
        if needed > free / 3:
            message = (
                "Matrix-Game: %d frames for the images output take %.1f of %.1f GB free memory; the video needs none."
            )
            log.warning(message, shape[0], needed / 1e9, free / 1e9)
        self.batch = torch.empty(shape)
        self._filled = 0

    def add(self, frames: Tensor) -> None:
        """The next frames [N, H, W, 3] of 8 bits."""
        self.batch[self._filled : self._filled + len(frames)] = frames.float() / 255
        self._filled += len(frames)
