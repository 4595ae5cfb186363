"""Live Play in a host without a page: graphs with a session, and players of it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

import aiohttp

from comfyui_matrixgame.play.wire.protocol import VERSION

from .graphs import Graph
from .runs import save_images
from .server import Host
from .worlds import add_models, add_world

PATIENCE = 120.0  # seconds of one player: a test that waits for what does not come ends


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
            self.result = asyncio.run(asyncio.wait_for(self.player(self.host, data["token"]), PATIENCE))
        elif kind == "matrixgame.take":
            self.takes.append(data["timeline"])


async def play(host: Host, token: str, blocks: int, end: Callable[[Any], Any], key: str = "w") -> Any:
    """Hold a key for so many blocks, then do what `end` does with the socket."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{host.url}/matrixgame/play") as socket:
        await socket.send_json({"type": "hello", "version": VERSION, "token": token})
        return await play_on(socket, blocks, end, key)


async def play_on(socket: Any, blocks: int, end: Callable[[Any], Any], key: str = "w") -> Any:
    """The same for a player who has joined already."""
    await socket.send_json({"type": "in", "keys": [key], "stick": [0, 0.1], "seq": 1})
    await socket.send_json({"type": "play"})
    async for message in socket:
        if message.type != aiohttp.WSMsgType.BINARY:
            continue
        head = await take(socket, message.data)
        await socket.send_json({"type": "in", "keys": [key], "stick": [0, 0.1], "seq": 2})
        if head.get("block") == blocks - 1 and head["part"] == 2:
            return await end(socket)


async def take(socket: Any, batch: bytes) -> dict[str, Any]:
    """Acknowledge a batch of frames, without which no further block is made; returns what it says about them."""
    (size,) = struct.unpack_from("<I", batch)
    head = json.loads(batch[4 : 4 + size])
    await socket.send_json({"type": "ack", "batch": head["batch"]})
    return head


async def stop(socket: Any) -> None:
    await socket.send_json({"type": "stop"})


async def walk_two_blocks_and_stop(host: Host, token: str) -> None:
    await play(host, token, 2, stop)


async def back_and_on(host: Host, token: str) -> None:
    """Two blocks forward, one back, two to the side: three blocks in the end."""

    async def back(socket: Any) -> None:
        await socket.send_json({"type": "pause"})
        blocks = (await said(socket, "state", state="paused"))["blocks"]
        await socket.send_json({"type": "rewind", "blocks": blocks - 1})
        await said(socket, "state", blocks=1)
        await play_on(socket, 3, stop, "a")

    await play(host, token, 2, back)


async def said(socket: Any, kind: str, **wanted: Any) -> dict[str, Any]:
    """The next message of this kind and content; frames that come before it are acknowledged."""
    async for message in socket:
        if message.type == aiohttp.WSMsgType.BINARY:
            await take(socket, message.data)
        elif message.type == aiohttp.WSMsgType.TEXT:
            heard = json.loads(message.data)
            if heard["type"] == kind and all(heard[name] == value for name, value in wanted.items()):
                return heard
    raise ConnectionError


DEMO = "demo world (built in)"


def demo_graph() -> Graph:
    graph = Graph()
    model = graph.add("MatrixGameLoadGenerator", file=DEMO, dtype="auto", attention="auto")
    vae = graph.add("MatrixGameLoadVAE", file=DEMO, decoder="full", dtype="auto")
    world = graph.add("MatrixGameStartWorld", model=model, vae=vae, seed=3, width=0, height=0)
    graph.add("MatrixGameLivePlay", "play", world=world, mode="responsive", images="never", blocks=341, idle=600)
    return graph
