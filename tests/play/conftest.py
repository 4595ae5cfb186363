"""A server with a session in this process, and pages on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from comfyui_matrixgame.play.pattern import TestPattern
from comfyui_matrixgame.play.played_world import Playable
from comfyui_matrixgame.play.session import Limits, Session
from comfyui_matrixgame.terminal.play_server import Server

SLOW = 60_000  # milliseconds: no test waits so long unless something is wrong


class Stage:
    """A session and pages on it. The picture is small, so that a slow machine keeps up."""

    def __init__(self, browser: Any, played: Playable | None = None, limits: Limits | None = None) -> None:
        self.browser = browser
        self.server = Server("127.0.0.1", 0)
        played = played or TestPattern(size=(96, 160))
        self.session = Session(played, self.server.hub.listen, limits=limits or Limits(1e9, 1e9))
        self.server.hub.session = self.session
        self.thread = threading.Thread(target=self.session.run, daemon=True)
        self.thread.start()
        self.contexts: list[Any] = []
        self.errors: list[str] = []

    def page(self, **options: Any) -> Any:
        """A page that is connected."""
        context = self.browser.new_context(viewport={"width": 900, "height": 640}, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.server.url)
        page.wait_for_function("window.player?.connected && player.state.state !== 'connecting'")
        return page

    def playing(self, **options: Any) -> Any:
        """A page on which somebody clicked into the picture."""
        page = self.page(**options)
        page.locator(".mgp-stage").click()
        page.wait_for_function("player.playing && player.pictures.pacer.shown > 0")
        return page

    def close(self) -> None:
        self.session.stop()
        self.thread.join(30)
        for context in self.contexts:
            context.close()
        self.server.stop()
        assert not self.errors


@pytest.fixture
def stage(browser: Any) -> Iterator[Stage]:
    made = Stage(browser)
    yield made
    made.close()
