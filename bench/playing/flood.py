"""What a flooded route costs the player: blocks of the demo world, flooded and quiet by turns."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

import aiohttp
import torch

from comfyui_matrixgame.play.session import Limits, Session
from comfyui_matrixgame.play.wire.hub import MOST_CLIENTS
from comfyui_matrixgame.play.wire.protocol import VERSION
from comfyui_matrixgame.play.wire.server import ROUTE
from comfyui_matrixgame.terminal.main import parser
from comfyui_matrixgame.terminal.play import make_played_world
from comfyui_matrixgame.terminal.play_server import Server

from .flooder import IDLE, OFF, ON

TURN = 3.0  # seconds of flood or quiet
SPECTATORS = MOST_CLIENTS - 1


def measure(seconds: float) -> dict[str, Any]:
    """Play for this long; returns milliseconds of a block, and the server thread's share of one core in percent."""
    torch.set_num_threads(1)
    played = make_played_world(parser().parse_args(["play"]))
    server = Server("127.0.0.1", 0)
    session = Session(played, server.hub.listen, limits=Limits(1e9, 1e9))
    server.hub.session = session
    made: list[tuple[float, float]] = []
    make = played.make

    def timed(*args: Any) -> None:
        began = time.perf_counter()
        make(*args)
        made.append((began, time.perf_counter() - began))

    played.make = timed  # type: ignore[method-assign]
    thread = threading.Thread(target=session.run)
    thread.start()
    floods, shares = _by_turns(server, session, seconds)
    session.stop()
    thread.join()
    server.stop()
    played.close()
    blocks = {name: [1000 * took for at, took in made[1:] if _in(at, took, spans)] for name, spans in floods.items()}
    medians = {name: statistics.median(values) for name, values in blocks.items()}
    return {
        "idle_sockets": IDLE, "flooding_spectators": SPECTATORS, "blocks": {name: len(v) for name, v in blocks.items()},
        "block_ms": {name: round(value, 1) for name, value in medians.items()},
        "flooded_over_quiet": round(medians["flooded"] / medians["quiet"], 3),
        "server_thread_percent_of_a_core": {name: round(100 * statistics.median(s), 2) for name, s in shares.items()},
    }  # fmt: skip


Spans = dict[str, list[tuple[float, float]]]


def _by_turns(server: Server, session: Session, seconds: float) -> tuple[Spans, dict[str, list[float]]]:
    """Flooded and quiet spans, and what share of one core the server's thread took in each."""
    address = server.url.replace("/#", f"{ROUTE}#")
    player = threading.Thread(target=lambda: asyncio.run(play(address, session)))
    player.start()
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench.playing.flooder", address, str(SPECTATORS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert flood.stdin is not None
    assert flood.stdout is not None
    flood.stdout.readline()  # all spectators are there
    clock = time.pthread_getcpuclockid(server._thread.ident)  # type: ignore[arg-type]
    spans: Spans = {"quiet": [], "flooded": []}
    shares: dict[str, list[float]] = {"quiet": [], "flooded": []}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, word in (("quiet", OFF), ("flooded", ON)):
            flood.stdin.write(word)
            flood.stdin.flush()
            time.sleep(0.5)
            began, used = time.perf_counter(), time.clock_gettime(clock)
            time.sleep(TURN)
            spans[name].append((began, time.perf_counter()))
            shares[name].append((time.clock_gettime(clock) - used) / (time.perf_counter() - began))
    session.stop()
    player.join()
    flood.stdin.close()
    flood.wait(30)
    return spans, shares


def _in(at: float, took: float, spans: list[tuple[float, float]]) -> bool:
    return any(begin <= at and at + took <= end for begin, end in spans)


async def play(address: str, session: Session) -> None:
    """The player: acknowledges what comes, holds W."""
    url, token = address.split("#")
    async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=2**24) as socket:
        await socket.send_json({"type": "hello", "version": VERSION, "token": token})
        await socket.send_json({"type": "play"})
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                size = int.from_bytes(message.data[:4], "little")
                await socket.send_json({"type": "ack", "batch": json.loads(message.data[4 : 4 + size])["batch"]})
                await socket.send_json({"type": "in", "keys": ["w"], "seq": 1})
            if session.state == "finished":
                return
