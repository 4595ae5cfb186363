"""Reading videos with PyAV: what people film, record and download, frame by frame, as it is shown."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.container
import numpy as np
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import ImageError, VideoError
from ..system.files import check_regular, open_regular
from ..system.kinds import HEAD, kind_of
from ..system.words import counted
from ..variants import FPS
from .cut_short import is_cut_short
from .fitting import HEIGHT, WIDTH
from .high_range import is_high_range, to_standard_range
from .interlaced import deinterlace

Note = Callable[[str], object] | None
UNEVEN = 0.1  # of the usual time between frames: more is a variable rate
WIDEST_PIXEL = 4  # times its height
MOST_PIXELS = 40_000_000  # of a frame: 8K has 33 million
# no lists of other files (HLS, concat), no devices, no addresses
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,h264,hevc,ivf,m4v,mjpeg,mxf,dv,obu,y4m"
_EVEN = ("avi", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "obu", "yuv4mpegpipe", "dv")  # that have a rate, no times
_STILLS = ("an AVIF picture", "an HEIC picture")  # in the container of films
_FILMS = ("a video", "a Matroska or WebM video", "an AVI video", "an Ogg file", "a GIF picture")
_READING = {"format_whitelist": f"{_CONTAINERS},yuv4mpegpipe", "protocol_whitelist": "file"}


def read_video(path: str | Path, first: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
    """Frames [H, W, 3] of 8 bits of a video, from frame `first` on, as they are shown: turned as the file says, with
    square pixels, and all of the size of the first. Raises VideoError."""
    last = None if count is None else first + count
    for index, frame in enumerate(decode_frames(path)):
        if last is not None and index >= last:
            return
        if index >= first:
            yield frame.pixels()


@dataclass(frozen=True)
class Facts:
    """What a file says without being decoded. times: [frames] seconds at which frames come, from the first."""

    frames: int
    rate: float
    times: np.ndarray
    even: bool


def facts_of_video(path: str | Path) -> Facts:
    """Facts of a video. Raises VideoError."""
    with open_video(path) as container:
        stream = video_stream(container)
        assert stream is not None
        base = float(stream.time_base or 0)
        stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        rate = float(stream.average_rate or FPS)
    count = len(stamps)
    times = np.array(sorted(stamp for stamp in stamps if stamp is not None), float) * base
    if len(times) < count or not base:
        return Facts(count, rate, np.arange(count) / rate, True)
    times = times - times[0] if count else times
    steps = np.diff(times)
    if len(steps) and np.median(steps) > 0:
        rate = float(1 / steps.mean())
    even = not len(steps) or bool((abs(steps - np.median(steps)) <= UNEVEN * np.median(steps) + 2 * base).all())
    return Facts(count, rate, times, even)


@contextlib.contextmanager
def open_video(path: str | Path) -> Iterator[av.container.InputContainer]:
    """A video file opened for reading; whatever goes wrong with it meanwhile is a VideoError that names it."""
    name, kind = Path(path).name, ""
    try:
        check_regular(path)
        kind = _kind_of(path)
        with av.open(ffmpeg_url(path), options=_READING, **_lenient()) as container:
            stream = video_stream(container)
            if stream is None or (kind in _STILLS and stream.frames < 2):
                raise VideoError(
                    f"{name} {'is ' + kind if kind in _STILLS else 'has no moving pictures'}; use a video file."
                )
            _check_pixels(stream.width * stream.height, name)
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            yield container
    except (VideoError, ImageError):
        raise
    except FileNotFoundError:
        raise VideoError(f"There is no video {path!s}; check the path.") from None
    except MemoryError:
        raise VideoError(f"{name} needs more memory than there is; make its pictures smaller.") from None
    except Exception as error:  # a demuxer or decoder may say anything
        if kind and kind not in _FILMS:
            raise VideoError(f"{name} is {kind}, which is not read as a clip; use a video file such as .mp4.") from None
        raise VideoError(f"{name} cannot be read as a video ({error_reason(error)}).") from None


def _lenient() -> dict[str, Any]:
    """What lets PyAV open a film whose texts are not UTF-8. From 19 on it reads them as they are, and knows no word for
    that any more."""
    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def video_stream(container: av.container.InputContainer) -> VideoStream | None:
    """The stream of moving pictures: neither the cover of a sound, nor the still that stands for a moving AVIF."""
    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return max(films, key=lambda stream: stream.frames, default=None)


def _kind_of(path: str | Path) -> str:
    with open_regular(path) as file:
        return kind_of(file.read(HEAD))


def ffmpeg_url(path: str | Path) -> str:
    """A path for FFmpeg, which takes what stands before a colon for a protocol."""
    return f"file:{path}"


def error_reason(error: BaseException) -> str:
    """What a system or FFmpeg says."""
    return getattr(error, "strerror", None) or str(error)


@dataclass(frozen=True)
class _Frame:
    """A decoded frame, and the size that frames of its clip have before they are turned. at: the second at which it is
    shown, where the file says it. duration: in seconds. transfer, primaries: of its colours, as H.273 numbers them."""

    decoded: VideoFrame
    height: int
    width: int
    at: float | None
    duration: float
    transfer: int
    primaries: int

    def pixels(self) -> np.ndarray:
        """[H, W, 3] of 8 bits, as it is shown."""
        frame = self.decoded
        if (frame.height, frame.width) != (self.height, self.width):
            frame = frame.reformat(width=self.width, height=self.height)
        if is_high_range(self.transfer):
            picture = to_standard_range(
                np.asarray(frame.to_ndarray(format="rgb48le"), np.uint16), self.transfer, self.primaries
            )
        else:
            picture = frame.to_ndarray(format="rgb24")
        return _turned(picture, self.decoded.side_data.get("DISPLAYMATRIX"))


def _turned(picture: np.ndarray, matrix: SideData | None) -> np.ndarray:
    """A picture turned and mirrored as its side data says: 9 numbers, of which [[0, 1], [3, 4]] are x', y' from x and
    y from x, y. A turn by another angle than a right one is left alone."""
    if matrix is None or matrix.buffer_size < 36:
        return picture
    numbers = struct.unpack("9i", bytes(matrix)[:36])
    xx, xy, yx, yy = (numbers[index] for index in (0, 1, 3, 4))
    if xx and yy and not (xy or yx):
        turned = picture[:: -1 if yy < 0 else 1, :: -1 if xx < 0 else 1]
    elif xy and yx and not (xx or yy):
        turned = picture.swapaxes(0, 1)[:: -1 if xy < 0 else 1, :: -1 if yx < 0 else 1]
    else:
        return picture
    return np.ascontiguousarray(turned)


def decode_frames(path: str | Path, note: Note = None) -> Iterator[_Frame]:
    """The frames of a video in the order in which they are shown. note: called with a sentence where the file is not
    whole. Raises VideoError."""
    size: tuple[int, int] | None = None
    end, count, damaged = 0.0, 0, False
    with open_video(path) as container:
        stream = video_stream(container)
        assert stream is not None  # `open_video` has looked
        even, pace = container.format.name in _EVEN, 1 / float(stream.average_rate or FPS)
        colours = stream.codec_context
        for frame in deinterlace(container.decode(stream)):
            if size is None:
                shape = stream.codec_context.sample_aspect_ratio  # of a pixel
                wide = float(shape) if shape and WIDEST_PIXEL >= shape >= 1 / WIDEST_PIXEL else 1
                size = frame.height, max(1, round(frame.width * wide))
            at, duration = _when(frame, None if even else frame.time, pace)
            count, damaged = count + 1, damaged or frame.is_corrupt
            end = max(end, (count * pace if at is None else at) + duration)
            yield _Frame(frame, *size, at, duration, int(colours.color_trc or 0), int(colours.color_primaries or 0))
        if note and count and (damaged or is_cut_short(path, container, stream, end, pace)):
            what = f"{Path(path).name} is damaged or cut short"
            note(f"{what}; what can be decoded of it is used: {counted(count, 'frame')}")


def _when(frame: VideoFrame, at: float | None, pace: float) -> tuple[float | None, float]:
    """The second at which a frame is shown, and for how long."""
    base = float(frame.time_base or 0)
    return at, frame.duration * base if at is not None and frame.duration and base else pace


def _check_pixels(pixels: int, name: str) -> None:
    if pixels > MOST_PIXELS:
        raise VideoError(
            f"{name} has frames of {pixels / 1e6:.0f} million pixels; make them smaller: {WIDTH}x{HEIGHT} is all that "
            "is used."
        )
