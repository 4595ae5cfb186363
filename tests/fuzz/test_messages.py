"""A player's server and what nobody's player sends: no traceback, no hang, bounded memory, and whoever plays plays on.

FUZZ_MESSAGES is how many are sent (default: 300); FUZZ_SEED begins another series.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from comfyui_matrixgame.play.wire.protocol import VERSION
from comfyui_matrixgame.play.wire.server import ROUTE

from ..play.client import SOON, Remote
from .messages import bother, request

COUNT = int(os.environ.get("FUZZ_MESSAGES", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = 1.0  # CPU time for a few messages
MEGABYTES = 500
ROOT = Path(__file__).parents[2]
WITHOUT_BRAKES = """
import sys
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.play.wire import server
server.REFUSE_SECONDS = 0  # that would only make this slow
server.RATE = server.BURST = server.WATCHER_RATE = server.WATCHER_BURST = 1e9
sys.exit(main(sys.argv[1:]))
"""


class Server:
    """`matrixgame play` with the test picture."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        command = [sys.executable, "-c", WITHOUT_BRAKES, "play", "--pattern", "--size", "96x64", "--no-browser"]
        self.take = folder / "take.json"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "-o", str(self.take)], cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.address, self.token = line.removeprefix("play at ").strip().split("/#")
        self.port = int(self.address.rpartition(":")[2])
        self._watched = psutil.Process(self.process.pid)

    def seconds(self) -> float:
        """CPU time up to now."""
        times = self._watched.cpu_times()
        return times.user + times.system

    def megabytes(self) -> float:
        return self._watched.memory_info().rss / 2**20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


async def play(http: aiohttp.ClientSession, server: Server) -> Remote:
    """Somebody who plays, whatever others said before: takes the controls, and sees a block with the keys held."""
    remote = Remote(await http.ws_connect(server.address + ROUTE, max_msg_size=2**24))
    await remote.say("hello", version=VERSION, token=server.token)
    await remote.until("welcome")
    await remote.say("control")
    await remote.until("roles", role="controller")
    await remote.say("mode", mode="responsive")
    await remote.say("play")
    for seq in range(1000, 1100):  # others' requests may come first, such as a pause
        await remote.say("in", keys=["a", "w"], seq=seq)
        await remote.say("play")
        if (await remote.until("frames"))["keys"][-1] == ["w", "a"]:
            return remote
    pytest.fail("What the player holds is not played.")


async def ask(server: Server, rng: random.Random) -> None:
    """Send the port something like a request, and read its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with contextlib.suppress(ConnectionError):
        writer.write(request(rng))
        writer.write_eof()
        await asyncio.wait_for(reader.read(), SOON)
    writer.close()


def test_no_message_breaks_the_server(server: Server) -> None:
    async def test() -> int:
        sent, most = 0, server.megabytes() + MEGABYTES
        async with aiohttp.ClientSession() as http:
            while sent < COUNT:
                rng = random.Random(f"{SEED}/{sent}")
                before = server.seconds()
                if rng.random() < 0.2:
                    await ask(server, rng)
                    sent += 1
                else:
                    async with http.ws_connect(server.address + ROUTE, max_msg_size=2**24, autoping=False) as socket:
                        if rng.random() < 0.9:
                            await socket.send_json({"type": "hello", "version": VERSION, "token": server.token})
                        sent += await asyncio.wait_for(bother(socket, rng, server.token, rng.randrange(1, 9)), SOON)
                assert server.seconds() - before < SECONDS, f"after message {sent}"
                assert server.megabytes() < most, f"after message {sent}"
                if sent % 100 < 8:
                    await (await play(http, server)).socket.close()
            last = await play(http, server)
            await last.say("stop")
            await last.until("state", state="finished")
        return sent

    sent = asyncio.run(test())
    assert server.process.stderr is not None
    said = server.process.stderr.read()
    assert server.process.wait(30) == 0, said
    assert "Traceback" not in said, said[-5000:]
    assert "Error" not in said, said[-5000:]
    assert json.loads(server.take.read_text())["take"]["blocks"] >= 1
    print(f"{sent} messages and requests")
