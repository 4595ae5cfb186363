"""The player's socket: the page finds the sessions that run by their tokens."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hmac
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from server import PromptServer

from ...play.wire.hub import Hub
from ...play.wire.server import ROUTE, Sockets
from . import takes

log = logging.getLogger(__name__)

BEGUN = "matrixgame.play"  # the event that tells the page of a session
_hubs: list[Hub] = []  # of the sessions that run: core runs one node at a time


def add_routes() -> None:
    """Offer the player's socket, and the takes; once, before the server starts."""
    _look_for_another_copy()
    PromptServer.instance.routes.get(ROUTE)(Sockets(_find).handle)
    takes.add_routes(lambda token: _find(token) is not None)


def _look_for_another_copy() -> None:
    """Say where this pack is installed twice: the page would reach the routes of one and the sessions of the other."""
    for route in PromptServer.instance.routes:
        if isinstance(route, web.RouteDef) and route.path == ROUTE:
            other = Path(inspect.getfile(type(getattr(route.handler, "__self__", route.handler)))).parents[3]
            here = Path(__file__).parents[3]
            log.error(
                "Matrix-Game is installed twice, in %s and in %s; Live Play and World Cache work in neither. Delete "
                "one of the two folders and start ComfyUI again.", other, here,
            )  # fmt: skip


@contextmanager
def offered(hub: Hub, node_id: str, page: str | None) -> Iterator[None]:
    """Let players find a hub's session, and tell the page that asked for it."""
    _hubs.append(hub)
    try:
        if page is not None:
            PromptServer.instance.send_sync(BEGUN, {"node": node_id, "token": hub.token}, page)
        yield
    finally:
        _hubs.remove(hub)


def _find(token: str) -> Hub | None:
    return next((hub for hub in _hubs if hmac.compare_digest(hub.token.encode(), token.encode())), None)
