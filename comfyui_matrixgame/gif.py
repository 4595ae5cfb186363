"""An animated GIF, frame by frame, each with a palette of its own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import av
import av.container
import av.filter
import numpy as np
from av.error import FFmpegError
from torch import Tensor

from .clips import reason, url_of
from .errors import VideoError
from .files import open_regular, written_whole
from .variants import FPS


def is_own_gif(path: str | Path) -> bool:
    """Whether GifWriter wrote a file."""
    try:
        with open_regular(path) as file:
            file.seek(-len(_MARK), os.SEEK_END)
            return file.read() == _MARK
    except OSError:
        return False


_MARK = b"\x21\xfe\x0bMatrix-Game\0\x3b"  # a comment, and the end of a GIF


class _Nothing(Exception):
    """There is nothing to keep."""


class GifWriter:
    """Use it as a context manager; `VideoWriter`'s smaller sister. The file appears when it is closed, with the frames
    that were written until then. frames: how many it has. Raises VideoError where it cannot be written.
    """

    def __init__(self, path: str | Path, height: int, width: int, fps: int = FPS) -> None:
        self.path = Path(path)
        self.frames = 0
        self._size = (height, width)
        self._closed = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._whole = written_whole(self.path)
            self._part = self._whole.__enter__()
            self._container = av.open(url_of(self._part), "w", format="gif")
            self._stream = self._container.add_stream("gif", rate=fps)
            self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "pal8"
            self._graph = self._palettes()
        except (OSError, FFmpegError) as error:
            raise VideoError(
                f"{self.path} cannot be written ({reason(error)}); check the folder and free space."
            ) from None

    def write(self, frames: Tensor | np.ndarray) -> None:
        """Append frames [N, H, W, 3] of 8 bits."""
        array = frames.numpy() if isinstance(frames, Tensor) else frames
        try:
            for picture in array:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = self.frames, 1 / self._stream.average_rate  # type: ignore[operator]
                self._graph.push(frame)
                self._container.mux(self._stream.encode(self._graph.pull()))  # type: ignore[arg-type]
                self.frames += 1
        except (OSError, FFmpegError) as error:
            raise VideoError(f"Writing {self.path} stopped at frame {self.frames} ({reason(error)}).") from None

    def cut(self) -> None:
        """Nothing to do: no frame of a GIF depends on an encoder's past."""

    def close(self) -> None:
        """Finish the file; without a frame there is none."""
        if self._closed:
            return
        self._closed = True
        if not self.frames:
            with suppress(FFmpegError, OSError):
                self._container.close()
            with suppress(_Nothing):
                self._whole.__exit__(_Nothing, _Nothing(), None)
            return
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
            raise VideoError(f"{self.path} could not be finished ({reason(error)}).") from None

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

    def __enter__(self) -> GifWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except VideoError:
            if error is None:
                raise
