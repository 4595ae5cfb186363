"""An animated GIF, frame by frame, each with a palette of its own."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import av
import av.container
import av.filter
import numpy as np
from av.error import FFmpegError
from PIL import Image
from torch import Tensor

from ..errors import VideoError
from ..system.files import open_regular, written_whole
from ..system.stopping import finishing
from ..variants import FPS
from .frame_writer import FrameWriter
from .video import part_of
from .video_reader import error_reason, ffmpeg_url


def is_own_gif(path: str | Path) -> bool:
    """Whether GifWriter wrote a file."""
    try:
        with open_regular(path) as file:
            file.seek(-len(_MARK), os.SEEK_END)
            return file.read() == _MARK
    except OSError:
        return False


def count_gif_frames(path: str | Path) -> int:
    """How many frames a GIF has; 0 where there is none."""
    try:
        with open_regular(path) as file, Image.open(file, formats=["GIF"]) as picture:
            return getattr(picture, "n_frames", 1)
    except (OSError, ValueError, SyntaxError):  # Pillow's ways to say that it is not a GIF
        return 0


_MARK = b"\x21\xfe\x0bMatrix-Game\0\x3b"  # a comment, and the end of a GIF


class _Nothing(Exception):
    """There is nothing to keep."""


class GifWriter(FrameWriter):
    """Use it as a context manager; `VideoWriter`'s smaller sister. The file appears when it is closed, with the frames
    that were written until then. frames: how many it has. Raises VideoError where it cannot be written.

    beside: keep the frames also in a file beside this one, until `done`; a GIF is written in one go, so whoever goes on
    begins it again with them. keep: how many frames of that file come first. begins: see `frames_begin_at`.
    """

    def __init__(
        self, path: str | Path, height: int, width: int, fps: int = FPS, keep: int = 0, begins: int = 0,
        beside: bool = False,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self.frames = 0
        self._size = (height, width)
        self._closed = False
        self._beside: FrameFile | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._whole = written_whole(self.path)
            self._part = self._whole.__enter__()
            self._container = av.open(ffmpeg_url(self._part), "w", format="gif")
            self._stream = self._container.add_stream("gif", rate=fps)
            self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "pal8"
            self._graph = self._palettes()
            if beside:
                self._begin_again(keep, begins)
        except (OSError, FFmpegError) as error:
            raise VideoError(
                f"{self.path} cannot be written ({error_reason(error)}); check the folder and free space."
            ) from None

    def write(self, frames: Tensor | np.ndarray) -> None:
        """Append frames [N, H, W, 3] of 8 bits."""
        array = frames.numpy() if isinstance(frames, Tensor) else frames
        try:
            if self._beside is not None:
                self._beside.add(array)
            self._add(array)
        except (OSError, FFmpegError) as error:
            raise VideoError(f"Writing {self.path} stopped at frame {self.frames} ({error_reason(error)}).") from None

    def _add(self, frames: Iterable[np.ndarray]) -> None:
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self.frames, 1 / self._stream.average_rate  # type: ignore[operator]
            self._graph.push(frame)
            self._container.mux(self._stream.encode(self._graph.pull()))  # type: ignore[arg-type]
            self.frames += 1

    def _begin_again(self, keep: int, begins: int) -> None:
        try:
            self._beside = FrameFile(part_of(self.path), self._size, keep, begins)
            self._add(self._beside.read())
        except BaseException:
            self.abandon()
            raise

    def restart_encoder(self) -> None:
        """Nothing to do: no frame of a GIF depends on an encoder's past."""

    def done(self) -> None:
        """Nobody goes on with the file: what lies beside it is deleted."""
        forget_frames(self.path)

    def abandon(self) -> None:
        """Leave everything as it was."""
        self._closed = True
        with suppress(FFmpegError, OSError):
            self._container.close()
        with suppress(_Nothing):
            self._whole.__exit__(_Nothing, _Nothing(), None)

    @finishing()  # or the world would stand behind a film that is not the one of an undisturbed run
    def close(self) -> None:
        """Finish the file; without a frame none is left."""
        if self._closed:
            return
        if self._beside is not None:
            self._beside.close()
        if not self.frames:
            self.abandon()
            return
        self._closed = True
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            with self._part.open("rb+") as file:
                file.seek(-1, os.SEEK_END)
                file.write(_MARK)
            self._whole.__exit__(None, None, None)
        except (OSError, FFmpegError) as error:
            with suppress(OSError, FFmpegError):
                self._whole.__exit__(type(error), error, None)
            raise VideoError(f"{self.path} could not be finished ({error_reason(error)}).") from None

    def _palettes(self) -> av.filter.Graph:
        """RGB in, 256 colours chosen for each frame out."""
        height, width = self._size
        graph = av.filter.Graph()
        source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=1 / self._stream.average_rate)  # type: ignore[operator]
        split, end = graph.add("split"), graph.add("buffersink")
        palette, use = graph.add("palettegen", stats_mode="single"), graph.add("paletteuse", new="1")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(end)
        graph.configure()
        return graph


