"""Small pictures of stored blocks, for the list of projects and the timeline."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...cache.records import DamagedRecord, OtherVersion, Record, read_record
from ...media.gif import GifWriter
from ...variants import FPS, FRAMES_PER_BLOCK
from ...world.check import LARGEST_SIDE

KINDS_OF_RESULT = {"gif": "image/gif", "webp": "image/webp", "sheet": "image/png"}
RESULT_SIZE = (640, 640)
SHEET_CELL = (320, 320)
GAP = 4  # pixels between the pictures of a sheet


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


def result_picture(blocks: Iterator[Tensor], kind: str) -> bytes | None:
    """Frames [N, H, W, 3] of one block after the other as an animation, or as a sheet with the middle one of each
    block; kind: one of KINDS_OF_RESULT. None where there is none."""
    first = next(blocks, None)
    if first is None:
        return None
    rest = chain([first], blocks)
    buffer = io.BytesIO()
    if kind == "sheet":
        _contact_sheet([_fitted(block[len(block) // 2], SHEET_CELL) for block in rest]).save(buffer, "PNG")
        return buffer.getvalue()
    frames = (_fitted(frame, RESULT_SIZE) for block in rest for frame in block)
    if kind == "gif":
        return _gif(frames)
    shown = next(frames)
    more = {"duration": round(1000 / FPS), "loop": 0, "quality": 80, "method": 2}
    shown.save(buffer, kind, save_all=True, append_images=frames, **more)
    return buffer.getvalue()


def _gif(frames: Iterator[Image.Image]) -> bytes:
    """Frame by frame, in memory that does not grow with their number. Raises VideoError."""
    first = next(frames)
    with tempfile.TemporaryDirectory(prefix="matrixgame_") as folder:
        path = Path(folder) / "result.gif"
        with GifWriter(path, first.height, first.width) as writer:
            for frame in chain([first], frames):
                writer.write(np.asarray(frame)[None])
        return path.read_bytes()


def _fitted(frame: Tensor, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(frame.numpy())
    picture.thumbnail(size)
    return picture


def _contact_sheet(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size, in as many columns as make the sheet about as wide as high."""
    width, height = pictures[0].size
    columns = max(1, min(len(pictures), round((len(pictures) * height / width) ** 0.5 + 0.49)))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), (24, 24, 24))
    for index, each in enumerate(pictures):
        sheet.paste(each, (index % columns * (width + GAP), index // columns * (height + GAP)))
    return sheet
