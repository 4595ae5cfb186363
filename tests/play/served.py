"""A server of the pattern, and what its frames say."""

from __future__ import annotations

import threading

import numpy as np

from comfyui_matrixgame.errors import ImageError
from comfyui_matrixgame.play.pattern import CELL, TestPattern
from comfyui_matrixgame.play.played_world import Playable, StartWorld
from comfyui_matrixgame.play.programs.client import Client
from comfyui_matrixgame.play.session import Limits, Session
from comfyui_matrixgame.play.take import Take
from comfyui_matrixgame.terminal.play_server import Server


def numbers(frames: np.ndarray) -> list[int]:
    """The number that each frame of the pattern counts itself with."""
    lamps = frames[:, CELL // 2, CELL // 2 :: CELL, 0] > 128
    return [sum(int(on) << bit for bit, on in enumerate(row)) for row in lamps]


SIZE = (32, 64)


LIMITS = Limits(idle=1e9, lost=1e9)


class Served:
    """A session of the test pattern behind a server, in this process."""

    def __init__(self, played: Playable | None = None, start_world: StartWorld | None = None) -> None:
        self.server = Server("127.0.0.1", 0)
        self.takes: list[Take] = []
        self.pictures: list[bytes | None] = []
        self.session = Session(
            played or TestPattern(size=SIZE), self.server.hub.listen, limits=LIMITS, on_take=self.takes.append
        )
        self.server.hub.session, self.server.hub.start_world = self.session, start_world
        self.thread = threading.Thread(target=self.session.run)
        self.thread.start()

    def start_world(self, picture: str | bytes | None, seed: int) -> Playable:
        assert not isinstance(picture, str)
        self.pictures.append(picture)
        if picture == b"broken":
            raise ImageError("This is no picture.")
        return TestPattern(size=SIZE, seed=seed)

    def client(self, **options: bool) -> Client:
        return Client(self.server.url, **options)

    def close(self) -> None:
        self.session.stop()
        self.thread.join(30)
        self.server.stop()
        assert not self.thread.is_alive()
