"""The player in a node of the graph, in both renderers: a session of the test pattern behind the real route."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.play import Unsteady
from comfyui_matrixgame.play.pattern import TestPattern
from comfyui_matrixgame.play.session import FINISHED, PAUSED, Limits, Session
from comfyui_matrixgame.play.wire.hub import Hub
from tests.play.conftest import SLOW

from ..play.on_player import SENT, even_for_a_while, lamps_become
from .page import READY
from .stub import Stub

ADD = """async ([width, height]) => {
  app.graph.clear();
  app.canvas.ds.reset();
  const node = LiteGraph.createNode("MatrixGameLivePlay");
  node.pos = [60, 90];
  app.graph.add(node);
  await Promise.resolve();  // the node has made itself large enough
  if (width) node.setSize([width, height]);
  window.node = node;
  return node.id;
}"""
VIEW = (
    """(scale) => { app.canvas.ds.scale = scale; app.canvas.ds.offset = [40, 40]; app.canvas.setDirty(true, true); }"""
)
WHERE = "() => [app.canvas.ds.scale, ...app.canvas.ds.offset]"
ROWS = """() => {
  const rows = {};
  for (const each of player.controls.root.children) {
    const box = each.getBoundingClientRect();
    if (box.width && !each.matches(".mg-gap")) (rows[Math.round(box.top + box.height / 2)] ??= []).push(each.dataset.act ?? "mode");
    if (box.right > player.root.getBoundingClientRect().right) throw new Error(`${each.dataset.act} is cut off`);
  }
  return Object.keys(rows).sort((a, b) => a - b).map((row) => rows[row]);
}"""  # noqa: E501
LEFT = ["play", "stop", "record", "rewind", "reset", "take", "mode"]
RIGHT = ["keys", "pad", "hud", "preview", "share", "popout", "fullscreen"]
RIGHT_WITH_PAD = ["keys", "pad", "latch", "hud", "preview", "share", "popout", "fullscreen"]


class LiveNode:
    """A page of the frontend with one node that plays."""

    def __init__(self, page: Any, stub: Stub) -> None:
        self.page, self.stub = page, stub
        self.errors: list[str] = []
        self.running: list[tuple[Session, threading.Thread]] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_default_timeout(SLOW)
        page.goto(stub.url)
        page.wait_for_function(READY % "MatrixGameLivePlay", timeout=90_000)
        page.wait_for_timeout(800)

    def begin(self, played: Any = None, size: tuple[int, int] = (0, 0)) -> Session:
        """A fresh node, and a session of it that waits for its player; `player` is the page's. size: width, height."""
        node = self.page.evaluate(ADD, size)
        played = played or TestPattern(size=(96, 160))
        session = self.stub.play(lambda hub: self._run(played, hub), node)
        self.page.wait_for_function("node.matrixGamePlay.player?.connected")
        self.page.evaluate("() => { window.player = node.matrixGamePlay.player; }")
        self.page.wait_for_function("player.state.state === 'ready' && player.controller")
        return session

    def _run(self, played: Any, hub: Hub) -> Session:
        session = Session(played, hub.listen, limits=Limits(1e9, 1e9, finish=True))
        thread = threading.Thread(target=session.run, daemon=True)
        self.running.append((session, thread))
        hub.session = session
        thread.start()
        return session

    def play(self) -> None:
        """Click into the picture."""
        self.page.locator(".mgp-stage").click()
        self.page.wait_for_function("player.playing && player.pictures.pacer.shown > 0")

    def end(self) -> None:
        for session, thread in self.running:
            session.stop()
            thread.join(30)
        self.running.clear()
        assert not self.errors


@pytest.fixture(scope="module")
def _live(browser: Any, stub: Stub) -> Iterator[Callable[[bool], LiveNode]]:
    """A page with a mouse, or with fingers: one at a time, or both would hear of a session."""
    open_now: dict[bool, tuple[Any, LiveNode]] = {}

    def page(fingers: bool) -> LiveNode:
        if fingers not in open_now:
            close()
            context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=fingers, is_mobile=fingers)
            open_now[fingers] = context, LiveNode(context.new_page(), stub)
        return open_now[fingers][1]

    def close() -> None:
        for context, _ in open_now.values():
            context.close()
        open_now.clear()

    yield page
    close()


