"""Interlaced films, as cameras and television have them: two half pictures of two moments in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av.filter
from av.error import BlockingIOError as NotYet
from av.error import EOFError as AtEnd
from av.video.frame import VideoFrame

_DEINTERLACE = ("yadif", "mode=send_frame:deint=interlaced")  # a frame for a frame


def deinterlace(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """As many frames, without combs where something moves. Those before the first interlaced one are not touched."""
    graph: av.filter.Graph | None = None
    shape: tuple[object, ...] = ()
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        now = (frame.width, frame.height, frame.format.name, frame.time_base)
        if graph is None or now != shape:
            if graph is not None:
                yield from _rest(graph)
            graph, shape = _graph(frame), now
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        yield from _rest(graph)


def _graph(frame: VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    middle, sink = graph.add(*_DEINTERLACE), graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph


def _ready(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (NotYet, AtEnd):
            return
        assert isinstance(frame, VideoFrame)
        yield frame


def _rest(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    graph.push(None)
    yield from _ready(graph)
