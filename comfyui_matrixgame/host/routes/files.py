"""Files that the timeline opens and saves: inputs in any format, and what was made of them as pictures."""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web

from ...actions.document import Timeline
from ...actions.formats.exporters import KINDS, TEXTS, write_actions
from ...actions.named_scripts import plain_name
from ...actions.read import read_file, read_text
from ...errors import MatrixGameError
from ...variants import VARIANTS
from .pictures import KINDS_OF_RESULT, result_picture
from .requests import own_page, read_object
from .strip import stored_frames

LARGEST = 32 << 20  # bytes of a file of inputs
WRITTEN = ("timeline", *TEXTS, "npz")


async def upload_inputs_file(request: web.Request) -> web.Response:
    """A file of inputs as the body, ?name=, &variant= -> {timeline, kind, notes}."""
    own_page(request)
    if request.content_type != "application/octet-stream":
        raise web.HTTPUnsupportedMediaType(text="Send the file's bytes, with Content-Type: application/octet-stream.")
    name, variant = Path(request.query.get("name", "")), request.query.get("variant")
    name = plain_name(name.stem)[:60] + re.sub(r"[^\w.]", "", name.suffix)[:20]  # such as every system takes
    if variant not in VARIANTS:
        raise web.HTTPBadRequest(text=f"There is no variant '{str(variant)[:80]}'.")
    body = bytearray()
    async for part in request.content.iter_chunked(1 << 16):
        body += part
        if len(body) > LARGEST:
            raise web.HTTPBadRequest(text=f"{name} has more than {LARGEST >> 20} MiB, which no input needs.")
    return web.json_response(await _answer(_opened, name, bytes(body), variant))


def _opened(name: str, body: bytes, variant: str) -> dict[str, Any]:
    """What a file says, as a timeline. It is read from a folder of its own, as its ending tells what it may be."""
    with tempfile.TemporaryDirectory(prefix="matrixgame_") as folder:
        path = Path(folder) / name
        path.write_bytes(body)
        loaded = read_file(path, variant)
    timeline = loaded.timeline or Timeline.from_track(loaded.track)
    return {"timeline": timeline.to_text(), "kind": loaded.kind, "notes": list(loaded.notes)}


async def write_inputs_file(request: web.Request) -> web.Response:
    """{script, variant, kind: one of WRITTEN} -> the file."""
    asked = await read_object(request)
    body = await _answer(_saved, str(asked.get("script")), str(asked.get("variant")), str(asked.get("kind")))
    return web.Response(body=body, content_type="application/octet-stream")


def _saved(script: str, variant: str, kind: str) -> bytes:
    if kind not in WRITTEN:
        raise web.HTTPBadRequest(text=f"There is no format '{kind[:80]}'; use one of {', '.join(WRITTEN)}.")
    loaded = read_text(script, variant)
    with tempfile.TemporaryDirectory(prefix="matrixgame_") as folder:
        path = Path(folder) / f"inputs{next((end for end, name in KINDS.items() if name == kind), '')}"
        write_actions(loaded.timeline, loaded.track, path, kind)
        return path.read_bytes()


async def result(request: web.Request) -> web.Response:
    """{node, script, variant, kind: one of KINDS_OF_RESULT} -> a picture of the blocks that are stored, up to the first
    that is not."""
    asked = await read_object(request)
    kind = str(asked.get("kind"))
    if kind not in KINDS_OF_RESULT:
        raise web.HTTPBadRequest(text=f"There is no picture '{kind[:80]}'; use one of {', '.join(KINDS_OF_RESULT)}.")
    node, script, variant = (str(asked.get(name)) for name in ("node", "script", "variant"))

    def draw() -> bytes | None:
        return result_picture(stored_frames(node, script, variant), kind)

    body = await _answer(draw)
    if body is None:
        raise web.HTTPNotFound(text="Nothing of this timeline is stored yet; run it with a World Cache on Roll Out.")
    return web.Response(body=body, content_type=KINDS_OF_RESULT[kind])


async def _answer(work: Any, *arguments: str | bytes) -> Any:
    try:
        return await asyncio.to_thread(work, *arguments)
    except MatrixGameError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    except OSError as error:
        raise web.HTTPBadRequest(text=f"The temporary folder cannot be used: {error.strerror or error}.") from None
