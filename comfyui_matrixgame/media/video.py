"""Frames to and from video files, a few at a time, with PyAV.

While it is written, an mp4 is fragmented, so that what is there plays even after a crash or on a full disk;
closing it rewrites the container (not the pictures) with the index in front.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import av.container
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from torch import Tensor

from ..errors import VideoError
from ..system.files import take_place
from ..system.stopping import finishing
from ..system.words import counted
from ..variants import FPS
from .frame_writer import FrameWriter
from .video_reader import error_reason, ffmpeg_url, open_video, read_video

FRAGMENTED = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
INDEX_IN_FRONT = {"movflags": "faststart"}
LONGEST_NAME = 255  # bytes
_BEGINS = "begins at frame "  # in front of the number, in the file's comment
_ENCODERS_MARKS = (b"x264", b" crf=18.0 ", b" keyint=25 ")  # in the first packet
ENCODER = {"crf": "18", "preset": "veryfast", "tune": "zerolatency", "g": "25"}  # a frame in, a packet out


class VideoWriter(FrameWriter):
    """H.264 in mp4, frame by frame. Use it as a context manager.

    keep: frames of a file at `path` that stay; the new ones follow them. frames: how many the file has now. begins:
    the frame of a longer video that is its first; it stays in the file, for `begins_at`. Raises VideoError where the
    file cannot be written, or has fewer frames than should stay, or is of another size.
    """

    def __init__(
        self, path: str | Path, height: int, width: int, fps: int = FPS, keep: int = 0, begins: int = 0
    ) -> None:
        self.path = Path(path)
        self._begins = begins
        self.frames = 0
        self._taken_over = False  # the file from before is still beside this one
        self._size = (height, width)
        self._part = part_of(self.path)
        self._container: av.container.OutputContainer | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            recover_frames(self.path)
            if keep:
                _check_kept(self.path, keep, height + height % 2, width + width % 2)
                take_place(self.path, self._part)
                self._taken_over = True
            _make_empty_file(self.path)
            try:
                self._begin(fps)
                if keep:
                    self._take_over(keep)
            except BaseException:
                self.abandon()
                if keep:
                    take_place(self._part, self.path)
                raise
            if not keep:
                self._part.unlink(missing_ok=True)
        except (OSError, FFmpegError) as error:
            raise VideoError(
                f"{self.path} cannot be written ({error_reason(error)}); check the folder and free space."
            ) from None

    def _begin(self, fps: int) -> None:
        self._container = container = av.open(ffmpeg_url(self.path), "w", format="mp4", options=FRAGMENTED)
        if self._begins:
            container.metadata["comment"] = f"{_BEGINS}{self._begins}"
        self._stream = container.add_stream("libx264", rate=fps, options=ENCODER)
        self._stream.height, self._stream.width = (side + side % 2 for side in self._size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, fps)
        self._encoder: VideoCodecContext = self._stream.codec_context

    def write(self, frames: Tensor | np.ndarray) -> None:
        """Append frames [N, H, W, 3] of 8 bits; a side of odd length repeats its last line."""
        array = frames.numpy() if isinstance(frames, Tensor) else frames
        if array.ndim != 4 or array.shape[1:] != (*self._size, 3):
            raise VideoError(
                f"Frames of shape {list(array.shape)} do not fit a video of {self._size[1]}x{self._size[0]}."
            )
        if self._container is None:
            raise VideoError(f"{self.path} is closed; open it again to add frames.")
        array = np.pad(array, ((0, 0), (0, self._size[0] % 2), (0, self._size[1] % 2), (0, 0)), mode="edge")
        try:
            for picture in array:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = self.frames, self._stream.codec_context.time_base
                self._mux(self._encoder.encode(frame))
                self.frames += 1
                self._let_go()
        except (OSError, FFmpegError) as error:
            raise VideoError(
                f"Writing {self.path} stopped at frame {self.frames} ({error_reason(error)}); what is there plays. "
                "Free some space and go on."
            ) from None

    def restart_encoder(self) -> None:
        """Begin with a new encoder: what follows no longer depends on what was written before."""
        if self._container is None or not self.frames:
            return
        self._container.start_encoding()
        self._mux(self._encoder.encode(None))
        like = self._stream.codec_context
        encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = like.width, like.height, like.pix_fmt
        encoder.time_base, encoder.framerate, encoder.options = like.time_base, like.framerate, dict(ENCODER)
        encoder.flags |= Flags.global_header  # the parameters are in front of the file, and are the same
        self._encoder = encoder

    @finishing()  # or the world would stand behind a film that is not the one of an undisturbed run
    def close(self) -> None:
        """Finish the file."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            try:
                self._mux(self._encoder.encode(None), container)
            finally:
                container.close()
            if self.frames:
                _rewrite(self.path, self._part)
        except (OSError, FFmpegError) as error:
            self.frames = count_frames(self.path)
            raise VideoError(
                f"{self.path} could not be finished ({error_reason(error)}); what is there plays."
            ) from None
        finally:
            self._part.unlink(missing_ok=True)

    def _let_go(self) -> None:
        """The file from before may go once a new frame was muxed: until then its last frame is in memory only."""
        if self._taken_over:
            self._taken_over = False
            self._part.unlink(missing_ok=True)

    def done(self) -> None:
        """Nothing lies beside the file once it is closed."""

    def abandon(self) -> None:
        """Let go of the file as it is; what is there plays."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(OSError, FFmpegError):
                container.close()

    def _mux(self, packets: list[Packet], container: av.container.OutputContainer | None = None) -> None:
        target = container or self._container
        assert target is not None
        for packet in packets:
            packet.stream = self._stream
        target.mux(packets)

    def _take_over(self, keep: int) -> None:
        """Put the first `keep` frames of the old file in front: as they are where the encoder agrees, else anew."""
        assert self._container is not None
        self._container.start_encoding()
        with open_video(self._part) as old:
            parameters = old.streams.video[0].codec_context.extradata
        if _same_parameters(parameters, self._stream.codec_context.extradata):
            for packet in itertools.islice(_packets(self._part), keep):
                part = Packet(_annex_b(bytes(packet)))
                part.is_keyframe = packet.is_keyframe
                part.stream = self._stream
                part.time_base = self._stream.codec_context.time_base
                part.pts = part.dts = self.frames
                part.duration = 1
                self._container.mux(part)
                self.frames += 1
        else:
            for picture in read_video(self._part, count=keep):
                self.write(picture[None, : self._size[0], : self._size[1]])


def playable_frames(path: str | Path) -> int:
    """How many frames of a video can be relied on, also after a kill in the middle of writing or taking over: all
    but the last, which may be cut short. 0 where there is none."""
    recover_frames(path)
    return max(0, count_frames(path) - 1)


def begins_at(path: str | Path) -> int:
    """The frame of a longer video with which a file of VideoWriter begins; 0 where it says none. Raises VideoError."""
    with open_video(path) as container:
        number = str(container.metadata.get("comment", "")).removeprefix(_BEGINS)
    return int(number) if number.isdecimal() else 0


def recover_frames(path: str | Path) -> None:
    """Give a video its frames back where a process was killed while it took them over."""
    part = part_of(path)
    if part.exists() and count_frames(part) > count_frames(path):
        take_place(part, path)


def part_of(path: str | Path) -> Path:
    """Where a video's frames are for a moment: a name that no download and no other program gives a file."""
    path = Path(path)
    name = f"{path.stem}.matrixgame{path.suffix}.part"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f"{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.matrixgame{path.suffix[:9]}.part"
    return path.with_name(name)


