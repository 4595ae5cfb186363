"""Reading videos with PyAV: what people film, record and download, frame by frame, as it is shown.

A clip that a world goes on from has 25 frames a second, whatever the file has: those of other rates are resampled by
the times of their frames, and `Clip` says so.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import av
import av.container
import numpy as np
import torch
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from ..actions.resample import nearest, spread
from ..actions.track import ActionTrack
from ..errors import ImageError, VideoError
from ..system.files import check_regular, open_regular
from ..system.kinds import HEAD, kind_of
from ..system.words import counted
from ..variants import FPS, blocks_of_frames, frames_of_blocks
from .cut_short import is_cut_short
from .high_range import is_high_range, plain
from .images import HEIGHT, WIDTH, fit_image, image_tensor
from .interlaced import deinterlaced

T = TypeVar("T")
Note = Callable[[str], object] | None

MOST_CLIP_FRAMES = frames_of_blocks(42)  # 20 s; a generator sees far less of what came before
WIDEST_PIXEL = 4  # times its height
MOST_PIXELS = 40_000_000  # of a frame: 8K has 33 million
# no lists of other files (HLS, concat), no devices, no addresses
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,h264,hevc,ivf,m4v,mjpeg,mxf,dv,obu,y4m"
_EVEN = ("avi", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "obu", "yuv4mpegpipe", "dv")  # that have a rate, no times
_STILLS = ("an AVIF picture", "an HEIC picture")  # in the container of films
_FILMS = ("a video", "a Matroska or WebM video", "an AVI video", "an Ogg file", "a GIF picture")
_READING = {"format_whitelist": f"{_CONTAINERS},yuv4mpegpipe", "protocol_whitelist": "file"}


@dataclass(frozen=True)
class Clip:
    """A clip to go on from. pixels: [3, N, H, W] in [-1, 1], 25 frames a second. name: of the file. frames: how many
    the file has. rate: its frames a second. exact: whether each of its frames is one of the N."""

    pixels: Tensor
    name: str
    frames: int
    rate: float
    exact: bool

    @property
    def count(self) -> int:
        """N"""
        return self.pixels.shape[1]

    @property
    def blocks(self) -> int:
        """Blocks of a world that the clip fills; raises ImageError where it is not 9 + 12k frames long."""
        return blocks_of_clip(self.name, self.count)

    def rows(self, track: ActionTrack, note: Callable[[str], object]) -> ActionTrack:
        """The inputs that belong to the clip, a row for each of the N frames. note: called with a sentence where they
        are resampled or not all used."""
        count, track = self.count, self._resampled(track, note)
        if len(track) > count + 1:
            note(
                f"{self.name} has {counted(count, 'frame')} and its inputs {counted(len(track), 'row')}; the first "
                f"{count - 1} are used"
            )
        return track

    def _resampled(self, track: ActionTrack, note: Callable[[str], object]) -> ActionTrack:
        """Rows that were written down for each frame of the file follow the frames."""
        if self.exact or abs(len(track) - self.frames) > 1 or self.frames == self.count:
            return track
        note(f"its inputs have a row for each of {self.frames} frames, and are resampled with them")
        mouse = None if track.mouse is None else spread(track.mouse.astype(np.float64), self.rate).clip(-1, 1)
        keyboard = nearest(track.keyboard, self.rate)
        return ActionTrack(track.variant, keyboard, None if mouse is None else mouse.astype(np.float32))


def read_video(path: str | Path, first: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
    """Frames [H, W, 3] of 8 bits of a video, from frame `first` on, as they are shown: turned as the file says, with
    square pixels, and all of the size of the first. Raises VideoError."""
    last = None if count is None else first + count
    for index, frame in enumerate(_frames(path)):
        if last is not None and index >= last:
            return
        if index >= first:
            yield frame.pixels()


def read_clip(path: str | Path, height: int, width: int, note: Note = None) -> Clip:
    """A clip to go on from, each frame cut and resized as it comes. note: called with a sentence where the file is
    not whole. Raises VideoError and ImageError."""
    name, steps, fitted = Path(path).name, Resampler(MOST_CLIP_FRAMES), []
    for frame in _frames(path, note):
        fitted += steps.put(fit_image(image_tensor(frame.pixels()), height, width), frame.at, frame.duration)
        _check_length(len(fitted), name)
    fitted += steps.end()
    _check_length(len(fitted), name)
    if not fitted:
        raise VideoError(f"{name} has no frames that can be decoded; is the file complete?")
    used = len(fitted) if steps.exact else frames_of_blocks(blocks_of_frames(len(fitted)))
    pixels = torch.stack(fitted[: used or len(fitted)], dim=1)
    return Clip(pixels, name, steps.frames, steps.rate, steps.exact)


def clip_frames(path: str | Path, note: Note = None) -> tuple[int, float, bool]:
    """Frames of a clip at 25 a second, as `read_clip` finds them, its own rate, and whether it is exact. All of it is
    decoded, and nothing kept. note: as there. Raises VideoError and ImageError."""
    name, steps, count = Path(path).name, Resampler(MOST_CLIP_FRAMES), 0
    for frame in _frames(path, note):
        count += len(steps.put(None, frame.at, frame.duration))
        _check_length(count, name)
    count += len(steps.end())
    _check_length(count, name)
    return count, steps.rate, steps.exact


def blocks_of_clip(name: str, frames: int) -> int:
    """Blocks that a clip of so many frames fills; raises ImageError where it is not 9 + 12k."""
    blocks = blocks_of_frames(frames)
    if blocks < 1 or frames != frames_of_blocks(blocks):
        fitting = frames_of_blocks(max(1, blocks))
        raise ImageError(
            f"{name} has {counted(frames, 'frame')}; a clip needs 9 + 12k to be continued, such as {fitting}."
        )
    return blocks


class Resampler(Generic[T]):
    """Pictures at their times -> pictures at 25 a second: what is on screen in the middle of each 25th.

    most: pictures after which it makes only one more. frames: how many were put in. exact: whether each of them came
    out once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.frames, self.exact = 0, True
        self._made = 0
        self._start: float | None = None
        self._picture: T | None = None
        self._at, self._until = 0.0, 0.0

    @property
    def rate(self) -> float:
        """Frames a second of what was put in."""
        return self.frames / self._until if self._until > 0 else float(FPS)

    def put(self, picture: T, at: float | None, duration: float) -> list[T]:
        """The next picture, shown from second `at` on, or right after the one before; returns what comes before it."""
        if self._start is None:
            self._start = at or 0.0
        begin = self._until if at is None else max(self._at, at - self._start)
        before = self._shown_until(begin) if self.frames else []
        self.frames += 1
        self._picture, self._at, self._until = picture, begin, begin + duration
        return before

    def end(self) -> list[T]:
        """The rest."""
        return self._shown_until(self._until) if self.frames else []

    def _shown_until(self, second: float) -> list[T]:
        shown: list[T] = []
        while (self._made + 0.5) / FPS < second and self._made <= self.most:
            self._made += 1
            shown.append(self._picture)  # type: ignore[arg-type]
        self.exact &= len(shown) == 1
        return shown


