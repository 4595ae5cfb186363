"""A ComfyUI that is killed in a rollout with a World Cache, or in live play: the next one reuses what is stored, and
makes the same bytes."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.play.wire.protocol import VERSION, jpeg

from ..host.cached import cached, finished, frames_of
from ..host.conftest import make_base
from ..host.graphs import Graph
from ..host.runs import save_images, saved_images
from ..host.server import Host
from ..host.worlds import add_models, add_world
from ..play.client import unpack
from .chains import PATIENCE, SEED, STOPS, agree, see, send, share

WALK = ["w 8f", "w+right(0.1) 12f", "w 12f", "d 12f", "s 13f"]  # a block each
COUNTS = re.compile(r"(\d+) blocks made, (\d+) reused")

pytestmark = [pytest.mark.host, pytest.mark.timeout(PATIENCE)]


class Hosts:
    """A ComfyUI that is started again whenever it was killed."""

    def __init__(self, base: Path, chance: random.Random) -> None:
        self.base, self.chance = base, chance
        self.cache = base / "output" / "matrixgame" / "cache"
        self.running = Host(base)

    def stopped_in(self, graph: Graph, number: int, when: Callable[[str, dict[str, Any]], bool]) -> None:
        """Run a graph, and stop the host when an event of the run is the right one; then start another."""

        def look(kind: str, data: dict[str, Any]) -> None:
            if when(kind, data):
                send(self.running.process.pid, number)

        with suppress(OSError, aiohttp.ClientError):  # nobody answers any more
            self.running.run(graph.prompt, on_event=look)
        assert self.running.process.wait(60) == -number, self.running.log()[-2000:]
        assert "Traceback" not in self.running.log()
        self.running = Host(self.base)

    def run(self, graph: Graph, node: str) -> tuple[int, int]:
        """Run a graph; returns the blocks that a node made and reused."""
        run = self.running.run(graph.prompt)
        assert run.status == "success", run.error
        counts = COUNTS.match(run.outputs[node]["text"][0])
        assert counts is not None
        return int(counts[1]), int(counts[2])


@contextmanager
def hosts(base: Path) -> Iterator[Hosts]:
    """See Hosts."""
    made = Hosts(make_base(base), random.Random(SEED))
    try:
        yield made
    finally:
        made.running.stop()


@pytest.mark.slow
def test_a_killed_host_goes_on(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    count = share(10)
    with hosts(tmp_path / "base") as here:
        calm = undisturbed(here)
        for turn in range(count):
            number = STOPS[turn // 2 % 2] if count > 2 else STOPS[turn]
            if turn % 2 == 0:
                stop_in_rollout(here, f"p{turn}", number, calm)
            else:
                stop_in_play(here, f"p{turn}", number, turn)
            print(f"host: stop {turn + 1}, {number.name} in {'live play' if turn % 2 else 'a rollout'}")
    print(f"host: {count} stops")


def undisturbed(here: Hosts) -> dict[str, bytes]:
    """What an undisturbed rollout stores."""
    graph, rolled = cached(WALK, "calm")
    here.run(graph, rolled.node)
    return finished(BlockCache(here.cache, "calm"))


def stop_in_rollout(here: Hosts, project: str, number: int, calm: dict[str, bytes]) -> None:
    """Stop it at a random part of its way."""
    graph, rolled = cached(WALK, project)
    part = here.chance.uniform(0, 0.95)

    def there(kind: str, data: dict[str, Any]) -> bool:
        return kind == "progress" and data["node"] == rolled.node and data["value"] >= part * data["max"]

    here.stopped_in(graph, number, there)
    stored = len(finished(BlockCache(here.cache, project)))
    made, reused = here.run(graph, rolled.node)
    assert made + reused == len(WALK)
    assert reused >= stored // 2  # latents and frames
    assert finished(BlockCache(here.cache, project)) == calm
    videos = here.running.output_files("cached_*.mp4")
    np.testing.assert_array_equal(frames_of(videos[-1]), frames_of(videos[0]))


def stop_in_play(here: Hosts, project: str, number: int, seed: int) -> None:
    """Stop it while a block is made, when two at least were played."""
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=seed)
    cache = graph.add("MatrixGameWorldCache", name=project, mode="automatic", limit_gb=1.0, memory_gb=0.1)
    options = {"mode": "responsive", "images": "always", "blocks": 341, "idle": 60}
    played = graph.add("MatrixGameLivePlay", "play", world=world, cache=cache[1], **options)
    save_images(graph, played[0], f"{project}_live")
    seen: list[list[str]] = []

    def play(kind: str, data: dict[str, Any]) -> bool:
        if kind != "matrixgame.play":
            return False
        last = here.chance.randint(2, 4), here.chance.randrange(3)
        stop = functools.partial(send, here.running.process.pid, number)
        playing = hold_keys(here.running.url, data["token"], seen, last, stop)
        asyncio.run(asyncio.wait_for(playing, 120))  # seconds
        return False

    here.stopped_in(graph, number, play)
    take = sorted((here.base / "output" / "matrixgame" / "takes").glob("take_*.json"))[-1]
    document = json.loads(take.read_text())
    blocks = document["take"]["blocks"]
    assert 1 <= blocks <= len(seen)
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=seed)
    cache = graph.add("MatrixGameWorldCache", name=project, mode="automatic", limit_gb=1.0, memory_gb=0.1)
    actions = graph.add("MatrixGameActionTimeline", variant="universal", script=json.dumps(document))
    rolled = graph.add("MatrixGameRollOut", world=world, actions=actions, images="always", cache=cache[1])
    save_images(graph, rolled[0], f"{project}_again")
    _, reused = here.run(graph, rolled.node)
    assert reused >= blocks - 1  # the cache may have been writing one
    again = iter(saved_images(here.running, f"{project}_again"))
    for block, digests in enumerate(seen[:blocks]):
        frames = itertools.islice(again, 12 if block else 9)
        assert agree(digests, [hashlib.sha256(jpeg(frame)).hexdigest() for frame in frames])


async def hold_keys(
    url: str, token: str, seen: list[list[str]], last: tuple[int, int], stop: Callable[[], None]
) -> None:
    """Play until a part of a block has come, then stop; seen: digests of each block's frames."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/matrixgame/play", max_msg_size=0) as socket:
        await socket.send_json({"type": "hello", "version": VERSION, "token": token})
        await socket.send_json({"type": "in", "keys": ["w"], "stick": [0, 0.1], "seq": 1})
        await socket.send_json({"type": "play"})
        async for message in socket:
            if message.type != aiohttp.WSMsgType.BINARY:
                continue
            batch = unpack(message.data)
            await socket.send_json({"type": "ack", "batch": batch["batch"]})
            if "block" not in batch:
                continue
            see(seen, batch)
            key = "wasd"[batch["block"] % 4]
            await socket.send_json({"type": "in", "keys": [key], "stick": [0, 0.1], "seq": 2})
            if (batch["block"], batch["part"]) == last:
                stop()
