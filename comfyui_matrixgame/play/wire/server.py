"""The routes: one WebSocket for each player, and the player's page where there is no ComfyUI to serve it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError

from ...errors import MatrixGameError
from .. import ROUTE
from .clients import Client
from .hub import Hub
from .origin import is_loopback, name_of, same_origin
from .protocol import BAD_TOKEN, MAX_MESSAGE, TIMED_OUT, ProtocolError, read_message

HELLO_SECONDS = 5.0  # a socket that says nothing for so long is closed
HEARTBEAT = 10.0  # seconds between pings; a client that does not answer is lost
STRANGERS = 32  # sockets that have not said hello yet; one more takes the place of the oldest of the busiest address
RATE, BURST = 120, 240  # messages a second of the player, and at once; a player who sends more is read more slowly
WATCHER_RATE, WATCHER_BURST = 10, 20  # of a client that only watches, and acknowledges six batches a second
REFUSE_SECONDS = 1.0  # that a stranger waits for a refusal, so that guessing costs more than being guessed at
PAGE = Path(__file__).parents[3] / "web"

FindHub = Callable[[str], Hub | None]


class Sockets:
    """Accepts sockets for the hub whose token they name."""

    def __init__(self, find: FindHub) -> None:
        self._find = find
        self._strangers: list[Stranger] = []  # the oldest first

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The route's handler."""
        if not same_origin(request):
            return web.Response(status=403, text="Pages of other sites may not open this.")
        socket = web.WebSocketResponse(compress=False, heartbeat=HEARTBEAT, max_msg_size=MAX_MESSAGE)
        stranger = Stranger(request.remote or "", request.transport)
        self._make_room()
        self._strangers.append(stranger)
        try:
            await socket.prepare(request)
            greeted = await self._greet(socket)
        except ProtocolError as error:
            await asyncio.sleep(REFUSE_SECONDS)
            await socket.close(code=error.code, message=str(error).encode()[:120])
            return socket
        except ConnectionError:
            return socket  # it went before it was greeted
        finally:
            if stranger in self._strangers:
                self._strangers.remove(stranger)
        if greeted is not None:
            await self._serve(socket, *greeted)
        return socket

    def _make_room(self) -> None:
        """Players say hello at once: whoever is silent for longest leaves first, so that nobody keeps them out."""
        if len(self._strangers) < STRANGERS:
            return
        sockets = Counter(stranger.address for stranger in self._strangers)
        oldest = max(self._strangers, key=lambda stranger: sockets[stranger.address])  # the first of equals
        self._strangers.remove(oldest)
        if oldest.transport is not None:
            oldest.transport.abort()

    async def _greet(self, socket: web.WebSocketResponse) -> tuple[Hub, str] | None:
        """The hub that a stranger may join, and how it wants to be sent frames."""
        try:
            message = await socket.receive(timeout=HELLO_SECONDS)
        except asyncio.TimeoutError:
            raise ProtocolError("Nothing was said.", TIMED_OUT) from None
        if message.type != WSMsgType.TEXT:
            return None
        kind, hello = read_message(message.data)
        hub = self._find(hello["token"]) if kind == "hello" else None
        if hub is None:
            raise ProtocolError("This is not the token of a session that is open.", BAD_TOKEN)
        return hub, hello["frames"]

    async def _serve(self, socket: web.WebSocketResponse, hub: Hub, form: str) -> None:
        client = Client(socket, form)
        playing, watching = Bucket(RATE, BURST), Bucket(WATCHER_RATE, WATCHER_BURST)
        try:
            hub.join(client)
            async for message in socket:
                await (playing if client is hub.controller else watching).take()
                if message.type == WSMsgType.TEXT:
                    kind, content = read_message(message.data)
                    hub.receive(client, kind, dict(content))
                elif message.type == WSMsgType.BINARY:
                    hub.receive_part(client, message.data)
                else:
                    raise ProtocolError("This is no message.")
        except ProtocolError as error:
            await socket.close(code=error.code, message=str(error).encode()[:120])
        finally:
            hub.leave(client)


@dataclass(frozen=True, eq=False)
class Stranger:
    """A socket that has not said hello yet."""

    address: str
    transport: asyncio.WriteTransport | None


class Bucket:
    """Lets so many messages through a second, and some at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = burst, clock()

    def wait_for(self) -> float:
        """Take one; returns the seconds to wait before it may be used."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._left / self._rate)

    async def take(self) -> None:
        """Take one, when there is one."""
        seconds = self.wait_for()
        if seconds:
            await asyncio.sleep(seconds)


def one_hub(hub: Hub) -> FindHub:
    """The hub for whoever knows its token."""
    return lambda token: hub if hmac.compare_digest(token.encode(), hub.token.encode()) else None


def make_app(hub: Hub, host: str) -> web.Application:
    """The player's page and its socket, for one session. On loopback, requests for other names are refused: a page
    elsewhere could have had its name point here."""

    @web.middleware
    async def known_host(request: web.Request, handler: Callable) -> web.StreamResponse:
        if is_loopback(host) and not is_loopback(name_of(request.host)):
            return web.Response(status=403, text="This server answers to localhost only.")
        response = await handler(request)
        if not response.prepared:
            response.headers["Cache-Control"] = "no-cache"
        return response

    async def index(_: web.Request) -> web.StreamResponse:
        # relative, for a proxy that serves this below a path; a browser takes what is behind the # along
        raise web.HTTPFound("web/player/index.html")

    app = web.Application(client_max_size=MAX_MESSAGE, middlewares=[known_host])
    app.router.add_get("/", index)
    app.router.add_get(ROUTE, Sockets(one_hub(hub)).handle)
    for folder in ("player", "timeline", "script", "model"):
        app.router.add_static(f"/web/{folder}", page_folder() / folder)
    return app


def server_log() -> logging.Logger:
    """The log of aiohttp's server, without invalid requests and clients that are gone: port scanners send those, and
    each would fill a page with its code."""
    log = logging.getLogger(f"{__name__}.requests")
    if not log.filters:
        log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)


def page_folder() -> Path:
    """Where the page's modules lie; raises MatrixGameError where they were not installed."""
    if not (PAGE / "player" / "index.html").exists():
        raise MatrixGameError(
            "The player's page is not beside the package; run `matrixgame play` from a copy of the repository, "
            "installed with `pip install -e .`."
        )
    return PAGE
