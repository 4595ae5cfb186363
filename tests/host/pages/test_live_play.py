"""Live Play in a real ComfyUI: the session is the node running, and what comes out is what was played."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.play.wire.protocol import BAD_TOKEN, VERSION

from ..browser import RENDERERS, SETTLED, open_page, reload_page
from ..graphs import Graph
from ..live import Events, demo_graph, graph_of, play, play_on, said, stop, take, walk_two_blocks_and_stop
from ..runs import saved_images
from ..server import Host, Run
from ..worlds import add_models, add_video, add_world
from .on_page import PLAYER, show_node

LOST_SECONDS = 15.0  # of the node


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
    written = sorted((host.base / "output" / "matrixgame" / "takes").glob("*.json"))
    assert json.loads(written[-1].read_text()) == take
    assert written[-1].name in run.outputs["play"]["text"][0]


def test_what_was_played_is_in_the_cache(host: Host) -> None:
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=11)
    cache = graph.add("MatrixGameWorldCache", name="live", mode="automatic", limit_gb=1.0, memory_gb=0.1)
    options = {"mode": "responsive", "images": "never", "blocks": 2, "idle": 60, "cache": cache[1]}
    played = graph.add("MatrixGameLivePlay", "play", world=world, **options)
    rolled = graph.add("MatrixGameRollOut", "roll", world=world, actions=played[3], images="never", cache=cache[1])
    add_video(graph, rolled, "live_cached")
    for counts in ("2 blocks made, 0 reused", "0 blocks made, 2 reused"):
        run = host.run(graph.prompt, on_event=Events(host, hold_w_to_the_end))
        assert run.status == "success", run.error
        assert run.outputs["play"]["text"][0].startswith(counts)
        assert run.outputs["roll"]["text"][0].startswith("0 blocks made, 2 reused")


async def hold_w_to_the_end(host: Host, token: str) -> None:
    await play(host, token, 2, stop)


async def interrupt(host: Host, token: str) -> None:
    await asyncio.to_thread(host.post, "/interrupt", {})


def test_cancel_ends_a_session_that_waits_for_its_player(host: Host) -> None:
    run = host.run(graph_of("cancelled").prompt, on_event=Events(host, interrupt))
    assert run.status == "interrupted"


async def cancel_while_paused(host: Host, token: str) -> float:
    async def end(socket: Any) -> float:
        await socket.send_json({"type": "pause"})
        await said(socket, "state", state="paused")
        began = time.monotonic()
        await interrupt(host, token)
        assert (await said(socket, "state", state="finished"))["reason"] == "cancelled"
        return time.monotonic() - began

    return await play(host, token, 2, end)


def test_cancel_in_a_pause_ends_the_node_at_once_and_keeps_what_was_played(host: Host) -> None:
    events = Events(host, cancel_while_paused)
    run = host.run(graph_of("kept").prompt, on_event=events)
    assert run.status == "success", run.error
    assert events.result < 10  # a pause without a look at it would last a minute
    assert len(saved_images(host, "kept_live")) >= 21
    assert len(events.takes) == 1


async def leave(host: Host, token: str) -> str:
    await play(host, token, 1, lambda socket: socket.close())
    events = Events(host, walk_two_blocks_and_stop)
    second = asyncio.to_thread(host.run, graph_of("second").prompt, events)
    began = time.monotonic()
    assert (await second).status == "success"
    assert time.monotonic() - began < LOST_SECONDS + 15
    return token


def test_a_player_who_is_lost_frees_the_queue_and_the_take_can_be_fetched(host: Host) -> None:
    events = Events(host, leave)
    run = host.run(graph_of("lost").prompt, on_event=events)
    assert run.status == "success", run.error
    assert len(saved_images(host, "lost_live")) >= 9
    over = host.post("/matrixgame/take", {"token": events.result})
    assert over["state"] == "over"
    assert over["node"] == "play"
    assert [over["timeline"]] == events.takes
    assert host.post("/matrixgame/take", {"token": "another"}) == {"state": "unknown"}


async def play_and_be_watched(host: Host, token: str) -> list[dict[str, Any]]:
    """What a spectator in the same graph is told and shown while another plays; it tries to play too."""
    seen: list[dict[str, Any]] = []

    async def watch() -> None:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{host.url}/matrixgame/play") as socket:
            await socket.send_json({"type": "hello", "version": VERSION, "token": token})
            seen.append(await said(socket, "roles"))
            joined.set()
            await socket.send_json({"type": "in", "keys": ["s"], "seq": 1})
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    seen.append({"type": "frames", **await take(socket, message.data)})
                elif message.type == aiohttp.WSMsgType.TEXT:
                    seen.append(json.loads(message.data))
                    if seen[-1].get("state") == "finished":
                        return

    async with aiohttp.ClientSession() as http, http.ws_connect(f"{host.url}/matrixgame/play") as first:
        await first.send_json({"type": "hello", "version": VERSION, "token": token})
        await said(first, "roles", role="controller")
        joined = asyncio.Event()
        watching = asyncio.create_task(watch())
        await joined.wait()
        await play_on(first, 2, stop)
        await asyncio.wait_for(watching, 30)
    return seen


def test_a_spectator_in_the_graph_sees_frames_and_does_not_play(host: Host) -> None:
    events = Events(host, play_and_be_watched)
    run = host.run(graph_of("watched").prompt, on_event=events)
    assert run.status == "success", run.error
    roles, *seen = events.result
    assert roles["role"] == "spectator"
    assert any(message["type"] == "error" and message["id"] == "spectator" for message in seen)
    assert {message["block"] for message in seen if message["type"] == "frames" and "block" in message} >= {0, 1}
    (take,) = events.takes
    keys = Timeline.from_json(take).track().keyboard
    assert keys[:8, 0].all()  # w, of the one who plays
    assert not keys[:, 1].any()  # and never the spectator's s


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
    host.run(graph_of("refused").prompt, on_event=events)
    assert events.result == BAD_TOKEN


@pytest.fixture
def patient(page_host: Host) -> Iterator[None]:
    """Live Play waits for its page: a busy machine may need longer than LOST_SECONDS to load it again."""
    page_host.post("/probe/lost", {"seconds": 600.0})
    yield
    page_host.post("/probe/lost", {"seconds": LOST_SECONDS})


@pytest.mark.alternates
@pytest.mark.usefixtures("patient")
def test_hold_w_in_the_node(browser: Any, page_host: Host, renderer: str) -> None:
    with open_page(browser, page_host, RENDERERS[renderer]) as page:
        page.evaluate("(prompt) => app.loadApiJson(prompt, 'live')", demo_graph().prompt)
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
        page.locator("[data-act=popout]").click()
        assert page.locator("body > .mg-player.mgp-out").count() == 1
        page.locator("[data-act=popout]").click()
        assert page.locator("body > .mg-player").count() == 0
        reload_page(page)  # the workflow comes back, and its session with it
        page.wait_for_function(f"{PLAYER}?.controller && {PLAYER}.state.branches === 1", timeout=60_000)
        show_node(page, "MatrixGameLivePlay")
        if folder := os.environ.get("PLAY_SHOTS"):
            page.screenshot(path=f"{folder}/{renderer}.png")
        page.keyboard.press("Escape")
        page.locator("[data-act=stop]").click()
        kept = "app.graph._nodes.find((n) => n.comfyClass === 'MatrixGameLivePlay').properties.matrixgame_take"
        page.wait_for_function(f"{kept}?.branches.length === 1", timeout=60_000)
        (branch,) = Timeline.from_json(page.evaluate(kept)).branches
        assert branch["tracks"]["w"]
        page.locator("[data-act=landed]").wait_for()  # by itself: nobody was asked
        landed = "app.graph._nodes.flatMap((n) => n.widgets ?? []).find((w) => w.timeline)"
        document = Timeline.from_text(page.evaluate(f"{landed}.value"))
        assert [kept["name"] for kept in document.branches] == ["take 1", "take 2"]
        assert document.active == "take-2"
        assert document.track() == Timeline.from_json(page.evaluate(kept)).track(len(document.track()))
        page.wait_for_function("app.ui.lastQueueSize === 0 || app.ui.lastQueueSize === undefined", timeout=60_000)
        assert not page.errors  # type: ignore[attr-defined]
