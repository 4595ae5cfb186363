"""Clips whose frames are known by their grey value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def numbered(count: int, height: int = 48, width: int = 64) -> Iterator[np.ndarray]:
    """Frames whose grey value is five times their number."""
    for number in range(count):
        yield np.full((height, width, 3), number * 5 % 250, np.uint8)


def write(
    path: Path,
    frames: Iterator[np.ndarray],
    times: Callable[[int], float] = lambda index: index / 25,
    codec: str = "libx264",
    rate: int = 25,
    shape: Fraction | None = None,
    **options: str,
) -> Path:
    """A clip whose frame i is shown from times(i) on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "1", **options} if codec != "mjpeg" else {})
        base = Fraction(1, 25 if codec.startswith("mpeg") or path.suffix == ".avi" else 1000)
        for index, picture in enumerate(frames):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
                stream.codec_context.time_base = base
                if shape is not None:
                    stream.codec_context.sample_aspect_ratio = shape
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(times(index) / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