@pytest.fixture
def live(_live: Callable[[bool], LiveNode]) -> Iterator[LiveNode]:
    """With a mouse."""
    node = _live(False)
    yield node
    node.end()


@pytest.fixture
def touched(_live: Callable[[bool], LiveNode]) -> Iterator[LiveNode]:
    """With fingers: what the browser calls a coarse pointer."""
    node = _live(True)
    yield node
    node.end()


def test_keys_are_the_players_and_stop_ends_the_session(live: LiveNode) -> None:
    session, page = live.begin(), live.page
    live.play()
    page.keyboard.down("w")
    page.keyboard.down("d")
    lamps_become(page, [1, 0, 0, 1])
    page.keyboard.up("w")
    page.keyboard.up("d")
    lamps_become(page, [0, 0, 0, 0])
    for key in ("a", "h", "r", "Delete", "Control+z", "Backspace"):
        page.keyboard.press(key)
    page.wait_for_function("player.state.branches === 1")
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    assert page.evaluate("[app.graph._nodes.length, app.extensionManager.sidebarTab?.activeSidebarTabId ?? null]") == [
        1, None,
    ]  # fmt: skip
    page.locator("[data-act=stop]").click()
    page.wait_for_function("player.state.state === 'finished'")
    assert session.state == FINISHED
    track = session.take.track()
    assert track is not None
    assert track.keyboard[:, 0].any()
    assert track.keyboard[:, 3].any()


def test_the_key_that_begins_to_play_is_held(live: LiveNode) -> None:
    session, page = live.begin(), live.page
    page.evaluate("player.proxy.focus()")
    page.keyboard.down("w")
    lamps_become(page, [1, 0, 0, 0])
    page.keyboard.up("w")
    lamps_become(page, [0, 0, 0, 0])
    page.evaluate("player.pause()")
    page.wait_for_function("player.state.state === 'paused'")
    page.keyboard.down("d")
    lamps_become(page, [0, 0, 0, 1])
    page.evaluate("player.pause()")
    page.wait_for_function("player.state.state === 'paused'")
    page.keyboard.down("d")  # a key that repeats does not undo a pause
    assert page.evaluate("[player.inputs.held.size, player.state.state]") == [0, "paused"]
    page.keyboard.up("d")
    assert not session.held.sample(12).keyboard.any()


LEAVE = {
    "the window": "() => window.dispatchEvent(new Event('blur'))",
    "the graph": "() => app.canvas.canvas.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, pointerId: 7 }))",  # noqa: E501
    "the tab": "() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
    "document.dispatchEvent(new Event('visibilitychange')); delete document.hidden; }",
}


def test_nothing_stays_held(live: LiveNode) -> None:
    session, page = live.begin(), live.page
    live.play()
    page.evaluate(SENT)
    for where, leave in LEAVE.items():
        page.evaluate("player.proxy.focus()")
        page.keyboard.down("w")
        page.wait_for_function("sent.findLast((m) => m.type === 'in')?.keys.includes('w')")
        page.evaluate(leave)
        assert page.evaluate("sent.findLast((m) => m.type === 'in').keys") == [], where
        page.keyboard.up("w")
    page.wait_for_function("player.state.state === 'paused'")
    assert session.state == PAUSED
    assert not session.held.sample(12).keyboard.any()


def test_a_gamepad_plays_and_a_resting_stick_does_not(live: LiveNode) -> None:
    live.begin()
    page = live.page
    live.play()
    page.evaluate(SENT)
    page.evaluate(
        """() => {
      window.gamepad = { connected: true, mapping: "standard", axes: [0, 0.1, 0.1, 0], buttons: [] };
      navigator.getGamepads = () => [gamepad];
    }"""
    )
    page.wait_for_timeout(400)
    assert page.evaluate("sent.filter((m) => m.type === 'in').length") == 0
    page.evaluate("() => { gamepad.axes = [0, -0.6, 1, 0]; }")
    lamps_become(page, [1, 0, 0, 0])
    assert page.evaluate("sent.findLast((m) => m.type === 'in').stick") == [0, 0.1]
    page.evaluate("() => { navigator.getGamepads = () => []; }")


