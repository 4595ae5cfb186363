"""Small pictures of stored blocks, for the list of projects and the timeline's strip."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...cache.records import DamagedRecord, OtherVersion, Record, read_record
from ...variants import FRAMES_PER_BLOCK
from ...world.check import LARGEST_SIDE

MIDDLE, LAST = "middle", "last"


def frame_picture(path: Path, which: str, size: tuple[int, int]) -> bytes | None:
    """A JPEG of one frame of a stored block, at most `size` (width, height); None where the file is not there, cannot
    be read, or holds anything but frames. which: MIDDLE or LAST."""
    try:
        frames = _frames(read_record(path, _has_frames).tensors.get("frames"))
    except (OSError, DamagedRecord, OtherVersion):
        return None
    if frames is None:
        return None
    picture = Image.fromarray(frames[-1 if which == LAST else len(frames) // 2].numpy())
    picture.thumbnail(size)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _has_frames(record: Record) -> bool:
    """Whether a record has the frames of one block, and nothing else."""
    tensor = _frames(record.tensors.get("frames"))
    return tensor is not None and len(record.tensors) == 1 and len(tensor) <= FRAMES_PER_BLOCK


def _frames(tensor: Tensor | None) -> Tensor | None:
    """The frames [N, H, W, 3] of a record's tensor [1, N, H, W, 3]; None where it is no such tensor."""
    if tensor is None or tensor.dtype != torch.uint8 or tensor.ndim != 5 or tensor.shape[-1] != 3 or not tensor.numel():
        return None
    return tensor[0] if max(tensor.shape[2:4]) <= LARGEST_SIDE else None
