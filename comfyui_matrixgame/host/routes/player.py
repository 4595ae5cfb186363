"""The player's socket: the page finds the sessions that run by their tokens."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from server import PromptServer

from ...play.wire.hub import Hub
from ...play.wire.server import Sockets
from . import takes

BEGUN = "matrixgame.play"  # the event that tells the page of a session
_hubs: list[Hub] = []  # of the sessions that run: core runs one node at a time


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


_sockets = Sockets(_find)


async def socket(request: web.Request) -> web.StreamResponse:
    """The player's socket."""
    return await _sockets.handle(request)


async def take(request: web.Request) -> web.Response:
    """The take of a session that may have ended, for a page that was away."""
    return await takes.answer(request, lambda token: _find(token) is not None)
