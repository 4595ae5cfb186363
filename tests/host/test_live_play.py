"""Live Play in a real ComfyUI: the session is the node running, and what comes out is what was played."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

import aiohttp
import numpy as np
import pytest
from playwright.sync_api import Page

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.play.protocol import BAD_TOKEN, VERSION

from .browser import RENDERERS, SETTLED, VIEW, chromium, open_page
from .graphs import Graph
from .server import Host, Run
from .test_rollout import save_images, saved_images
from .worlds import add_models, add_world


def graph_of(prefix: str, again: bool = False) -> Graph:
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=3)
    played = graph.add(
        "MatrixGameLivePlay", "play", world=world, mode="responsive", images="always", blocks=341, idle=60
    )
    save_images(graph, played[0], f"{prefix}_live")
    if again:
        rolled = graph.add("MatrixGameRollOut", world=world, actions=played[3], images="always")
        save_images(graph, rolled[0], f"{prefix}_again")
    return graph


class Events:
    """What the host told the page while a prompt ran; `player` is started with the token."""

    def __init__(self, host: Host, player: Callable[[Host, str], Any]) -> None:
        self.host, self.player = host, player
        self.takes: list[dict[str, Any]] = []
        self.result: Any = None

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "matrixgame.play":
            self.result = asyncio.run(self.player(self.host, data["token"]))
        elif kind == "matrixgame.take":
            self.takes.append(data["timeline"])


async def walk_two_blocks_and_stop(host: Host, token: str) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{host.url}/matrixgame/play") as socket:
        await socket.send_json({"type": "hello", "version": VERSION, "token": token})
        await socket.send_json({"type": "in", "keys": ["w"], "stick": [0, 0.1], "seq": 1})
        await socket.send_json({"type": "play"})
        async for message in socket:
            if message.type != aiohttp.WSMsgType.BINARY:
                continue
            (size,) = struct.unpack_from("<I", message.data)
            head = json.loads(message.data[4 : 4 + size])
            await socket.send_json({"type": "ack", "batch": head["batch"]})
            await socket.send_json({"type": "in", "keys": ["w"], "stick": [0, 0.1], "seq": 2})
            if head.get("block") == 1 and head["part"] == 2:
                await socket.send_json({"type": "stop"})
                return


def test_the_frames_played_are_those_of_roll_out_with_the_actions(host: Host) -> None:
    events = Events(host, walk_two_blocks_and_stop)
    run: Run = host.run(graph_of("play", again=True).prompt, on_event=events)
    assert run.status == "success", run.error
    live, again = saved_images(host, "play_live"), saved_images(host, "play_again")
    assert len(live) >= 21
    assert np.array_equal(live, again)
    (take,) = events.takes
    track = Timeline.from_json(take).track()
    assert track.keyboard[:8, 0].all()


async def interrupt(host: Host, token: str) -> None:
    await asyncio.to_thread(host.post, "/interrupt", {})


def test_cancel_ends_a_session_that_waits_for_its_player(host: Host) -> None:
    run = host.run(graph_of("cancelled").prompt, on_event=Events(host, interrupt), timeout=60)
    assert run.status == "interrupted"


async def wrong_token(host: Host, token: str) -> int | None:
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{host.url}/matrixgame/play") as socket:
            await socket.send_json({"type": "hello", "version": VERSION, "token": token + "x"})
            await socket.receive()
            code = socket.close_code
        await interrupt(host, token)
        return code


def test_a_wrong_token_is_refused(host: Host) -> None:
    events = Events(host, wrong_token)
    host.run(graph_of("refused").prompt, on_event=events, timeout=60)
    assert events.result == BAD_TOKEN


PLAYER = "app.graph._nodes.find((n) => n.comfyClass === 'MatrixGameLivePlay').matrixGamePlay.player"


@pytest.mark.parametrize("renderer", list(RENDERERS))
def test_hold_w_in_the_node(host: Host, renderer: str) -> None:
    if chromium() is None:
        pytest.skip("There is no Chromium on the PATH; set CHROMIUM to one.")
    with open_page(host, RENDERERS[renderer]) as page:
        page.evaluate("(prompt) => app.loadApiJson(prompt, 'live')", graph_of(f"page_{renderer}").prompt)
        page.evaluate(SETTLED)
        show_node(page, "MatrixGameLivePlay")
        nodes = page.evaluate("app.graph._nodes.length")
        page.evaluate("() => { app.queuePrompt(0); }")
        page.wait_for_function(f"{PLAYER}?.connected", timeout=120_000)
        page.wait_for_function(f"{PLAYER}.state.state === 'ready'", timeout=60_000)
        assert "queue" in page.locator(".mgp-note").inner_text()
        page.locator(".mgp-stage").click()
        page.keyboard.down("w")
        page.locator(".mgp-cap.mgp-made[data-lane=w]").wait_for(timeout=60_000)
        page.keyboard.up("w")
        page.keyboard.press("Backspace")
        page.wait_for_function(f"{PLAYER}.state.branches === 1", timeout=60_000)
        assert page.evaluate("app.graph._nodes.length") == nodes  # the key was the player's, not the graph's
        page.keyboard.press("Escape")
        page.locator("[data-act=stop]").click()
        kept = "app.graph._nodes.find((n) => n.comfyClass === 'MatrixGameLivePlay').properties.matrixgame_take"
        page.wait_for_function(f"{kept}?.branches.length === 1", timeout=60_000)
        (branch,) = Timeline.from_json(page.evaluate(kept)).branches
        assert branch["tracks"]["w"]
        page.locator("[data-act=keep]").click()
        widget = "app.graph._nodes.flatMap((n) => n.widgets ?? []).find((w) => w.timeline)"
        page.wait_for_function(f"{widget}?.value.includes('take 1')")
        page.wait_for_function("app.ui.lastQueueSize === 0 || app.ui.lastQueueSize === undefined", timeout=60_000)
        assert not page.errors  # type: ignore[attr-defined]


def show_node(page: Page, kind: str) -> None:
    """Zoom to one node."""
    box = page.evaluate(
        "(kind) => { const n = app.graph._nodes.find((n) => n.comfyClass === kind); return [...n.pos, ...n.size]; }",
        kind,
    )
    page.evaluate(VIEW, [box[0] - 15, box[1] - 60, box[2] + 30, box[3] + 90])
    page.evaluate(SETTLED)
