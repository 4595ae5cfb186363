"""Takes that the page lands in a timeline: told when a session ends, kept for a page that was away, and on disk."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web
from server import PromptServer

from ...actions.document import save_document
from ...errors import MatrixGameError
from ...play.saves import TakeSaves
from ...play.take import Take
from ..running.folders import why_not_written, world_folder
from .requests import read_object

log = logging.getLogger(__name__)

TAKEN = "matrixgame.take"  # the event that hands a take to the page
FOLDER = "takes"  # in output/matrixgame
REMEMBERED = 16  # takes for pages that come back
_ended: OrderedDict[str, dict[str, Any]] = OrderedDict()  # by the token of their session


async def answer(request: web.Request, runs: Callable[[str], bool]) -> web.Response:
    """{token} -> {state: "playing" | "over" | "unknown"}, with node and timeline where one is over: for a page that was
    away when its session ended. runs: whether a token's session still does."""
    token = (await read_object(request)).get("token")
    if not isinstance(token, str):
        raise web.HTTPBadRequest(text="A session is asked for by its token.")
    if runs(token):
        return web.json_response({"state": "playing"})
    ended = _ended.get(token)
    return web.json_response({"state": "unknown"} if ended is None else {"state": "over", **ended})


def keep_take(take: Take, saves: TakeSaves, token: str, node_id: str, page: str | None) -> str:
    """Hand a take to the page, whatever ended its session, and write all of it to disk; returns a sentence on
    where it is, empty where there is nothing to keep. saves: those of the way to here."""
    if not take.blocks and not take.branches:
        return ""
    timeline = take.timeline()
    message = {"node": node_id, "timeline": timeline.to_json(), "token": token}
    _ended[token] = message
    while len(_ended) > REMEMBERED:
        _ended.popitem(last=False)
    if page is not None:
        PromptServer.instance.send_sync(TAKEN, message, page)
    try:
        saves.close()
        path = saves.path or free_file()
        save_document(timeline, path)
        return f"The take is in {path.relative_to(folder_paths.get_output_directory())}"
    except (OSError, MatrixGameError) as error:
        why = why_not_written(error, world_folder() / FOLDER) if isinstance(error, OSError) else str(error)
        said = f"The take was handed to the page, and is in no file: {why}"
        log.warning("Live Play: %s", said)
        return said


def free_file() -> Path:
    """Where the next take is written. Raises OSError."""
    folder = world_folder() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(path.stem[5:]) for path in folder.glob("take_*.json") if path.stem[5:].isdigit()]
    return folder / f"take_{max(numbers, default=0) + 1:05}.json"
