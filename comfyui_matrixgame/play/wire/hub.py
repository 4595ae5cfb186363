"""Who watches a session: one player with the controls, and spectators. Everything here runs in the server's loop,
except `listen`, which the session calls from its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...actions.track import ActionTrack
from ...errors import ActionError, MatrixGameError
from ...variants import FPS
from ...variants.browser import for_browser
from ..events import Event, FramesMade, StateChanged
from ..played_world import StartWorld
from ..session import FINISHED, Session
from .clients import MOST_ASKED, UNACKED, Client, Upload
from .protocol import FULL, MINOR, MUST_ASK, VERSION, ProtocolError, encoded, read_snapshot

MOST_CLIENTS = 16
WATCHES = "Only who has the controls may do that; ask for them with `control`."
ELSEWHERE = "This session's world comes from where it was started; start another one there."


class Hub:
    """The clients of one session.

    token: what a client must know. on_finish: called in the loop when the session has ended. The session's listener
    must be `listen`. start_world: where programs may start worlds of their own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, token: str = "", on_finish: Callable[[], None] | None = None):
        self.token = token or secrets.token_urlsafe(24)
        self.clients: list[Client] = []
        self.controller: Client | None = None
        self.session: Session | None = None
        self.start_world: StartWorld | None = None
        self._loop = loop
        self._on_finish = on_finish
        self._encoder = ThreadPoolExecutor(1, "jpeg")

    # ---- from the session's thread

    def listen(self, event: Event) -> None:
        """Hand an event of the session to all clients."""
        self._submit(lambda: self._prepare(event))

    def _submit(self, work: Callable[[], None]) -> None:
        self._encoder.submit(work)

    def _prepare(self, event: Event) -> None:
        pictures: dict[str, list[bytes]] = {}
        if isinstance(event, FramesMade):
            for form in {client.form for client in list(self.clients)}:
                pictures[form] = [encoded(frame, form) for frame in event.frames]
        self._in_the_loop(lambda: self._deliver(event, pictures))

    def _in_the_loop(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the server is gone; the take stays with the session
            self._loop.call_soon_threadsafe(work)

    # ---- in the loop

    def join(self, client: Client) -> None:
        """A client said hello with the right token; raises ProtocolError where there are too many."""
        if len(self.clients) >= MOST_CLIENTS:
            raise ProtocolError(f"{MOST_CLIENTS} players and spectators are here already.", FULL)
        self.clients.append(client)
        self._welcome(client)
        if self.controller is None:
            self._give_control(client)
        self._tell_roles()
        client.tell(self._state())

    def _welcome(self, client: Client) -> None:
        session = self._here
        take, (height, width) = session.take, session.size
        client.tell(
            {
                "type": "welcome", "version": [VERSION, MINOR], "variant": take.variant.name, "width": width,
                "height": height, "fps": FPS, "description": for_browser(take.variant), "seed": take.seed,
                "most": session.limits.blocks, "finishes": session.limits.finish,
                "starts": self.start_world is not None, "changes": list(session.sees),
            }
        )  # fmt: skip
        client.show_still(session.still)

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
        session, ask = self._here, message.get("ask")
        if kind == "hello":
            raise ProtocolError("A player says hello once.")
        if kind == "ack":
            client.acknowledge(message["batch"])
            self._settle()
            return
        if ask is not None:
            client.asked += 1
        if client.asked > MOST_ASKED:
            self._answer(client, ask, "Wait for the answers to what was asked before.")
        elif kind == "take":
            client.send_take(session.take) if ask is None else client.answer_with_take(session.take, ask)
        elif kind == "picture":
            client.answer_with_picture(session.still, message["ask"])
        elif kind == "control":
            self._give_control(client)
            self._tell_roles()
            self._answer(client, ask)
        elif kind in ("start", "change") and message["picture"]:
            self._await_picture(client, kind, message)
        elif client is not self.controller:
            client.refuse() if ask is None else self._answer(client, ask, WATCHES)
        elif kind == "in":
            session.held.put(read_snapshot(message))
            self._answer(client, ask)
        else:
            self._order(session, kind, message)
            if kind == "rows":
                self._make(client, message)
            elif kind == "start":
                self._start(client, message, None)
            elif kind == "change":
                self._change(client, message, b"")
            elif ask is not None:
                session.then(self._answering(client, ask))

    def receive_part(self, client: Client, data: bytes) -> None:
        """A part of the picture that a client's `start` or `change` announced. Raises ProtocolError for any other."""
        upload = client.upload
        if upload is None or len(data) > upload.left:
            raise ProtocolError("Players send text; only a picture that was announced is bytes.")
        upload.left -= len(data)
        if upload.data is not None:
            upload.data += data
        if not upload.left:
            client.upload = None
            if upload.data is not None:
                use = self._start if upload.kind == "start" else self._change
                use(client, upload.content, bytes(upload.data))

    def _await_picture(self, client: Client, kind: str, message: dict[str, Any]) -> None:
        if client.upload is not None:
            raise ProtocolError("A picture was announced before the one before it had come.")
        problem = self._why_no_start(client) if kind == "start" else self._why_no_change(client)
        client.upload = Upload(kind, message, message["picture"], None if problem else bytearray())
        if problem:
            self._answer(client, message["ask"], problem)

    def _why_no_start(self, client: Client) -> str:
        return ELSEWHERE if self.start_world is None else "" if client is self.controller else WATCHES

    def _why_no_change(self, client: Client) -> str:
        return "" if client is self.controller else WATCHES

    def _make(self, client: Client, message: dict[str, Any]) -> None:
        ask, session = message["ask"], self._here
        try:
            rows = [
                {**dict.fromkeys(keys, 1.0), "pitch": pitch, "yaw": yaw}
                for keys, (pitch, yaw) in zip(message["keys"], message["camera"], strict=True)
            ]
            session.make(ActionTrack.from_rows(session.take.variant, rows), self._answering(client, ask))
        except ActionError as error:
            self._answer(client, ask, str(error))

    def _start(self, client: Client, message: dict[str, Any], picture: bytes | None) -> None:
        ask, start_world = message["ask"], self.start_world
        problem = self._why_no_start(client)  # others may have taken over while the picture came
        if problem or start_world is None:
            self._answer(client, ask, problem)
        else:
            self._here.start(lambda: start_world(picture, message["seed"]), self._answering(client, ask))

    def _change(self, client: Client, message: dict[str, Any], picture: bytes) -> None:
        ask = message["ask"]
        if problem := self._why_no_change(client):
            self._answer(client, ask, problem)
        else:
            self._here.change(picture, message["strength"], message["seen"], self._answering(client, ask))

    def _answering(self, client: Client, ask: int) -> Callable[[str], None]:
        """What a session says its answer to: it comes after all frames that were made before."""
        return lambda problem: self._submit(lambda: self._in_the_loop(lambda: self._answer(client, ask, problem)))

    def _answer(self, client: Client, ask: int | None, problem: str = "") -> None:
        if ask is None:
            return
        take = self._here.take
        where = {"state": self._here.state, "blocks": take.blocks, "next": take.first_block + take.blocks}
        said = {"type": "refused", "text": problem} if problem else {"type": "done", **where}
        client.answer({**said, "ask": ask})

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
        elif kind == "wait":
            session.wait(message["on"])
        elif kind not in MUST_ASK:
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

    def _deliver(self, event: Event, pictures: dict[str, list[bytes]]) -> None:
        for client in list(self.clients):
            if isinstance(event, StateChanged):
                if event.began:
                    self._welcome(client)
                elif event.still is not None:
                    client.show_still(event.still)
                client.tell(self._state(event))
            else:
                if client is not self.controller and len(client.unacked) >= UNACKED:
                    client.pass_over(watches=True)  # it sees the newest
                if client.form not in pictures:  # it came just now
                    pictures[client.form] = [encoded(frame, client.form) for frame in event.frames]
                client.show(event, pictures[client.form])
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
            "next": take.first_block + take.blocks,
            "branches": len(take.branches), "recording": take.recording is not None, "changed": take.changes_here,
        }  # fmt: skip
