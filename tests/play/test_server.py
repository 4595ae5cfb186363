"""The route: who is let in, what is refused, and that nobody slows the player down."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.play.pattern import CELL
from comfyui_matrixgame.play.session import Limits
from comfyui_matrixgame.play.wire import server as server_module
from comfyui_matrixgame.play.wire.hub import MOST_CLIENTS, UNACKED
from comfyui_matrixgame.play.wire.origin import is_loopback
from comfyui_matrixgame.play.wire.protocol import (
    BAD_MESSAGE,
    BAD_TOKEN,
    MAX_MESSAGE,
    TIMED_OUT,
    VERSION,
    WRONG_VERSION,
    ProtocolError,
    read_message,
)
from comfyui_matrixgame.play.wire.server import STRANGERS, WATCHER_BURST, WATCHER_RATE, Bucket
from comfyui_matrixgame.terminal.play import check_address

from .client import playing

pytest.importorskip("aiohttp")


def run(test: Any) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_keys_come_back_in_the_picture_and_the_take() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            assert (await player.until("roles"))["role"] == "controller"
            await player.say("in", keys=["w", "d"], seq=7)
            await player.say("play")
            frames = await player.until("frames", seq=7, part=2)
            assert frames["keys"] == [["w", "d"]] * 4
            pixels = np.asarray(Image.open(io.BytesIO(frames["pictures"][-1])).convert("L"))
            lamps = [int(pixels[-CELL // 2, k * CELL + CELL // 2]) > 128 for k in range(4)]
            assert lamps == [True, False, False, True]
            await player.say("in", keys=[], seq=8)
            assert (await player.until("frames", seq=8))["keys"] == [[]] * 4
            await player.say("stop")
            await player.until("state", state="finished")
            await player.say("take")
            timeline = Timeline.from_json((await player.until("take"))["timeline"])
            assert timeline.track(8).keyboard[:, 3].all()
            assert "permessage-deflate" not in player.socket._response.headers.get("Sec-WebSocket-Extensions", "")

    run(test)


def test_the_first_part_of_a_block_comes_before_the_block_is_made() -> None:
    async def test() -> None:
        async with playing(seconds=0.6) as here:
            player = await here.join()
            await player.say("play")
            await player.until("frames", part=0, block=0)
            assert here.session.take.blocks == 0

    run(test)


def test_a_client_that_acknowledges_nothing_gets_two_batches_and_the_session_waits() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            await player.until("state")
            player.acknowledges = False
            await player.say("play")
            await player.until("frames")
            made = -1
            while made != here.session.take.blocks:
                made = here.session.take.blocks
                await asyncio.sleep(0.8)
            (client,) = here.hub.clients
            assert client.most_unacked <= UNACKED
            assert made <= 2
            player.acknowledges = True
            for header in player.pictures:
                await player.say("ack", batch=header["batch"])
            await player.until("frames", block=made + 1)

    run(test)


def test_a_slow_spectator_holds_nobody_up_and_sees_the_newest() -> None:
    async def test() -> None:
        async with playing() as here:
            player, spectator = await here.join(), await here.join()
            assert (await spectator.until("roles"))["role"] == "spectator"
            spectator.acknowledges = False
            await player.say("play")
            for block in range(4):
                await player.until("frames", block=block, part=2)
            assert here.hub.clients[1].most_unacked <= UNACKED
            assert len(here.hub.clients[1].waiting) <= 1
            await spectator.say("play")
            assert (await spectator.until("error"))["id"] == "spectator"
            await spectator.say("control")
            await spectator.until("roles", role="controller")
            await player.until("roles", role="spectator")

    run(test)


def test_a_player_who_leaves_holds_nothing_and_may_come_back() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            await player.say("in", keys=["w"], seq=1)
            await player.say("play")
            await player.until("frames")
            await player.socket.close()
            while here.session.state == "playing":
                await asyncio.sleep(0.05)
            assert here.session.reason == "lost"
            assert here.session.held._now.keys == ()
            again = await here.join()
            assert (await again.until("state"))["blocks"] >= 1
            await again.say("play")
            assert (await again.until("frames"))["keys"] == [[]] * 4

    run(test)


def test_a_lost_player_ends_a_session_that_holds_a_queue() -> None:
    async def test() -> None:
        async with playing(Limits(idle=1e9, lost=0.3, finish=True)) as here:
            player = await here.join()
            await player.say("play")
            await player.until("frames")
            await player.socket.close()
            while here.session.state != "finished":
                await asyncio.sleep(0.05)
            assert here.session.take.blocks >= 1

    run(test)


def test_who_comes_after_the_end_sees_it_without_the_engine() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            await player.say("play")
            await player.until("frames", block=0, part=2)
            await player.say("stop")
            await player.until("state", state="finished")
            del here.session.played  # what it needs is gone when it is closed
            late = await here.join()
            assert late.heard[0]["width"] == 96
            assert (await late.until("state"))["state"] == "finished"
            await late.say("take")
            assert (await late.until("take"))["timeline"]["take"]["blocks"] >= 1
            assert late.pictures[0]["pictures"]

    run(test)


def test_a_take_is_written_beside_the_loop_which_serves_everybody() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            threads, write = [], here.session.take.timeline

            def timeline() -> Timeline:
                threads.append(threading.get_ident())
                time.sleep(1.5)
                return write()

            here.session.take.timeline = timeline  # type: ignore[method-assign]
            for _ in range(3):  # one is enough while it is being written
                await player.say("take")
                await asyncio.sleep(0.4)
            await player.until("take")
            assert len(threads) == 1
            assert threads != [threading.get_ident()]

    run(test)


def test_rewinding_goes_on_from_the_right_frame() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            await player.say("play")
            await player.until("frames", block=4, part=2)
            await player.say("pause")
            blocks = (await player.until("state", state="paused"))["blocks"]
            await player.say("rewind", blocks=3)
            state = await player.until("state", blocks=blocks - 3)
            assert state["branches"] == 1
            await player.say("play")
            assert (await player.until("frames"))["first"] == 12 * (blocks - 3) - 3

    run(test)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"type": "hello", "version": VERSION, "token": "wrong"}, BAD_TOKEN),
        ({"type": "hello", "version": VERSION}, BAD_MESSAGE),
        ({"type": "hello", "version": VERSION + 1, "token": "x"}, WRONG_VERSION),
        ({"type": "play"}, BAD_TOKEN),
        ("{", BAD_MESSAGE),
        ("[" * 5000, BAD_MESSAGE),
        ("x" * (MAX_MESSAGE + 1), 1009),
    ],
)
def test_strangers_are_refused(said: Any, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REFUSE_SECONDS", 0.05)

    async def test() -> None:
        async with playing() as here:
            from .client import Remote

            remote = Remote(await here.socket())
            await remote.socket.send_str(said if isinstance(said, str) else json.dumps(said))
            assert await remote.closed() == code
            assert not here.hub.clients

    run(test)


@pytest.mark.parametrize(
    "said",
    [
        "null", "[]", "{}", '{"type": 3}', '{"type": "fly"}', '{"type": "in", "keys": "w"}',
        '{"type": "in", "keys": ["\\u0000"]}', '{"type": "in", "look": [1]}', '{"type": "in", "look": [true, 0]}',
        '{"type": "in", "stick": [NaN, 0]}', '{"type": "in", "seq": -1}', '{"type": "rewind", "blocks": 1.5}',
        '{"type": "rewind"}', '{"type": "mode", "mode": "psychic"}', '{"type": "record", "on": 1}', '{"type": "ack"}',
    ],
)  # fmt: skip
def test_malformed_messages_are_refused(said: str) -> None:
    with pytest.raises(ProtocolError):
        read_message(said)


def test_a_malformed_message_closes_the_socket_and_the_session_goes_on() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            await player.socket.send_bytes(b"\0")
            assert await player.closed() == BAD_MESSAGE
            assert (await (await here.join()).until("roles"))["role"] == "controller"

    run(test)


def test_foreign_pages_and_names_are_refused() -> None:
    async def test() -> None:
        async with playing() as here:
            port = here.server.port
            for headers in (
                {"Origin": "https://elsewhere.example"},
                {"Origin": "null"},
                {"Origin": f"http://127.0.0.1:{(port or 0) + 1}"},
                {"Host": f"elsewhere.example:{port}"},
            ):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await here.socket(headers=headers)
                assert refused.value.status == 403
            socket = await here.socket(headers={"Origin": f"http://127.0.0.1:{port}"})
            await socket.close()

    run(test)


def test_sockets_that_say_nothing_are_bounded_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HELLO_SECONDS", 1.5)

    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            tried = await asyncio.gather(*(here.socket() for _ in range(2 * STRANGERS)), return_exceptions=True)
            silent = [one for one in tried if isinstance(one, aiohttp.ClientWebSocketResponse)]
            await player.say("play")
            await player.until("frames", block=1)
            ends = [await one.receive() for one in silent]
            timed_out = [end for end in ends if end.data == TIMED_OUT]  # the rest made room for those
            assert 1 <= len(timed_out) <= STRANGERS

    run(test)


def test_a_flood_is_read_no_faster_than_a_hand_plays() -> None:
    now = [0.0]
    bucket = Bucket(rate=100, burst=10, clock=lambda: now[0])
    assert [bucket.wait_for() for _ in range(10)] == [0.0] * 10
    assert [bucket.wait_for() for _ in range(3)] == pytest.approx([0.01, 0.02, 0.03])
    now[0] = 10.0
    assert bucket.wait_for() == 0.0


def test_others_are_let_in_only_with_a_token_of_their_own() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"):
        assert is_loopback(host)
        check_address(host, "")
    for host in ("0.0.0.0", "::", "192.168.1.4", "example.org", ""):
        assert not is_loopback(host)
        with pytest.raises(MatrixGameError, match="--token"):
            check_address(host, "short")
        check_address(host, "a secret of some length")


def test_a_closed_laptop_holds_nothing_and_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEARTBEAT", 1.0)

    async def test() -> None:
        async with playing() as here:
            player = await here.join(autoping=False)  # from here on it answers nothing, and closes nothing
            await player.say("in", keys=["w"], seq=1)
            await player.say("play")
            frames = await player.until("frames", seq=1)
            assert frames["keys"][0] == ["w"]
            began = asyncio.get_running_loop().time()
            while here.session.state == "playing":
                await asyncio.sleep(0.05)
            assert asyncio.get_running_loop().time() - began < 10
            assert here.session.reason == "lost"
            assert not here.session.held.sample(12).keyboard.any()
            assert here.session.take.blocks >= 1

    run(test)


def test_a_flood_from_everyone_leaves_the_processor_to_the_model() -> None:
    async def test() -> None:
        async with playing() as here:
            player = await here.join()
            watchers = [await here.join() for _ in range(MOST_CLIENTS - 1)]
            read = 0
            real = here.hub.receive

            def counted(*message: Any) -> None:
                nonlocal read
                read += 1
                real(*message)

            here.hub.receive = counted  # type: ignore[method-assign]
            for _ in range(100):
                for watcher in watchers:
                    await watcher.say("in", keys=["w", "d"], seq=1)
            await asyncio.sleep(1.0)
            # what is read takes some 0.1 ms each: 16 sockets together less than a twentieth of one core
            assert read <= len(watchers) * (WATCHER_BURST + 3 * WATCHER_RATE)
            assert read / (MOST_CLIENTS - 1) > WATCHER_RATE
            assert not player.socket.closed
            assert not here.session.held.sample(12).keyboard.any()

    run(test)