def test_the_first_part_of_a_block_is_painted_before_the_block_is_made(live: LiveNode) -> None:
    session = live.begin(TestPattern(size=(96, 160), seconds=3.0))
    live.page.locator(".mgp-stage").click()
    live.page.wait_for_function("player.shownFrame === 0")
    assert session.take.blocks == 0


def test_frames_are_even_though_blocks_come_80_ms_early_or_late(live: LiveNode) -> None:
    live.begin(Unsteady(size=(96, 160)))
    live.page.locator(".mgp-stage").click()
    even_for_a_while(live.page)


def test_popped_out_and_back_and_the_whole_screen(live: LiveNode) -> None:
    live.begin()
    page = live.page
    before = page.locator(".mg-player").bounding_box()
    page.locator("[data-act=popout]").click()
    assert page.locator("body > .mg-player.mgp-out").count() == 1
    live.play()  # over the whole page
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    page.locator("[data-act=popout]").click()
    assert page.locator("body > .mg-player").count() == 0
    assert page.locator(".mg-player").bounding_box() == before
    page.locator("[data-act=fullscreen]").click()
    page.wait_for_function("document.fullscreenElement === player.root")
    page.wait_for_function("player.root.getBoundingClientRect().height === innerHeight")
    page.keyboard.press("w")  # the keyboard came along
    page.wait_for_function("player.playing")
    page.keyboard.press("Backspace")
    page.wait_for_function("player.state.branches === 1")
    page.evaluate("() => document.exitFullscreen()")
    page.wait_for_function("!document.fullscreenElement")
    assert page.evaluate("app.graph._nodes.length") == 1


def test_the_buttons_are_in_whole_rows(live: LiveNode) -> None:
    live.begin()
    page = live.page
    assert page.evaluate(ROWS) == [LEFT + RIGHT]
    page.locator("[data-act=pad]").click()  # which brings another button
    assert page.evaluate(ROWS) == [LEFT + RIGHT_WITH_PAD]
    live.end()
    live.begin(size=(400, 520))
    assert page.evaluate(ROWS) == [LEFT, RIGHT]
    page.locator("[data-act=pad]").click()
    assert page.evaluate(ROWS) == [LEFT, RIGHT_WITH_PAD]


@pytest.mark.parametrize("scale", [1, 0.6])
def test_two_thumbs_move_and_look_and_leave_the_graph_where_it_is(touched: LiveNode, scale: float) -> None:
    touched.begin()
    page = touched.page
    page.evaluate(VIEW, scale)
    page.wait_for_timeout(200)
    where = page.evaluate(WHERE)
    assert page.evaluate(ROWS) == [LEFT, RIGHT_WITH_PAD]  # large buttons, and the pad is there by itself
    page.evaluate(SENT)
    page.locator(".mgp-stage").tap(position={"x": 200 * scale, "y": 60 * scale})
    page.wait_for_function("player.playing")
    w, look = page.locator(".mg-key[data-lane=w]").bounding_box(), page.locator(".mg-look").bounding_box()
    fingers = [
        {"x": w["x"] + w["width"] / 2, "y": w["y"] + w["height"] / 2, "id": 0},
        {"x": look["x"] + look["width"] * 0.9, "y": look["y"] + look["height"] / 2, "id": 1},
    ]
    touches = page.context.new_cdp_session(page)
    touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": fingers})
    page.wait_for_function(
        "sent.some((m) => m.type === 'in' && m.keys.includes('w') && Math.abs(m.stick[1] - 0.16) < 0.01)"
    )
    fingers[1]["x"] = look["x"] + look["width"] * 0.1
    touches.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": fingers})
    page.wait_for_function("sent.some((m) => m.type === 'in' && Math.abs(m.stick[1] + 0.16) < 0.01)")
    lamps_become(page, [1, 0, 0, 0])
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    lamps_become(page, [0, 0, 0, 0])
    assert page.evaluate(WHERE) == where
    touches.detach()
