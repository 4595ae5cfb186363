"""The player in Chromium, with the test pattern: what is held comes out of the pixels, and nothing stays held."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np
import pytest

from bench.play import Unsteady
from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.errors import CheckpointError
from comfyui_matrixgame.play.pattern import TestPattern
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.play.session import FINISHED, PAUSED, Limits
from comfyui_matrixgame.terminal.main import parser as cli_parser
from comfyui_matrixgame.terminal.play import make_played_world
from comfyui_matrixgame.world import rollout

from .conftest import Stage
from .on_player import SENT, even_for_a_while, lamps_become


def test_hold_w_and_d_then_let_go_then_stop(stage: Stage) -> None:
    page = stage.playing()
    page.keyboard.down("w")
    page.keyboard.down("d")
    assert page.locator(".mgp-cap.mgp-held").count() == 2  # at once, before any picture
    lamps_become(page, [1, 0, 0, 1])
    assert page.locator(".mgp-cap.mgp-made").count() == 2
    page.keyboard.up("w")
    page.keyboard.up("d")
    lamps_become(page, [0, 0, 0, 0])
    page.keyboard.press("Escape")  # which gives the mouse back
    page.locator("[data-act=stop]").click()
    page.wait_for_function("player.state.state === 'finished'")
    assert stage.session.state == FINISHED
    track = stage.session.take.track()
    assert track is not None
    for column in (0, 3):
        held = np.flatnonzero(track.keyboard[:, column])
        assert np.array_equal(held, np.arange(held[0], held[-1] + 1))
        assert (held[0] + 4) % 12 == (held[-1] + 5) % 12 == 0  # whole blocks
    assert "ended" in page.locator(".mg-live").inner_text()


def test_nothing_stays_held_when_the_page_loses_the_player(stage: Stage) -> None:
    page = stage.playing()
    page.evaluate(SENT)
    for leave in (
        "window.dispatchEvent(new Event('blur'))",
        "player.proxy.area.blur()",
        "window.dispatchEvent(new Event('pagehide'))",
    ):
        page.evaluate("player.proxy.focus()")
        page.keyboard.down("w")
        page.wait_for_function("sent.at(-1).type === 'in' ? sent.at(-1).keys.includes('w') : true")
        assert page.evaluate("player.inputs.held.size") == 1
        page.evaluate(leave)
        said = page.evaluate("sent.filter((m) => m.type === 'in').at(-1)")
        assert said["keys"] == []
        page.keyboard.up("w")
    page.evaluate("player.proxy.focus()")
    page.keyboard.down("w")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_function("player.state.state === 'paused'")
    assert page.evaluate("sent.filter((m) => m.type === 'in').at(-1)")["keys"] == []


def test_the_mouse_looks_by_lock_and_by_drag(stage: Stage) -> None:
    page = stage.playing()
    page.wait_for_function("player.look.locked")
    page.evaluate(SENT)
    x, y = 300, 200
    for _ in range(8):
        x += 10
        page.mouse.move(x, y)
    page.wait_for_function("sent.some((m) => m.type === 'in' && m.look[1] > 0)")
    page.evaluate("document.exitPointerLock()")
    page.wait_for_function("player.state.state === 'paused'")  # letting go of the mouse pauses
    page.evaluate("() => { player.stage.requestPointerLock = () => Promise.reject(new Error('not now')); }")
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.playing")
    page.evaluate("sent.length = 0")
    page.mouse.move(300, 200)
    page.mouse.down()
    page.mouse.move(260, 200, steps=4)
    page.mouse.up()
    page.wait_for_function("sent.some((m) => m.type === 'in' && m.look[1] < 0)")


def test_going_back_makes_a_branch_and_the_take_is_what_the_model_got(stage: Stage) -> None:
    page = stage.playing()
    page.evaluate("() => { window.takes = []; player.options.onTake = (take) => takes.push(take); }")
    page.keyboard.down("s")
    lamps_become(page, [0, 1, 0, 0])
    page.keyboard.press("Backspace")
    page.wait_for_function("player.state.branches === 1")
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    page.locator("[data-act=take]").click()
    page.wait_for_function("takes.length === 1")
    timeline = Timeline.from_json(page.evaluate("takes[0]"))
    taken = stage.session.take.track()
    assert taken is not None
    assert timeline.track(len(taken)) == taken
    assert [branch["fork"] for branch in timeline.branches] == [stage.session.take.branches[0].fork]


def test_escape_pauses_and_the_keyboard_goes_on(stage: Stage) -> None:
    page = stage.playing()
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    assert stage.session.state == PAUSED
    made = stage.session.take.blocks
    page.keyboard.press("w")  # any key of the game goes on
    page.wait_for_function(f"player.playing && player.state.blocks > {made}")


def test_the_first_part_of_a_block_is_painted_before_the_block_is_made(browser: Any) -> None:
    stage = Stage(browser, TestPattern(size=(96, 160), seconds=3.0))
    page = stage.page()
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.shownFrame === 0")
    assert stage.session.take.blocks == 0
    stage.close()


def test_pictures_are_closed_and_two_batches_are_the_most(stage: Stage) -> None:
    page = stage.page()
    page.evaluate(
        """() => {
      window.open = 0;
      const { createImageBitmap: make } = window;
      window.createImageBitmap = async (blob) => { window.open += 1; return make(blob); };
      const { close } = ImageBitmap.prototype;
      ImageBitmap.prototype.close = function () { window.open -= 1; close.call(this); };
    }"""
    )
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.state.blocks >= 5")
    page.keyboard.press("Escape")
    page.wait_for_function(
        "player.state.state === 'paused' && player.pictures.pacer.waiting === 0 && window.open === 0"
    )
    (client,) = stage.server.hub.clients
    assert client.most_unacked <= 2


def test_a_gamepad_moves_and_a_resting_stick_does_not(stage: Stage) -> None:
    page = stage.playing()
    page.evaluate(SENT)
    page.evaluate(
        """() => {
      window.gamepad = { connected: true, mapping: "standard", axes: [0, 0.1, 0.1, 0], buttons: [] };
      navigator.getGamepads = () => [gamepad];
    }"""
    )
    page.evaluate("() => new Promise((done) => setTimeout(done, 400))")
    assert page.evaluate("sent.filter((m) => m.type === 'in').length") == 0
    page.evaluate("() => { gamepad.axes = [0, -0.6, 1, 0]; }")
    lamps_become(page, [1, 0, 0, 0])
    assert page.evaluate("sent.filter((m) => m.type === 'in').at(-1).stick") == [0, 0.1]


def test_two_thumbs_move_and_look_and_a_latched_key_stays(stage: Stage) -> None:
    page = stage.playing(has_touch=True)
    page.evaluate(SENT)
    if not page.locator(".mg-pad").is_visible():  # it is, where the browser says that there are fingers
        page.locator("[data-act=pad]").click()
    w, look = page.locator(".mg-key[data-lane=w]").bounding_box(), page.locator(".mg-look").bounding_box()
    touches = page.context.new_cdp_session(page)
    fingers = [
        {"x": w["x"] + w["width"] / 2, "y": w["y"] + w["height"] / 2, "id": 0},
        {"x": look["x"] + look["width"] * 0.9, "y": look["y"] + look["height"] / 2, "id": 1},
    ]
    touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": fingers})
    page.wait_for_function("sent.some((m) => m.type === 'in' && m.keys.includes('w') && m.stick[1] > 0.1)")
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("sent.at(-1).type === 'ack' || sent.at(-1).keys?.length === 0")
    page.locator("[data-act=latch]").click()
    page.locator(".mg-key[data-lane=w]").click()
    lamps_become(page, [1, 0, 0, 0])
    page.locator(".mg-key[data-lane=w]").click()
    lamps_become(page, [0, 0, 0, 0])
    page.locator(".mg-key[data-lane=w]").click()
    lamps_become(page, [1, 0, 0, 0])
    page.locator("[data-act=latch]").click()  # nothing is latched any more
    lamps_become(page, [0, 0, 0, 0])


def test_a_second_page_watches_and_may_take_over(stage: Stage) -> None:
    first = stage.playing()
    first.keyboard.down("w")
    lamps_become(first, [1, 0, 0, 0])
    second = stage.page()
    second.wait_for_function("player.connected && !player.controller && player.pictures.pacer.shown > 0")
    second.locator("[data-act=control]").click()
    second.wait_for_function("player.controller")
    first.wait_for_function("!player.controller")
    assert not first.locator("[data-act=stop]").is_enabled()
    assert first.evaluate("player.inputs.held.size") == 0


def test_a_closed_page_pauses_and_a_new_one_goes_on(stage: Stage) -> None:
    page = stage.playing()
    page.keyboard.down("w")
    lamps_become(page, [1, 0, 0, 0])
    page.close()
    again = stage.page()
    again.wait_for_function("player.controller && player.state.state === 'paused'")
    again.locator(".mgp-stage").click()
    again.wait_for_function("player.playing")
    lamps_become(again, [0, 0, 0, 0])


def test_keys_of_ones_own(stage: Stage) -> None:
    page = stage.page()
    page.locator("[data-act=keys]").click()
    page.locator("[data-bind=w]").click()
    page.keyboard.press("Control")
    assert "cannot" in page.locator(".mg-live").inner_text()
    page.locator("[data-bind=w]").click()
    page.keyboard.press("t")
    page.locator(".mgp-keys .mg-button").last.click()
    assert page.locator(".mgp-cap[data-lane=w]").inner_text() == "T"
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.playing")
    page.keyboard.down("t")
    lamps_become(page, [1, 0, 0, 0])
    page.keyboard.up("t")
    page.keyboard.down("w")
    lamps_become(page, [0, 0, 0, 0])
    assert page.evaluate("player.inputs.held.size") == 0


def test_light_and_dark_and_the_language(stage: Stage) -> None:
    dark = stage.page(color_scheme="dark")
    background = "getComputedStyle(player.root).backgroundColor"
    before = dark.evaluate(background)
    dark.emulate_media(color_scheme="light")
    assert dark.evaluate(background) != before
    zh = stage.page(locale="zh-CN")
    assert zh.locator("[data-act=record]").get_attribute("title").startswith("录制")


def test_a_wrong_token_says_so(stage: Stage) -> None:
    page = stage.browser.new_page()
    page.goto(stage.server.url[:-4] + "nope")
    page.locator(".mgp-message", has_text="wrong").wait_for()
    page.close()


def test_an_idle_session_pauses_with_the_reason(browser: Any) -> None:
    stage = Stage(browser, limits=Limits(idle=1.0, lost=1e9))
    page = stage.page()
    page.locator(".mgp-stage").click()
    page.locator(".mgp-message", has_text="no key was touched").wait_for()
    stage.close()


def test_the_demo_world_is_played_and_its_take_gives_the_same_frames(browser: Any) -> None:
    try:
        args = cli_parser().parse_args(["play", "--seed", "2"])
        played = make_played_world(args)
    except CheckpointError as error:
        pytest.skip(str(error))
    assert isinstance(played, PlayedWorld)
    played = PlayedWorld(played.models, played.start, keep_frames=True)
    stage = Stage(browser, played)
    page = stage.page()
    page.locator(".mgp-stage").click()
    page.keyboard.down("w")
    page.locator(".mgp-cap.mgp-made[data-lane=w]").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    track = stage.session.take.track()
    assert track is not None
    assert track.keyboard[:, 0].any()
    again = [block.frames[0].numpy() for block in rollout(played.models, played.start, track)]
    assert np.array_equal(np.concatenate(again), np.concatenate(list(played.frames())))
    stage.close()


def test_popped_out_and_back_and_the_whole_screen(stage: Stage) -> None:
    page = stage.playing()
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    before = page.locator(".mg-player").bounding_box()
    page.locator("[data-act=popout]").click()
    assert page.locator(".mg-player.mgp-out").count() == 1
    page.keyboard.press("w")  # the keyboard came along
    page.wait_for_function("player.playing")
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused'")
    page.locator("[data-act=popout]").click()
    assert page.locator(".mg-player").bounding_box() == before
    page.locator("[data-act=fullscreen]").click()
    page.wait_for_function("document.fullscreenElement === player.root")
    page.locator("[data-act=fullscreen]").click()
    page.wait_for_function("!document.fullscreenElement")


def test_the_link_for_others_leads_to_the_session(stage: Stage) -> None:
    page = stage.page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("[data-act=share]").click()
    page.wait_for_function("player.live.textContent.includes('clipboard')")
    other = stage.browser.new_page()
    other.goto(page.evaluate("navigator.clipboard.readText()"))
    other.wait_for_function("window.player?.connected && !player.controller")
    other.close()


def test_three_blocks_back(stage: Stage) -> None:
    page = stage.playing()
    page.wait_for_function("player.state.blocks >= 4")
    page.keyboard.press("Escape")
    page.wait_for_function("player.state.state === 'paused' && player.pictures.pacer.waiting === 0")
    made = stage.session.take.blocks
    for _ in range(3):
        page.keyboard.press("Backspace")
    page.wait_for_function(f"player.state.blocks === {made - 3}")
    page.evaluate(
        """() => {
      window.first = [];
      const { pictures } = player;
      const { queue } = pictures;
      pictures.queue = (head, ...rest) => { first.push(head.first); queue.call(pictures, head, ...rest); };
    }"""
    )
    page.keyboard.press("w")
    page.wait_for_function("first.length > 0")
    assert page.evaluate("first[0]") == 12 * (made - 3) - 3
    assert len(stage.session.take.branches) == 3


def test_a_killed_page_pauses_the_session(stage: Stage) -> None:
    page = stage.playing()
    page.keyboard.down("w")
    lamps_become(page, [1, 0, 0, 0])
    with contextlib.suppress(Exception):  # the page is gone before it can answer
        page.goto("chrome://crash", timeout=2000)
    deadline = time.monotonic() + 20
    while stage.session.state != PAUSED and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (stage.session.state, stage.session.reason) == (PAUSED, "lost")
    assert not stage.session.held.sample(12).keyboard.any()


def test_frames_are_even_though_blocks_come_80_ms_early_or_late(browser: Any) -> None:
    stage = Stage(browser, Unsteady(size=(96, 160)))
    page = stage.page()
    page.locator(".mgp-stage").click()
    even_for_a_while(page)
    stage.close()
