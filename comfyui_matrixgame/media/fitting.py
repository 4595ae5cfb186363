"""Fitting pictures to the size of a rollout: sizes that are possible, the crop, and resizing."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import ImageError
from ..variants import default_variant

HEIGHT, WIDTH = default_variant().size  # what the published weights were trained at
SIZE_STEP = 16  # 8 of the VAE times 2 of the patches
SMALLEST_SIDE = 16
KEPT_AT_LEAST = 0.4  # of the image's area, by the crop


def check_size(height: int, width: int) -> None:
    """Raise ImageError unless both sides are positive multiples of 16."""
    if height < SIZE_STEP or width < SIZE_STEP or height % SIZE_STEP or width % SIZE_STEP:
        near = tuple(max(SIZE_STEP, round(side / SIZE_STEP) * SIZE_STEP) for side in (width, height))
        raise ImageError(
            f"The size {width}x{height} is not possible: both sides must be multiples of {SIZE_STEP}; "
            f"the nearest is {near[0]}x{near[1]}."
        )


def image_tensor(image: Image.Image | np.ndarray) -> Tensor:
    """An RGB picture of 8 bits, [H, W, 3] -> [3, H, W] float32 in [-1, 1]."""
    return torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1).div_(127.5).sub_(1)


def fit_image(image: Tensor, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Cut out the middle in the shape width:height, then resize, antialiased.

    image: [..., 3, H, W] in [-1, 1], and clamped to it; returns [..., 3, height, width]. Raises ImageError for a size
    that is not possible, an image without a middle of that shape, or values that are not numbers.
    """
    check_size(height, width)
    rows, columns = image.shape[-2:]
    keep_rows, keep_columns = crop_of(rows, columns, height, width)
    if not torch.isfinite(image).all():
        raise ImageError("The image holds values that are not numbers; look at the step that made it.")
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    middle = image[..., top : top + keep_rows, left : left + keep_columns].float()
    if (keep_rows, keep_columns) == (height, width):
        return middle.clamp(-1, 1).contiguous()
    resized = resize_to(middle.reshape(-1, *middle.shape[-3:]), height, width)
    return resized.reshape(*middle.shape[:-2], height, width).clamp_(-1, 1)


def crop_of(rows: int, columns: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the middle, in the shape width:height, of a picture of rows x columns; raises ImageError."""
    if min(rows, columns) < SMALLEST_SIDE:
        raise ImageError(f"The image is {columns}x{rows} pixels; use one of at least {SMALLEST_SIDE} pixels a side.")
    keep_rows = min(rows, round(columns * height / width))
    keep_columns = min(columns, round(rows * width / height))
    if keep_rows * keep_columns < KEPT_AT_LEAST * rows * columns:
        raise ImageError(
            f"The image is {columns}x{rows}: cutting it to {width}:{height} would throw away "
            f"{1 - keep_rows * keep_columns / (rows * columns):.0%} of it; cut out the part you want first."
        )
    return keep_rows, keep_columns


def resize_to(image: Tensor, height: int, width: int) -> Tensor:
    """[..., 3, H, W] -> [..., 3, height, width]. Rows and columns are resized one after the other, so that it makes no
    difference whether columns come first in strips."""
    if tuple(image.shape[-2:]) == (height, width):
        return image
    flat = image if image.ndim == 4 else image.unsqueeze(0)
    resized = F.interpolate(flat, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return resized if image.ndim == 4 else resized[0]
