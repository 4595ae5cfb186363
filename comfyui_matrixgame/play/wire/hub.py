"""Who watches a session: one player with the controls, and spectators. Everything here runs in the server's loop,
except `listen`, which the session calls from its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from ...errors import MatrixGameError
from ...variants import FPS
from ...variants.browser import for_browser
from ..session import FINISHED, Event, FramesMade, Session, StateChanged
from ..take import Take
from .protocol import FULL, ProtocolError, jpeg, pack_frames, pack_still, read_snapshot

UNACKED = 2  # batches on their way to a client; what comes meanwhile waits, thinned out
MOST_CLIENTS = 16
MOST_UNSENT = 256  # messages that a client has not read; one that reads nothing is closed
TAKE_SECONDS = 1.0  # between two takes for one client: each is the whole document


class Client:
    """One socket that said hello. Frames go to it as it takes them."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.unacked: dict[int, float] = {}
        self.waiting: deque[tuple[FramesMade, list[bytes]]] = deque()
        self.transport = 0.0  # mean seconds from sending a batch to its acknowledgement
        self.most_unacked = 0
        self._batch = 0
        self._refused = False
        self._taken_at = -TAKE_SECONDS
        self._taking: asyncio.Future[str] | None = None
        self._closing: asyncio.Future[bool] | None = None
        self._out: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._sender = asyncio.ensure_future(self._send())

    def tell(self, message: dict[str, Any]) -> None:
        """Send JSON."""
        if self._out.qsize() >= MOST_UNSENT:
            self._closing = self._closing or asyncio.ensure_future(self.socket.close(code=FULL))
        else:
            self._out.put_nowait(_json(message))

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
        self._taking = asyncio.get_running_loop().run_in_executor(None, _take_message, take)
        self._taking.add_done_callback(lambda written: self._out.put_nowait(written.result()))

    def show(self, event: FramesMade, jpegs: list[bytes]) -> None:
        """Send frames, or keep them until the client has taken what was sent before."""
        self.waiting.append((event, jpegs))
        self._flush()

    def show_still(self, picture: Any) -> None:
        """Send a picture in place of whatever waits."""
        self.waiting.clear()
        self._out.put_nowait(pack_still(picture, self._next_batch()))

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
        while self.waiting and len(self.unacked) < UNACKED:
            event, jpegs = self.waiting.popleft()
            every = 2 if self.waiting else 1  # behind: every second frame, rather than later and later
            self._out.put_nowait(pack_frames(event, self._next_batch(), jpegs, every))

    def _next_batch(self) -> int:
        self._batch += 1
        self.unacked[self._batch] = time.perf_counter()
        self.most_unacked = max(self.most_unacked, len(self.unacked))
        return self._batch

    async def _send(self) -> None:
        try:
            while True:
                message = await self._out.get()
                if isinstance(message, bytes):
                    await self.socket.send_bytes(message, compress=False)
                else:
                    await self.socket.send_str(message, compress=False)
        except (ConnectionError, RuntimeError):
            return  # the socket closed; whoever reads it takes the client out


