"""Whether a film is what is left of a longer one: a download that broke off, a disk that was full, a copied piece.

Of a transport stream that ends between two packets it cannot be known: it is made to be joined and left anywhere, says
no length and has no end; its counters and times are whole up to the last packet, and pictures and sound stop together
as where a film ends.
"""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

_PACKETS = (188, 192, 204)  # bytes of a transport stream's, with what players and broadcasters add
_FRAMES = 2.5  # that may be missing: files round their times


def is_cut_short(path: str | Path, container: InputContainer, stream: VideoStream, end: float, pace: float) -> bool:
    """Whether a film says that it goes on, or its last packet is not whole. end: the second at which its last frame
    that can be decoded ends. pace: seconds of a frame."""
    if container.format.name == "mpegts":
        size = Path(path).stat().st_size
        return all(size % packet for packet in _PACKETS)
    said = _duration(container, stream)
    return said is not None and said - end > _FRAMES * pace


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    """The seconds that a file says its pictures last; None where it says nothing about them."""
    if "matroska" in container.format.name:  # where a stream says it in a tag, and the file for all of them
        tags = {name.upper().partition("-")[0]: text for name, text in stream.metadata.items()}
        if (seconds := _seconds(tags.get("DURATION", ""))) is not None:
            return seconds
        return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None
    if stream.duration is None or not stream.time_base:
        return None
    return float(stream.duration * stream.time_base)


def _seconds(text: str) -> float | None:
    """00:01:02.5 as seconds."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds
