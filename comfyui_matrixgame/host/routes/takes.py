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
from ..files import world_folder
from .requests import read_object

log = logging.getLogger(__name__)

TAKEN = "matrixgame.take"  # the event that hands a take to the page
FOLDER = "takes"  # in output/matrixgame
REMEMBERED = 16  # takes for pages that come back
_ended: OrderedDict[str, dict[str, Any]] = OrderedDict()  # by the token of their session


def add_routes(runs: Callable[[str], bool]) -> None:
    """Offer takes to a page that was away when its session ended. runs: whether a token's session still does."""

    async def take(request: web.Request) -> web.Response:
        """{token} -> {state: "playing" | "over" | "unknown"}, with node and timeline where one is over."""
        token = (await read_object(request)).get("token")
        if not isinstance(token, str):
            raise web.HTTPBadRequest(text="A session is asked for by its token.")
        if runs(token):
            return web.json_response({"state": "playing"})
        ended = _ended.get(token)
        return web.json_response({"state": "unknown"} if ended is None else {"state": "over", **ended})

    PromptServer.instance.routes.post("/matrixgame/take")(take)


def keep(take: Take, saves: TakeSaves, token: str, node_id: str, page: str | None) -> str | None:
    """Hand a take to the page, whatever ended its session, and write all of it to disk; returns the file's name in the
    output folder, or None where there is nothing to keep or no room for it. saves: those of the way to here."""
    if not take.blocks and not take.branches:
        return None
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
        return str(path.relative_to(folder_paths.get_output_directory()))
    except (OSError, MatrixGameError) as error:
        log.warning("Live Play: the take could not be written (%s); the page has it.", error)
        return None


def free_file() -> Path:
    """Where the next take is written. Raises OSError."""
    folder = world_folder() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(path.stem[5:]) for path in folder.glob("take_*.json") if path.stem[5:].isdigit()]
    return folder / f"take_{max(numbers, default=0) + 1:05}.json"
