"""Writing what is kept of a job, block by block, into a folder that nobody sees until it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ... import __version__
from ...actions.drawing.overlay import draw_overlay
from ...actions.formats.exporters import write_csv
from ...errors import BatchError
from ...media.video import VideoWriter
from ...networks.vae.base import LATENT_CHANNELS, SPATIAL_STRIDE
from ...variants import FRAMES_PER_BLOCK, LATENTS_PER_BLOCK, first_input_of_block, frames_of_blocks
from ...world import World, save_world
from ...world.world import ENGINE_VERSION
from ..jobs.task import Task
from .result import VERSION, Item, Result, short_lanes

PICTURES = {"png": "png", "jpeg": "jpg"}  # items that are a folder of frames, and how these end
FILES = {"mp4": "video.mp4", "latents": "latents.safetensors", "inputs": "inputs.csv", "world": "world.safetensors"}
THUMBNAIL = "thumbnail.jpg"
THUMBNAIL_WIDTH = 240
LOW_SPACE = 16 << 20  # bytes: less than this free after a failed write means that the disk is full
JPEG_QUALITY = 95
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(BatchError):
    """The disk of the results is full, so that no job can go on."""


class ResultWriter:
    """The files of one result. `add` takes blocks in order; `finish` makes the folder whole.

    present: items whose files are there already. What it raises is a MatrixGameError, and DiskFull where no space is
    left.
    """

    def __init__(self, folder: Path, task: Task, present: tuple[str, ...] = ()) -> None:
        self.folder, self.task, self._present = folder, task, present
        self._frames = 0
        self._began = time.time()
        self._video: VideoWriter | None = None
        self._overlay: VideoWriter | None = None
        self._latents: LatentsWriter | None = None

    def add(self, frames: NDArray[np.uint8], latents: Tensor) -> None:
        """Take frames [N, H, W, 3] and their latents [16, 3, h, w]."""
        with explaining_full_disk(self.folder):
            if not self._frames:
                self._open()
            if self._video is not None:
                self._video.write(frames)
            if self._overlay is not None:
                self._overlay.write(self._drawn(frames))
            if self._latents is not None:
                self._latents.add(latents)
            self._pictures(frames)
            middle = self.task.frames // 2
            if self._frames <= middle < self._frames + len(frames):
                _thumbnail(frames[middle - self._frames], self.folder / THUMBNAIL)
            self._frames += len(frames)

    def finish(self, world: World | None, worker: str, model_seconds: float) -> None:
        """Close every file and write the result's own, last."""
        with explaining_full_disk(self.folder):
            self._close()
            if "inputs" in self.task.keep:
                (self.folder / FILES["inputs"]).write_text(write_csv(self.task.track), encoding="utf-8")
            if "world" in self.task.keep and world is not None:
                save_world(world, self.folder / FILES["world"])
            seconds = {"model": round(model_seconds, 4), "all": round(time.time() - self._began, 4)}
            write_result(self.folder, self.task, worker, seconds)

    def abandon(self) -> None:
        """Delete what was begun."""
        with contextlib.suppress(Exception):  # a video that cannot be closed is deleted all the same
            self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        height, width = self.task.size
        if "mp4" in self.task.keep and "mp4" not in self._present:
            self._video = VideoWriter(self.folder / FILES["mp4"], height, width)
        if self.task.overlay is not None:
            self._overlay = VideoWriter(self.folder / f"{self.task.items[-1]}.mp4", height, width)
        if "latents" in self.task.keep:
            shape = (
                self.task.blocks * LATENTS_PER_BLOCK,
                LATENT_CHANNELS,
                *(side // SPATIAL_STRIDE for side in self.task.size),
            )
            self._latents = LatentsWriter(self.folder / FILES["latents"], shape)
        for kind in ("png", "jpeg"):
            if kind in self.task.keep:
                (self.folder / kind).mkdir(exist_ok=True)

    def _drawn(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frames with the inputs that are held while they are on screen."""
        overlay, first = self.task.overlay, self.task.first_block
        assert overlay is not None
        lead = frames_of_blocks(first) - first_input_of_block(first)  # of a clip's first new frame
        row = self._frames + lead
        return draw_overlay(frames, self.task.track, overlay.style, overlay.position, first_row=row)

    def _pictures(self, frames: NDArray[np.uint8]) -> None:
        for i, frame in enumerate(frames):
            number = f"{self._frames + i:06d}"
            if "png" in self.task.keep:
                Image.fromarray(frame).save(self.folder / "png" / f"{number}.png", compress_level=1)
            if "jpeg" in self.task.keep:
                Image.fromarray(frame).save(self.folder / "jpeg" / f"{number}.jpg", quality=JPEG_QUALITY)

    def _close(self) -> None:
        for part in (self._video, self._overlay, self._latents):
            if part is not None:
                part.close()
        self._video = self._overlay = self._latents = None


class LatentsWriter:
    """A safetensors file with one tensor `latents` [frames, 16, h, w], float32, in the generator's scale."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        size = 4 * int(np.prod(shape))
        entry = {"latents": {"dtype": "F32", "shape": list(shape), "data_offsets": [0, size]}}
        header = json.dumps(entry).encode()
        header += b" " * (-len(header) % 8)
        self._file: BinaryIO = path.open("wb")
        self._file.write(len(header).to_bytes(8, "little") + header)

    def add(self, latents: Tensor) -> None:
        """Append latents [16, F, h, w]."""
        self._file.write(latents.permute(1, 0, 2, 3).to("cpu", torch.float32).contiguous().numpy().tobytes())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class explaining_full_disk:
    """Turns an error of writing into DiskFull where the disk is, into BatchError where rights are missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, DiskFull) or not isinstance(error, Exception):
            return
        cause = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if (cause is not None and cause.errno in DISK_FULL) or _no_space(self.folder):
            raise DiskFull(
                f"The disk of {self.folder.parent} is full; what is finished stays. Free some space and run the same "
                "command again."
            ) from None
        if isinstance(error, OSError):
            raise BatchError(f"{self.folder} cannot be written: {error.strerror or error}.") from None


def write_result(folder: Path, task: Task, worker: str, seconds: dict[str, float]) -> None:
    """Write down what a finished folder holds; the last file of a result."""
    items = {name: Item(_file_of(name), _size(folder / _file_of(name))) for name in task.items}
    thumbnail = THUMBNAIL if (folder / THUMBNAIL).exists() else None
    result_of_task(task, items, thumbnail, worker, seconds).write(folder)


def result_of_task(
    task: Task, items: dict[str, Item], thumbnail: str | None, worker: str, seconds: dict[str, float]
) -> Result:
    """What there is to say of a task that was finished just now."""
    return Result(
        key=task.key,
        block=task.block_name,
        variant=task.variant,
        labels=task.labels,
        seed=task.seed,
        blocks=task.blocks,
        first_block=task.first_block,
        frames=task.frames,
        size=task.size,
        lanes=short_lanes(task.track),
        version=VERSION,
        items=items,
        thumbnail=thumbnail,
        seconds=seconds,
        worker=worker,
        program=__version__,
        engine_version=ENGINE_VERSION,
        finished=round(time.time(), 3),
    )


def without_lost_files(folder: Path, result: Result) -> Result:
    """A result without the items whose files are gone or have another size than they were written with."""
    return result.with_items(
        {name: item for name, item in result.items.items() if _is_there(folder / item.file, item.bytes)}
    )


def latents_bytes(blocks: int, size: tuple[int, int]) -> int:
    """Size of a latents file, without its head."""
    return blocks * LATENTS_PER_BLOCK * LATENT_CHANNELS * (size[0] // SPATIAL_STRIDE) * (size[1] // SPATIAL_STRIDE) * 4


def frames_in_block(block: int) -> int:
    """Frames of a block."""
    return FRAMES_PER_BLOCK if block else frames_of_blocks(1)


def _file_of(item: str) -> str:
    if item.startswith("overlay-"):
        return f"{item}.mp4"
    return FILES.get(item, item)  # frames lie in a folder of the item's name


def _size(path: Path) -> int:
    if path.is_dir():  # what a file manager leaves beside the pictures does not count
        return sum(file.stat().st_size for file in path.iterdir() if file.suffix in (".png", ".jpg"))
    return path.stat().st_size


def _is_there(path: Path, size: int) -> bool:
    try:
        return _size(path) == size
    except FileNotFoundError:
        return False


def _thumbnail(frame: NDArray[np.uint8], path: Path) -> None:
    picture = Image.fromarray(frame)
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    picture.save(path, quality=80)


def _no_space(folder: Path) -> bool:
    place = folder
    try:
        while not place.exists() and place != place.parent:  # fails where a name is longer than the disk takes
            place = place.parent
        return shutil.disk_usage(place).free < LOW_SPACE
    except OSError:
        return False
