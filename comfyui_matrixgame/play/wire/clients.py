"""One socket that said hello: what it is sent, in order, and no faster than it takes it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ..changes.taken import encode_png
from ..early_frames import Frames
from ..events import FramesMade
from ..take import Take
from .protocol import FULL, JPEG, pack_frames, pack_still

UNACKED = 2  # batches on their way to a client; what comes meanwhile waits, thinned out
MOST_UNSENT = 256  # messages that a client has not read; one that reads nothing is closed
MOST_ASKED = 64  # questions of a client that are not answered yet
TAKE_SECONDS = 1.0  # between two takes for one client: each is the whole document

Message = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Frames that wait to be sent. pictures: of all of them."""

    event: FramesMade
    pictures: list[bytes]


@dataclass
class Upload:
    """A picture that a client is sending. kind, content: of the message that announced it. left: bytes to come. data:
    None where it was refused already, and what comes of it is dropped."""

    kind: str
    content: Message
    left: int
    data: bytearray | None


class Client:
    """One socket. Frames go to it as it takes them, and an answer after the frames that were made for it.

    form: how frames are sent. upload: the picture that it is sending.
    """

    def __init__(self, socket: web.WebSocketResponse, form: str = JPEG) -> None:
        self.socket, self.form = socket, form
        self.unacked: dict[int, float] = {}
        self.waiting: deque[Batch | Frames | Message] = deque()
        self.transport = 0.0  # mean seconds from sending a batch to its acknowledgement
        self.most_unacked = 0
        self.asked = 0  # questions that are not answered yet
        self.upload: Upload | None = None
        self._batch = 0
        self._refused = False
        self._taken_at = -TAKE_SECONDS
        self._taking: asyncio.Future[str] | None = None
        self._closing: asyncio.Future[bool] | None = None
        self._out: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._sender = asyncio.ensure_future(self._send())

    def tell(self, message: Message) -> None:
        """Send JSON."""
        if self._out.qsize() >= MOST_UNSENT:
            self._closing = self._closing or asyncio.ensure_future(self.socket.close(code=FULL))
        else:
            self._out.put_nowait(_json(message))

    def answer(self, message: Message) -> None:
        """Send what was asked for, after all frames that wait."""
        self.asked -= 1
        if self.waiting:
            self.waiting.append(message)
        else:
            self.tell(message)

    def refuse(self) -> None:
        """Say that spectators do not play; once, for the client knows its role."""
        if not self._refused:
            self._refused = True
            self.tell({"type": "error", "id": "spectator"})

    def send_take(self, take: Take) -> None:
        """Send the take, unless the client is being sent it or was a moment ago. That of half an hour takes seconds to
        write, so another thread does."""
        now = time.monotonic()
        if now - self._taken_at < TAKE_SECONDS or not (self._taking is None or self._taking.done()):
            return
        self._taken_at = now
        self._taking = self._write(take, {})

    def answer_with_take(self, take: Take, ask: int) -> None:
        """Send the take as an answer."""
        self._write(take, {"ask": ask}).add_done_callback(self._answered)

    def answer_with_picture(self, picture: Frames, ask: int) -> None:
        """Send a picture as an answer: a PNG file, which is the picture to the bit."""
        writing = asyncio.get_running_loop().run_in_executor(None, encode_png, picture)
        writing.add_done_callback(lambda written: self._answer_picture(written.result(), ask))

    def _answer_picture(self, file: bytes, ask: int) -> None:
        self.answer({"type": "picture", "ask": ask, "png": base64.b64encode(file).decode()})

    def show(self, event: FramesMade, pictures: list[bytes]) -> None:
        """Send frames, or keep them until the client has taken what was sent before."""
        self.waiting.append(Batch(event, pictures))
        self._flush()

    def show_still(self, picture: Frames) -> None:
        """Send a picture in place of whatever waits, but for frames that were asked for."""
        self.pass_over()
        if self.waiting:
            self.waiting.append(picture)
        else:
            self._out.put_nowait(pack_still(picture, self._next_batch(), self.form))

    def pass_over(self, watches: bool = False) -> None:
        """Let go of frames that wait; answers are sent all the same and, unless the client only `watches`, frames that
        were asked for."""
        kept = [item for item in self.waiting if isinstance(item, dict) or (not watches and _is_asked(item))]
        self.waiting = deque(kept)
        self._flush()

    def acknowledge(self, batch: int) -> None:
        """The client has drawn a batch, and all before it."""
        sent = self.unacked.pop(batch, None)
        if sent is not None:
            seconds = time.perf_counter() - sent
            self.transport += 0.3 * (seconds - self.transport) if self.transport else seconds
        for earlier in [number for number in self.unacked if number < batch]:
            del self.unacked[earlier]
        self._flush()

    def close(self) -> None:
        """Send nothing more."""
        self._sender.cancel()

    def _flush(self) -> None:
        while self.waiting and (isinstance(self.waiting[0], dict) or len(self.unacked) < UNACKED):
            item = self.waiting.popleft()
            if isinstance(item, dict):
                self.tell(item)
            elif isinstance(item, Batch):
                behind = bool(self.waiting) and not item.event.asked
                every = 2 if behind else 1  # every second frame, rather than later and later
                self._out.put_nowait(pack_frames(item.event, self._next_batch(), item.pictures, every, self.form))
            else:
                self._out.put_nowait(pack_still(item, self._next_batch(), self.form))

    def _next_batch(self) -> int:
        self._batch += 1
        self.unacked[self._batch] = time.perf_counter()
        self.most_unacked = max(self.most_unacked, len(self.unacked))
        return self._batch

    def _write(self, take: Take, rest: Message) -> asyncio.Future[str]:
        writing = asyncio.get_running_loop().run_in_executor(None, _take_message, take, rest)
        writing.add_done_callback(lambda written: self._out.put_nowait(written.result()))
        return writing

    def _answered(self, _: asyncio.Future[str]) -> None:
        self.asked -= 1

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):  # it closed; whoever reads it takes the client out
            while True:
                message = await self._out.get()
                if isinstance(message, bytes):
                    await self.socket.send_bytes(message, compress=False)
                else:
                    await self.socket.send_str(message, compress=False)


def _is_asked(item: Batch | Frames) -> bool:
    return isinstance(item, Batch) and item.event.asked


def _take_message(take: Take, rest: Message) -> str:
    return _json({"type": "take", "timeline": take.timeline().to_json(), **rest})


def _json(message: Message) -> str:
    return json.dumps(message, separators=(",", ":"))
