"""A picture with a gradient, and its file in any format."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green to the left."""
    x = np.linspace(0, 255, width)[None].repeat(height, 0)
    return Image.fromarray(np.stack([x, 255 - x, np.full_like(x, 90)], 2).astype(np.uint8))


def data_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A picture's file; options: of Pillow's `save`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()