class FrameFile:
    """Frames [H, W, 3] of 8 bits, packed one after the other; one that a kill cut short does not count.

    keep: how many stay of those that are there. begins: the number of the first. Raises VideoError where there are
    fewer, or of another size.
    """

    def __init__(self, path: Path, size: tuple[int, int], keep: int, begins: int) -> None:
        self._path, self._shape, self._keep, self._next = path, (*size, 3), keep, begins + keep
        if not keep:
            path.unlink(missing_ok=True)
            flags = os.O_CREAT | os.O_EXCL
        else:
            flags = 0
            frames, end = self._look(keep)
            if frames < keep:
                raise VideoError(
                    f"{path.name} has {frames} frames of the GIF and the world stands at frame {keep}; they do not "
                    "belong together. Name another file to write what follows there, or delete them to begin again."
                )
            os.truncate(path, end)
        flags |= os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.fdopen(os.open(path, flags, 0o666), "ab")

    def add(self, frames: np.ndarray) -> None:
        """Append frames [N, H, W, 3]; they are with the system when this returns."""
        for picture in frames:
            packed = zlib.compress(np.ascontiguousarray(picture).data, 1)
            self._file.write(_HEAD.pack(self._next, len(packed), *self._shape[:2]) + packed)
            self._next += 1
        self._file.flush()

    def read(self) -> Iterator[np.ndarray]:
        """The frames that stayed."""
        with open_regular(self._path) as file:
            for _ in range(self._keep):
                _, length, _, _ = _HEAD.unpack(file.read(_HEAD.size))
                yield np.frombuffer(zlib.decompress(file.read(length)), np.uint8).reshape(self._shape)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def _look(self, most: int) -> tuple[int, int]:
        """How many whole frames are there, up to `most`, and where they end."""
        frames = end = 0
        if not self._path.exists():
            return 0, 0
        with open_regular(self._path) as file:
            size = os.fstat(file.fileno()).st_size
            while frames < most and len(head := file.read(_HEAD.size)) == _HEAD.size:
                _, length, *shape = _HEAD.unpack(head)
                if end + _HEAD.size + length > size or tuple(shape) != self._shape[:2]:
                    break
                frames, end = frames + 1, end + _HEAD.size + length
                file.seek(end)
        return frames, end


_HEAD = struct.Struct("<IIII")  # number, bytes, height, width


def frames_begin_at(path: Path) -> int | None:
    """The number, in its rollout, of the first of the frames that lie beside an unfinished GIF; None where none do."""
    try:
        with open_regular(part_of(path)) as file:
            head = file.read(_HEAD.size)
    except OSError:
        return None
    return _HEAD.unpack(head)[0] if len(head) == _HEAD.size else None


def forget_frames(path: Path) -> None:
    """Delete what lies beside a GIF that is finished."""
    part_of(path).unlink(missing_ok=True)