def _check_length(frames: int, name: str) -> None:
    if frames > MOST_CLIP_FRAMES:
        raise ImageError(
            f"{name} is longer than {MOST_CLIP_FRAMES} frames ({MOST_CLIP_FRAMES / FPS:.0f} s), the most that can be "
            "continued; cut out its end, which is all that the next frames depend on."
        )


@contextlib.contextmanager
def open_video(path: str | Path) -> Iterator[av.container.InputContainer]:
    """A video file opened for reading; whatever goes wrong with it meanwhile is a VideoError that names it."""
    name, kind = Path(path).name, ""
    try:
        check_regular(path)
        kind = _kind_of(path)
        with av.open(url_of(path), options=_READING, metadata_errors="replace") as container:
            stream = film_of(container)
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
        raise VideoError(f"{name} cannot be read as a video ({reason(error)}).") from None


def film_of(container: av.container.InputContainer) -> VideoStream | None:
    """The stream of moving pictures: neither the cover of a sound, nor the still that stands for a moving AVIF."""
    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return max(films, key=lambda stream: stream.frames, default=None)


def _kind_of(path: str | Path) -> str:
    with open_regular(path) as file:
        return kind_of(file.read(HEAD))


def url_of(path: str | Path) -> str:
    """A path for FFmpeg, which takes what stands before a colon for a protocol."""
    return f"file:{path}"


def reason(error: BaseException) -> str:
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
            picture = plain(np.asarray(frame.to_ndarray(format="rgb48le"), np.uint16), self.transfer, self.primaries)
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


def _frames(path: str | Path, note: Note = None) -> Iterator[_Frame]:
    size: tuple[int, int] | None = None
    end, count, damaged = 0.0, 0, False
    with open_video(path) as container:
        stream = film_of(container)
        assert stream is not None  # `open_video` has looked
        even, pace = container.format.name in _EVEN, 1 / float(stream.average_rate or FPS)
        colours = stream.codec_context
        for frame in deinterlaced(container.decode(stream)):
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