class Hub:
    """The clients of one session.

    token: what a client must know. on_finish: called in the loop when the session has ended. The session's listener
    must be `listen`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, token: str = "", on_finish: Callable[[], None] | None = None):
        self.token = token or secrets.token_urlsafe(24)
        self.clients: list[Client] = []
        self.controller: Client | None = None
        self.session: Session | None = None
        self._loop = loop
        self._on_finish = on_finish
        self._encoder = ThreadPoolExecutor(1, "jpeg")

    # ---- from the session's thread

    def listen(self, event: Event) -> None:
        """Hand an event of the session to all clients."""
        self._encoder.submit(self._prepare, event)

    def _prepare(self, event: Event) -> None:
        jpegs = [jpeg(frame) for frame in event.frames] if isinstance(event, FramesMade) else []
        with contextlib.suppress(RuntimeError):  # the server is gone; the take stays with the session
            self._loop.call_soon_threadsafe(self._deliver, event, jpegs)

    # ---- in the loop

    def join(self, client: Client) -> None:
        """A client said hello with the right token; raises ProtocolError where there are too many."""
        if len(self.clients) >= MOST_CLIENTS:
            raise ProtocolError(f"{MOST_CLIENTS} players and spectators are here already.", FULL)
        session = self._here
        self.clients.append(client)
        take, (height, width) = session.take, session.size
        client.tell(
            {
                "type": "welcome", "variant": take.variant.name, "width": width, "height": height, "fps": FPS,
                "description": for_browser(take.variant),
                "seed": take.seed, "most": session.limits.blocks, "finishes": session.limits.finish,
            }
        )  # fmt: skip
        client.show_still(session.still)
        if self.controller is None:
            self._give_control(client)
        self._tell_roles()
        client.tell(self._state())

    def leave(self, client: Client) -> None:
        """A client is gone."""
        client.close()
        if client in self.clients:
            self.clients.remove(client)
        if client is self.controller:
            self.controller = None
            self._here.stall(False)
            self._here.connected(False)
        self._tell_roles()

    def receive(self, client: Client, kind: str, message: dict[str, Any]) -> None:
        """Obey a message. Spectators may look, acknowledge, ask for the take, and take over. Raises ProtocolError for
        a second hello."""
        session = self._here
        if kind == "hello":
            raise ProtocolError("A player says hello once.")
        if kind == "ack":
            client.acknowledge(message["batch"])
            self._settle()
        elif kind == "take":
            client.send_take(session.take)
        elif kind == "control":
            self._give_control(client)
            self._tell_roles()
        elif client is not self.controller:
            client.refuse()
        elif kind == "in":
            session.held.put(read_snapshot(message))
        else:
            self._order(session, kind, message)

    def _order(self, session: Session, kind: str, message: dict[str, Any]) -> None:
        session.held.changed_at = session.clock()
        if kind == "rewind":
            session.rewind(message["blocks"])
        elif kind == "mark":
            session.mark(message["name"])
        elif kind == "record":
            session.record(message["on"])
        elif kind == "mode":
            session.set_mode(message["mode"])
        else:
            {"play": session.play, "pause": session.pause, "stop": session.stop, "reset": session.reset}[kind]()

    @property
    def _here(self) -> Session:
        if self.session is None:
            raise MatrixGameError("The session has not begun yet.")
        return self.session

    def _give_control(self, client: Client) -> None:
        self._here.held.release()
        self.controller = client
        self._here.connected(True)
        self._settle()

    def _tell_roles(self) -> None:
        for client in self.clients:
            role = "controller" if client is self.controller else "spectator"
            client.tell({
                "type": "roles", "role": role, "spectators": len(self.clients) - (self.controller is not None),
                "controlled": self.controller is not None,
            })  # fmt: skip

    def _deliver(self, event: Event, jpegs: list[bytes]) -> None:
        for client in list(self.clients):
            if isinstance(event, StateChanged):
                if event.still is not None:
                    client.show_still(event.still)
                client.tell(self._state(event))
            else:
                if client is not self.controller and len(client.unacked) >= UNACKED:
                    client.waiting.clear()  # a client that only watches sees the newest
                client.show(event, jpegs)
                if event.part == 0:
                    client.tell({
                        "type": "stats", "generation": round(event.generation * 1000),
                        "transport": round(client.transport * 1000), "waiting": len(client.waiting),
                    })  # fmt: skip
        self._settle()
        if isinstance(event, StateChanged) and event.state == FINISHED and self._on_finish is not None:
            self._on_finish()

    def _settle(self) -> None:
        """Let the session wait for its player, and for nobody else."""
        behind = self.controller is not None and bool(self.controller.waiting)
        self._here.stall(behind)

    def _state(self, event: StateChanged | None = None) -> dict[str, Any]:
        session = self._here
        take = session.take
        return {
            "type": "state", "state": event.state if event else session.state,
            "reason": event.reason if event else session.reason, "mode": session.held.mode, "blocks": take.blocks,
            "branches": len(take.branches), "recording": take.recording is not None,
        }  # fmt: skip


def _take_message(take: Take) -> str:
    return _json({"type": "take", "timeline": take.timeline().to_json()})


def _json(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
