"""The player's page in a browser as it may be: keys without codes, nothing stored, below a path, a slow machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from comfyui_matrixgame.play.pattern import TestPattern
from comfyui_matrixgame.play.session import PAUSED

from .conftest import Stage
from .on_player import lamps_become

PRESS = """([type, key]) => document.activeElement.dispatchEvent(
  new KeyboardEvent(type, { key, code: '', bubbles: true, cancelable: true }))"""
DENY = """for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name,
  { get() { throw new DOMException('denied', 'SecurityError'); } });"""


class SlowPattern(TestPattern):
    """Makes a block only when it is allowed to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.go = threading.Event()

    def make(self, *args: Any, **options: Any) -> Any:
        assert self.go.wait(60)
        return super().make(*args, **options)


@pytest.fixture
def slow(browser: Any) -> Iterator[Stage]:
    played = SlowPattern(size=(96, 160))
    made = Stage(browser, played)
    made.played = played  # type: ignore[attr-defined]
    yield made
    played.go.set()
    made.close()


def test_keys_without_codes_play(stage: Stage) -> None:
    page = stage.playing()
    page.evaluate(PRESS, ["keydown", "w"])
    lamps_become(page, [1, 0, 0, 0])
    page.evaluate(PRESS, ["keyup", "w"])
    lamps_become(page, [0, 0, 0, 0])
    page.evaluate(PRESS, ["keydown", "Escape"])
    page.wait_for_function(f"player.state.state === '{PAUSED}'")


def test_keys_can_be_chosen_where_nothing_may_be_stored(browser: Any) -> None:
    stage = Stage(browser)
    context = browser.new_context(viewport={"width": 900, "height": 640})
    context.add_init_script(DENY)
    stage.contexts.append(context)
    page = context.new_page()
    page.on("pageerror", lambda error: stage.errors.append(str(error)))
    page.goto(stage.server.url)
    page.wait_for_function("window.player?.connected")
    page.locator("[data-act=keys]").click()
    page.locator("[data-bind=w]").click()
    page.keyboard.press("ArrowUp")
    assert page.locator("[data-bind=w]").inner_text().upper() == "ARROWUP"
    assert "this visit" in page.locator(".mg-player .mg-live").inner_text()
    stage.close()


def test_a_slow_machine_says_what_it_does(slow: Stage) -> None:
    page = slow.page()
    page.locator(".mgp-stage").click()
    page.get_by_text("Computing the first block").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Pausing after this block").wait_for()
    assert page.evaluate("player.state.state") == "playing"  # not yet
    slow.played.go.set()  # type: ignore[attr-defined]
    page.wait_for_function(f"player.state.state === '{PAUSED}'")
    page.locator(".mgp-busy").wait_for(state="hidden")
