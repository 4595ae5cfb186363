"""Players who come and go at any moment, and the terminal command from its address to the take on disk."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.play.session import FINISHED, PLAYING
from comfyui_matrixgame.play.take import Take
from comfyui_matrixgame.play.wire.protocol import VERSION
from comfyui_matrixgame.play.wire.server import ROUTE
from comfyui_matrixgame.terminal.play_server import Server, keep_take
from comfyui_matrixgame.variants import UNIVERSAL

from .client import Playing, Remote, playing

AT_ONCE = 8
VISITS = 1000


async def visit(here: Playing, rng: random.Random) -> None:
    """Come, do some of what players do, and go without a word."""
    socket = await here.socket(autoping=False)
    remote = Remote(socket)
    stay = rng.randrange(5)
    if stay > 0:
        await remote.say("hello", version=VERSION, token=here.hub.token)
    if stay > 1:
        await remote.say("in", keys=["w"], seq=1)
        await remote.say("control")
        await remote.say("in", keys=["w", "d"], seq=2)
    if stay > 2:
        await remote.say("play")
    if stay > 3:
        await remote.next()
    assert socket._response.connection is not None
    transport = socket._response.connection.transport
    if transport is not None and rng.random() < 0.5:
        transport.abort()  # a killed page, a closed laptop
    else:
        await socket.close()


def test_a_thousand_visits_leave_nothing_held_and_nobody_behind() -> None:
    async def test() -> None:
        rng = random.Random(8)
        async with playing() as here:
            for _ in range(VISITS // AT_ONCE):
                await asyncio.gather(*(visit(here, rng) for _ in range(AT_ONCE)))
            while here.hub.clients or here.session.state == PLAYING:
                await asyncio.sleep(0.05)
            assert here.hub.controller is None
            assert not here.session.held.sample(12).keyboard.any()
            blocks = here.session.take.blocks
            player = await here.join()
            await player.until("roles", role="controller")
            await player.say("play")
            assert (await player.until("frames", block=blocks))["keys"] == [[]] * (4 if blocks else 1)
            assert len(asyncio.all_tasks()) < 20

    asyncio.run(asyncio.wait_for(test(), 240))


def test_the_command_from_its_address_to_the_take(tmp_path: Path) -> None:
    output = tmp_path / "take.json"
    command = [sys.executable, "-m", "comfyui_matrixgame", "play", "--pattern", "--size", "160x96", "--no-browser"]
    running = subprocess.Popen(
        [*command, "-o", str(output)], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        assert running.stderr is not None
        line = running.stderr.readline()
        address, token = line.removeprefix("play at ").strip().split("/#")

        async def stop_after_a_block() -> None:
            async with aiohttp.ClientSession() as http:
                page = await http.get(address + "/web/player/player.mjs")
                assert "javascript" in page.content_type
                remote = Remote(await http.ws_connect(address + ROUTE))
                await remote.say("hello", version=VERSION, token=token)
                await remote.say("play")
                await remote.until("frames", block=1)
                await remote.say("stop")
                await remote.until("state", state=FINISHED)

        asyncio.run(asyncio.wait_for(stop_after_a_block(), 60))
        assert running.wait(30) == 0
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
    assert json.loads(output.read_text())["take"]["seed"] == 0
    assert Timeline.from_text(output.read_text()).length >= 21


def test_a_take_overwrites_nothing(tmp_path: Path) -> None:
    take = Take(UNIVERSAL)
    path = tmp_path / "take.json"
    assert keep_take(take, path) is None
    assert not path.exists()
    take.add(ActionTrack.idle(UNIVERSAL, 8))
    assert [keep_take(take, path) for _ in range(3)] == [path, tmp_path / "take-2.json", tmp_path / "take-3.json"]


def test_a_port_that_is_taken_is_a_sentence() -> None:
    first = Server("127.0.0.1", 0)
    with pytest.raises(MatrixGameError, match="--port"):
        Server("127.0.0.1", int(first.url.split(":")[2].split("/")[0]))
    first.stop()
