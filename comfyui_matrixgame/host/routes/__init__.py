"""What the browser asks the pack for, beside ComfyUI's own routes. What answers is imported when somebody asks."""

# pyright: reportMissingImports=false

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

from aiohttp import web

from ...play import ROUTE

log = logging.getLogger(__name__)
ROUTES = (
    ("GET", "/matrixgame/cache", "panel", "list_all"),
    ("GET", "/matrixgame/cache/{project}/thumbnail", "panel", "thumbnail"),
    ("POST", "/matrixgame/cache/{project}/free", "panel", "free"),
    ("POST", "/matrixgame/cache/{project}/forget", "panel", "forget"),
    ("POST", "/matrixgame/strip", "strip", "states"),
    ("GET", "/matrixgame/cache/{project}/frame/{key}", "blocks", "frame"),
    ("GET", "/matrixgame/cache/{project}/frames/{key}", "blocks", "sheet"),
    ("POST", "/matrixgame/inputs/read", "files", "upload_inputs_file"),
    ("POST", "/matrixgame/inputs/write", "files", "write_inputs_file"),
    ("POST", "/matrixgame/result", "files", "result"),
    ("GET", "/matrixgame/variants", "variants", "variants"),
    ("GET", ROUTE, "player", "socket"),
    ("POST", "/matrixgame/take", "player", "take"),
    ("GET", "/matrixgame/doctor", "doctor", "doctor"),
)
"""Method, path, and which function of which file here answers."""


def add_routes() -> None:
    """Offer them; once, before the server starts."""
    from server import PromptServer  # ComfyUI's; files of this folder are read without it too

    _look_for_another_copy(PromptServer.instance.routes)
    for method, path, module, name in ROUTES:
        PromptServer.instance.routes.route(method, path)(_later(module, name))


def _later(module: str, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await getattr(import_module(f".{module}", __name__), name)(request)

    return handler


def _look_for_another_copy(routes: web.RouteTableDef) -> None:
    """Say where this pack is installed twice: the page would reach the routes of one and the sessions of the other."""
    for route in routes:
        if isinstance(route, web.RouteDef) and route.path == ROUTE:
            owner = getattr(route.handler, "__self__", None)  # a method in versions before 0.2
            other = Path(inspect.getfile(route.handler if owner is None else type(owner))).parents[3]
            here = Path(__file__).parents[3]
            log.error(
                "Matrix-Game is installed twice, in %s and in %s; Live Play and World Cache work in neither. Delete "
                "one of the two folders and start ComfyUI again.", other, here,
            )  # fmt: skip
