"""A player in Python, for tests of the route: every message is in its hands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from comfyui_matrixgame.play.pattern import TestPattern
from comfyui_matrixgame.play.session import Limits, Session
from comfyui_matrixgame.play.wire.hub import Hub
from comfyui_matrixgame.play.wire.protocol import VERSION
from comfyui_matrixgame.play.wire.server import ROUTE, make_app

SOON = 20.0  # seconds: what does not come within them does not come


class Playing:
    """A session of the test pattern behind a server, for one test."""

    def __init__(self, server: TestServer, hub: Hub, session: Session) -> None:
        self.server, self.hub, self.session = server, hub, session
        self.http = aiohttp.ClientSession()

    async def socket(self, **options: Any) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(self.server.make_url(ROUTE), max_msg_size=2**24, **options)

    async def join(self, **options: Any) -> Remote:
        remote = Remote(await self.socket(**options))
        await remote.say("hello", version=VERSION, token=self.hub.token)
        await remote.until("welcome")
        return remote


class Remote:
    """The other end of a socket. pictures: headers of the batches seen, with their JPEG files. heard: the JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.pictures: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.acknowledges = True

    async def say(self, kind: str, **content: Any) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **content}))

    async def next(self) -> dict[str, Any]:
        """The next message; pictures come as their header."""
        message = await asyncio.wait_for(self.socket.receive(), SOON)
        if message.type == aiohttp.WSMsgType.BINARY:
            header = unpack(message.data)
            self.pictures.append(header)
            if self.acknowledges:
                await self.say("ack", batch=header["batch"])
            return header
        if message.type == aiohttp.WSMsgType.TEXT:
            self.heard.append(json.loads(message.data))
            return self.heard[-1]
        raise ConnectionError(f"closed with {self.socket.close_code}")

    async def until(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """Read on to a message of that type and content; `frames` is a batch of a block."""
        while True:
            message = await self.next()
            is_kind = "block" in message if kind == "frames" else message.get("type") == kind
            if is_kind and all(message.get(name) == value for name, value in wanted.items()):
                return message

    async def closed(self) -> int | None:
        """The code with which the server closes the socket."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self.next()
        return self.socket.close_code


def unpack(data: bytes) -> dict[str, Any]:
    (size,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + size])
    at, header["pictures"] = 4 + size, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        header["pictures"].append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return header


@contextlib.asynccontextmanager
async def playing(limits: Limits | None = None, seconds: float = 0.0) -> AsyncIterator[Playing]:
    """A server with a session of the test pattern; the session is stopped at the end."""
    hub = Hub(asyncio.get_running_loop())
    session = Session(TestPattern(size=(64, 96), seconds=seconds), hub.listen, limits=limits or Limits(1e9, 1e9))
    hub.session = session
    thread = threading.Thread(target=session.run)
    thread.start()
    server = TestServer(make_app(hub, "127.0.0.1"))
    await server.start_server()
    here = Playing(server, hub, session)
    try:
        yield here
    finally:
        session.stop()
        await here.http.close()
        await server.close()
        await asyncio.to_thread(thread.join, SOON)
        assert not thread.is_alive()
