"""Floods a player's route while it is told to: `python -m bench.playing.flooder ADDRESS#TOKEN SPECTATORS`, "on" and
"off" as lines on its input. A process of its own that imports no more than it must, so that what is measured is the
server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import aiohttp

IDLE = 200  # sockets that send nothing
VERSION = 1
ON, OFF = "on\n", "off\n"


async def flood(address: str, spectators: int) -> None:
    """Idle sockets, spectators who send inputs as fast as they are taken, and wrong tokens, while told to."""
    url, token = address.split("#")
    wanted = asyncio.Event()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        sockets = [await http.ws_connect(url, max_msg_size=2**24) for _ in range(spectators)]
        for socket in sockets:
            await socket.send_json({"type": "hello", "version": VERSION, "token": token})
        print("ready", flush=True)
        tasks = [asyncio.create_task(_spectate(socket, wanted)) for socket in sockets]
        tasks += [asyncio.create_task(_idle(http, url, wanted)) for _ in range(IDLE)]
        tasks += [asyncio.create_task(_guess(http, url, wanted)) for _ in range(4)]
        while line := await reader.readline():
            if line.decode() == ON:
                wanted.set()
            else:
                wanted.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _spectate(socket: aiohttp.ClientWebSocketResponse, wanted: asyncio.Event) -> None:
    drain = asyncio.create_task(_drain(socket))
    while not socket.closed:
        await wanted.wait()
        with contextlib.suppress(ConnectionError):
            await socket.send_json({"type": "in", "keys": ["w", "d"], "look": [0.1, 0.1], "seq": 1})
        await asyncio.sleep(0.001)
    await drain


async def _drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _idle(http: aiohttp.ClientSession, url: str, wanted: asyncio.Event) -> None:
    while True:
        await wanted.wait()
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async with http.ws_connect(url) as socket:
                await socket.receive()
        await asyncio.sleep(3)  # refused, or closed for sending nothing


async def _guess(http: aiohttp.ClientSession, url: str, wanted: asyncio.Event) -> None:
    while True:
        await wanted.wait()
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async with http.ws_connect(url) as socket:
                await socket.send_json({"type": "hello", "version": VERSION, "token": "wrong" * 6})
                await socket.receive()


if __name__ == "__main__":
    os.nice(10)  # on few cores, its own CPU time must not count
    asyncio.run(flood(sys.argv[1], int(sys.argv[2])))
