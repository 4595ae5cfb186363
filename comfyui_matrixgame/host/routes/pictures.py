"""Small pictures of stored blocks, for the list of projects and the timeline."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...cache.records import DamagedRecord, OtherVersion, Record, read_record
from ...variants import FRAMES_PER_BLOCK
from ...world.check import LARGEST_SIDE


def frame_picture(frames: Tensor, index: int, size: tuple[int, int]) -> bytes:
    """A JPEG of one of the frames [N, H, W, 3] of a block, at most `size` (width, height)."""
    picture = Image.fromarray(frames[index].numpy())
    picture.thumbnail(size)
    return _jpeg(picture)


def sheet_picture(frames: Tensor, height: int) -> bytes:
    """A JPEG of all frames [N, H, W, 3] of a block, one below the other, each at most `height` high.

    height: a multiple of 16, as the sides of frames are, so that none bleeds into the next one's squares.
    """
    count, own_height, own_width = frames.shape[:3]
    height = min(height, own_height)
    width = max(1, round(own_width * height / own_height))
    sheet = Image.new("RGB", (width, height * count))
    for index in range(count):
        picture = Image.fromarray(frames[index].numpy())
        if height != own_height:
            picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        sheet.paste(picture, (0, index * height))
    return _jpeg(sheet)


def frames_of_file(path: Path) -> Tensor | None:
    """The frames [N, H, W, 3] of a stored block; None where the file is not there, cannot be read, or holds anything
    but the frames of one block."""
    try:
        return frames_of_record(read_record(path, _has_frames))
    except (OSError, DamagedRecord, OtherVersion):
        return None


def frames_of_record(record: Record) -> Tensor | None:
    """The frames [N, H, W, 3] of a record's tensor [1, N, H, W, 3]; None where it has no such tensor."""
    tensor = record.tensors.get("frames")
    if tensor is None or tensor.dtype != torch.uint8 or tensor.ndim != 5 or tensor.shape[-1] != 3 or not tensor.numel():
        return None
    return tensor[0] if max(tensor.shape[2:4]) <= LARGEST_SIDE else None


def _has_frames(record: Record) -> bool:
    frames = frames_of_record(record)
    return frames is not None and len(record.tensors) == 1 and len(frames) <= FRAMES_PER_BLOCK


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
