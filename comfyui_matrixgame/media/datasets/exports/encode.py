"""What networks make of a window: latents of its frames, of its first frame alone, and features of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....errors import DatasetError
from ....networks.vae.base import VideoEncoder
from ....networks.vision import ImageEncoder
from ...fitting import fit_image, image_tensor
from .windows import Window


@dataclass(frozen=True)
class Encoders:
    """vae: encodes frames. tower: gives features of a picture; None where they are not asked for. size: height and
    width that frames are cut and resized to."""

    vae: VideoEncoder
    tower: ImageEncoder | None
    size: tuple[int, int]


@dataclass(frozen=True)
class Encoded:
    """latents: [16, T, h, w], normalised as the generator takes them. condition: the same of the first frame, followed
    by grey. features: [257, dim]. All float32, on the CPU; the latter two None without a tower."""

    latents: Tensor
    condition: Tensor | None
    features: Tensor | None


def encode_window(window: Window, encoders: Encoders) -> Encoded:
    """Encode the frames of a window. Raises MatrixGameError where the film has fewer."""
    count = len(window.track)
    pictures = [image_tensor(pixels) for pixels in window.clip.pixels(window.first, count)]
    if len(pictures) < count:
        raise DatasetError(f"Only {len(pictures)} of {count} frames from {window.first} on can be decoded.")
    frames = torch.stack([fit_image(picture, *encoders.size) for picture in pictures], dim=1)  # [3, N, H, W]
    with torch.inference_mode():
        latents = _latents(encoders.vae, frames)
        if encoders.tower is None:
            return Encoded(latents, None, None)
        alone = torch.zeros_like(frames)
        alone[:, 0] = frames[:, 0]
        features = encoders.tower(frames[:, 0][None])[0].float().cpu()
        return Encoded(latents, _latents(encoders.vae, alone), features)


def _latents(vae: VideoEncoder, frames: Tensor) -> Tensor:
    latents, _ = vae.encode(frames[None].to(vae.input_device))
    return latents[0].float().cpu()


def array_of(tensor: Tensor) -> np.ndarray:
    """As numbers in a row in memory."""
    return np.ascontiguousarray(tensor.numpy())
