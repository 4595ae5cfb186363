"""The pictures of stored blocks that the timeline shows: from the store, without a run.

A key names everything that a block was made from, so what it names never changes: a browser keeps it, and one that asks
whether it is still so gets no bytes.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from aiohttp import web
from torch import Tensor

from ...cache.projects import FRAMES, file_name, project_folder
from ...errors import MatrixGameError
from ..running.folders import cache_folder
from ..world_cache import open_caches
from .pictures import frame_picture, frames_of_file, frames_of_record, sheet_picture

FRAME_HEIGHT = 120
SHEET_HEIGHTS = (240, 480)  # the first one where nothing is said
_KEY = re.compile(r"[0-9a-f]{40}-[0-9a-f]{16}")
_KEPT = "private, max-age=31536000, immutable"


async def frame(request: web.Request) -> web.Response:
    """A JPEG of the frame in the middle of a block."""
    size = (4 * FRAME_HEIGHT, FRAME_HEIGHT)
    return await _answer(request, "frame", lambda frames: frame_picture(frames, len(frames) // 2, size))


async def sheet(request: web.Request) -> web.Response:
    """A JPEG of all frames of a block, one below the other. height: one of SHEET_HEIGHTS, the most that each has."""
    asked = request.query.get("height", str(SHEET_HEIGHTS[0]))
    if asked not in map(str, SHEET_HEIGHTS):
        raise web.HTTPBadRequest(text=f"The height is one of {', '.join(map(str, SHEET_HEIGHTS))}.")
    return await _answer(request, f"frames-{asked}", lambda frames: sheet_picture(frames, int(asked)))


async def _answer(request: web.Request, kind: str, draw: Callable[[Tensor], bytes]) -> web.Response:
    project, key = request.match_info["project"], request.match_info["key"]
    if not _KEY.fullmatch(key):
        raise web.HTTPNotFound(text=f"'{key[:80]}' is not the key of a block.")
    headers = {"Cache-Control": _KEPT, "ETag": f'"{key}-{kind}"'}
    if any(tag.value == f"{key}-{kind}" for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    picture = await asyncio.to_thread(_drawn, project, key, draw)
    return web.Response(body=picture, content_type="image/jpeg", headers=headers)


def _drawn(project: str, key: str, draw: Callable[[Tensor], bytes]) -> bytes:
    frames = frames_of_block(project, key)
    if frames is None:
        raise web.HTTPNotFound(text="There is no picture of this block.")
    return draw(frames)


def frames_of_block(project: str, key: str) -> Tensor | None:
    """The frames [N, H, W, 3] of a stored block: from memory, where a disk that is full left them, or from its file."""
    try:
        path = project_folder(cache_folder(), project) / file_name(FRAMES, key)
    except MatrixGameError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    cache = open_caches().get(project)
    record = None if cache is None else cache.in_memory(FRAMES, key)
    return frames_of_file(path) if record is None else frames_of_record(record)