def is_own_video(path: str | Path) -> bool:
    """Whether a file is a video that VideoWriter wrote, whole or not, or one without any picture."""
    try:
        with open_video(path) as container:
            if len(container.streams) != 1 or "mp4" not in container.format.name:
                return False
            stream = container.streams.video[0]
            if stream.codec_context.name != "h264":
                return False
            first = next((bytes(packet) for packet in container.demux(stream) if packet.size), None)
    except VideoError:
        return False
    return first is None or all(mark in first for mark in _ENCODERS_MARKS)


def count_frames(path: str | Path) -> int:
    """How many whole frames a video has; 0 where there is none."""
    count = 0
    with suppress(VideoError):
        for packet in _packets(path):
            count += not packet.is_corrupt
    return count


def _packets(path: Path | str) -> Iterator[Packet]:
    with open_video(path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet


def _check_kept(path: Path, keep: int, height: int, width: int) -> None:
    with open_video(path) as container:
        codec = container.streams.video[0].codec_context
        have = (codec.height, codec.width)
    frames = count_frames(path)
    if have != (height, width):
        raise VideoError(f"{path.name} is {have[1]}x{have[0]} and cannot be continued; choose another name.")
    if frames < keep:
        raise VideoError(
            f"{path.name} has {counted(frames, 'frame')} and the world stands at frame {keep}; they do not belong "
            "together. Name another file to write what follows there, or delete both to begin again."
        )


def _same_parameters(in_file: bytes | None, of_encoder: bytes | None) -> bool:
    """Whether an mp4's H.264 parameter sets (its avcC record) are the ones an encoder writes (Annex B)."""
    if not in_file or not of_encoder or in_file[0] != 1 or in_file[4] & 3 != 3:  # lengths of 4 bytes
        return False
    length = int.from_bytes(in_file[6:8], "big")
    sequence, rest = in_file[8 : 8 + length], in_file[8 + length :]
    picture = rest[3 : 3 + int.from_bytes(rest[1:3], "big")]
    return sequence in of_encoder and picture in of_encoder


def _annex_b(packet: bytes) -> bytes:
    """An H.264 packet of an mp4, whose units have their length in front, as an encoder writes it. FFmpeg's filter for
    that would put the parameter sets into every keyframe, and the file would be another than one written at once."""
    units, at = [], 0
    while at + 4 <= len(packet):
        length = int.from_bytes(packet[at : at + 4], "big")
        units.append(packet[at + 4 : at + 4 + length])
        at += 4 + length
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def _make_empty_file(path: Path) -> None:
    """An empty file at `path`: FFmpeg would write through a link, and into every other name of the old file."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666))


def _rewrite(path: Path, part: Path) -> None:
    _make_empty_file(part)
    with (
        av.open(ffmpeg_url(path)) as source,
        av.open(ffmpeg_url(part), "w", format="mp4", options=INDEX_IN_FRONT) as target,
    ):
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        if comment := source.metadata.get("comment"):
            target.metadata["comment"] = comment
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    take_place(part, path)
