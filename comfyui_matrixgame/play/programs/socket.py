"""The socket of a program, in a thread of its own, so that the server hears from it while the program computes."""

from __future__ import annotations

import asyncio
import io
import json
import re
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
from PIL import Image

from ...errors import MatrixGameError
from .. import ROUTE
from ..early_frames import Frames
from ..wire.protocol import MAX_MESSAGE, RAW, VERSION

PART = MAX_MESSAGE - 1024  # bytes of a picture in one message
HEARTBEAT = 20.0  # seconds between pings; a server that does not answer is gone

Message = dict[str, Any]
OnMessage = Callable[[Message, list[Frames]], None]


class Gone(MatrixGameError):
    """The session cannot be reached, or has ended."""


class Socket:
    """A socket that said hello. Raises Gone, with the server's own words where it has some.

    on_message: gets every message with its pictures, if any, in the thread of the socket.
    """

    def __init__(self, url: str, frames: str, on_message: OnMessage) -> None:
        self._address, self._token = address_of(url)
        self._frames, self._on_message = frames, on_message
        self._asked: dict[int, Future[Message]] = {}
        self._count = 0
        self._gone = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="matrixgame client", daemon=True)
        self._thread.start()
        self._reading: Future[None] | None = None
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
            joined = self._expect("state")  # the last word of a welcome
            self._reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
            joined.result()
        except BaseException:
            self.close()
            raise

    def ask(self, kind: str, content: Message, data: bytes = b"") -> Message:
        """Send a message, and `data` after it in parts; returns the answer. Raises MatrixGameError where it is refused,
        in the server's words."""
        self._count += 1
        answer = self._expect(self._count)
        message = json.dumps({"type": kind, "ask": self._count, **content})
        asyncio.run_coroutine_threadsafe(self._say(message, data), self._loop).result()
        answered = answer.result()
        if answered["type"] == "refused":
            raise MatrixGameError(answered["text"])
        return answered

    def close(self) -> None:
        """Leave the session."""
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
        if self._reading is not None:
            self._reading.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _expect(self, answer: Any) -> Future[Message]:
        expected: Future[Message] = Future()
        self._asked[answer] = expected
        if self._gone:
            self._fail()
        return expected

    def _fail(self) -> None:
        for expected in list(self._asked.values()):
            if not expected.done():
                expected.set_exception(Gone(self._gone))

    async def _open(self) -> None:
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(self._address, max_msg_size=0, heartbeat=HEARTBEAT)
        except (aiohttp.ClientError, OSError, ValueError, asyncio.TimeoutError) as error:
            raise Gone(f"There is no session at {self._address} ({error or type(error).__name__}).") from None
        hello = {"type": "hello", "version": VERSION, "token": self._token, "frames": self._frames}
        await self._say(json.dumps(hello))

    async def _say(self, text: str, data: bytes = b"") -> None:
        try:
            await self._socket.send_str(text)
            for at in range(0, len(data), PART):
                await self._socket.send_bytes(data[at : at + PART])
        except (ConnectionError, aiohttp.ClientError):
            pass  # whoever reads hears why

    async def _read(self) -> None:
        try:
            await self._hear()
        except Exception as error:  # whatever is wrong with what came
            self._gone = f"The server says what no player understands ({error!r}); update the older of the two"
            await self._socket.close()
        self._fail()

    async def _hear(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type == aiohttp.WSMsgType.TEXT:
                content, pictures = json.loads(message.data), []
            elif message.type == aiohttp.WSMsgType.BINARY:
                content, pictures = unpack(message.data)
                await self._say(json.dumps({"type": "ack", "batch": content["batch"]}))
            else:
                code, reason = self._socket.close_code, message.extra
                self._gone = f"The session is gone: {reason or f'its socket was closed ({code})'}"
                return
            self._on_message(content, pictures)
            key = content.get("ask", content.get("type"))
            if key in self._asked:
                self._asked.pop(key).set_result(content)

    async def _leave(self) -> None:
        if self._reading is not None:
            await self._socket.close()
        await self._http.close()


def address_of(url: str) -> tuple[str, str]:
    """The address of the socket, and the token, of a player's address such as http://127.0.0.1:8123/#TOKEN, or of the
    link that ComfyUI's player gives out. Raises Gone where it is none."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        raise Gone(f"{url} is no address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.fragment:
        raise Gone(f"{url} is not a player's address; it looks like http://127.0.0.1:8123/#TOKEN.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    root = re.sub(r"/(web|extensions)/.*$", "", parts.path).rstrip("/")
    return f"{parts.scheme}://{host}{port}{root}{ROUTE}", parts.fragment


def unpack(data: bytes) -> tuple[Message, list[Frames]]:
    """The header and the pictures [H, W, 3] of a binary message."""
    (size,) = struct.unpack_from("<I", data)
    header, at, pictures = json.loads(data[4 : 4 + size]), 4 + size, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        picture = data[at + 4 : at + 4 + length]
        if header.get("format") == RAW:
            pictures.append(np.frombuffer(picture, np.uint8).reshape(*header["size"], 3))
        else:
            pictures.append(np.asarray(Image.open(io.BytesIO(picture), formats=["JPEG"]).convert("RGB")))
        at += 4 + length
    return header, pictures
