"""The pack's routes and Live Play's socket in a real ComfyUI, and what nobody's page sends: no traceback, no answer of
5xx, nothing deleted, and whoever plays plays on.

FUZZ_MESSAGES is how many are sent to each of the two (default: 120); FUZZ_SEED begins another series.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from comfyui_matrixgame.play.wire.protocol import VERSION

from ...fuzz.damage import damaged
from ...fuzz.messages import HEADERS, WORDS, bother, value
from ...play.client import SOON, Remote
from ..live import Events, graph_of
from ..server import Host

COUNT = int(os.environ.get("FUZZ_MESSAGES", "120"))
SECONDS = 300 + COUNT / 4  # for a test: on a busy machine a message takes a tenth of one
pytestmark = pytest.mark.timeout(SECONDS + 300)
SEED = int(os.environ.get("FUZZ_SEED", "1"))
NAMES = (*WORDS, "kept", "..", "../kept", "kept/..", "a\\..\\b", "con", "a" * 300, ".hidden", "ä", "%2e%2e", "0" * 40)
ROUTES = (
    ("POST", "strip"), ("POST", "take"), ("GET", "cache"), ("GET", "cache/{}/thumbnail"), ("POST", "cache/{}/free"),
    ("POST", "cache/{}/forget"), ("GET", "cache/{}/frame/{}"), ("GET", "play"),
)  # fmt: skip
FIELDS = ("node", "script", "variant", "token")
# These would not be single requests; the last makes core's own check of origins answer 500 before the pack is asked.
NOT_ASKED = (
    "Content-Length", "Transfer-Encoding", "Host", "A\0", ": empty", "no colon", "Expect", "Upgrade", "Origin: http://[",
)  # fmt: skip


def request(rng: random.Random, port: int) -> bytes:
    """A request to one of the pack's routes: name, headers and body are what they should not be. Nothing asks to delete
    what is there: the project `kept` is named with the body that the route refuses."""
    method, route = rng.choice(ROUTES)
    if rng.random() < 0.1:
        method = rng.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"))
    while "{}" in route:
        name = rng.choice(NAMES).encode("utf-8", "surrogatepass")
        route = route.replace("{}", quote(name, safe="") if rng.random() < 0.8 else quote(name, safe="/%"), 1)
    asked: Any = {name: value(rng) for name in FIELDS if rng.random() < 0.7}
    if rng.random() < 0.3:
        asked["script"] = rng.choice(("w 8f", "w 9" + "9" * 30, "loop 9999 { w 1b }", "[" * 999, "camera 1e400"))
    body = json.dumps(asked if rng.random() < 0.7 else value(rng)).encode()
    if rng.random() < 0.4:
        body = damaged(rng, body, [body])[:70_000]
    if "kept" in route and route.endswith("forget"):
        body = b"[]"
    kind = rng.choice(("application/json",) * 5 + ("text/plain", "application/json; charset=none", ""))
    more = [line for line in rng.sample(HEADERS, 2) if not line.startswith(NOT_ASKED)]
    prefix = rng.choice(("/matrixgame/", "/api/matrixgame/"))
    lines = [
        f"{method} {prefix}{route} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Type: {kind}",
        f"Content-Length: {len(body)}", "Connection: close", *more, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def status(port: int, data: bytes) -> int:
    """The status that a port answers with; 0 where it hangs up."""
    with socket.create_connection(("127.0.0.1", port), SOON) as connection:
        connection.sendall(data)
        answer = b""
        while len(answer) < 64 and (more := connection.recv(4096)):
            answer += more
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(found[1]) if found else 0


def is_cores_own(said: bytes) -> bool:
    """Whether a 500 came from core: it looks for a file where no route of the pack is asked, and fails where a name is
    longer than any of the disk's."""
    return b"_resolve_path_to_response" in said and b"File name too long" in said and b"comfyui_matrixgame" not in said


def test_no_request_breaks_a_route(host: Host) -> None:
    before, kept = len(host.log()), host.base / "output" / "matrixgame" / "cache" / "kept"
    kept.mkdir(parents=True)
    (kept / "mine.txt").write_text("mine")
    seen: dict[int, int] = {}
    for number in range(COUNT):
        data, at = request(random.Random(f"{SEED}/{number}"), host.port), host.log_path.stat().st_size
        found = status(host.port, data)
        seen[found] = seen.get(found, 0) + 1
        assert found < 500 or is_cores_own(host.log_path.read_bytes()[at:]), data
    assert (kept / "mine.txt").read_text() == "mine"
    said = host.log()[before:]
    # aiohttp writes one of its own where a body is not compressed as it says, after the answer
    assert not [part for part in said.split("Traceback")[1:] if "comfyui_matrixgame" in part], said[-5000:]
    assert {200, 400, 404} <= seen.keys(), seen  # it reached what lies behind the doors
    print(seen)


async def play(http: aiohttp.ClientSession, host: Host, token: str, seq: int) -> Remote:
    """Somebody who plays, whatever others said before: sees a block that was begun after what they asked for, such as
    to go back to the beginning."""
    remote = Remote(await http.ws_connect(f"{host.url}/matrixgame/play", max_msg_size=2**24))
    await remote.say("hello", version=VERSION, token=token)
    await remote.until("welcome")
    await remote.say("control")
    await remote.until("roles", role="controller")
    await remote.say("in", keys=["w"], seq=seq)
    await remote.say("play")
    await remote.until("frames", seq=seq)
    return remote


async def bothered(host: Host, token: str) -> None:
    async with aiohttp.ClientSession() as http:
        sent = 0
        while sent < COUNT:
            rng = random.Random(f"{SEED}/{sent}")
            async with http.ws_connect(f"{host.url}/matrixgame/play", max_msg_size=2**24, autoping=False) as unknown:
                if rng.random() < 0.9:
                    await unknown.send_json({"type": "hello", "version": VERSION, "token": token})
                sent += await asyncio.wait_for(bother(unknown, rng, token, rng.randrange(1, 9)), SOON)
            if sent % 40 < 8:
                await (await play(http, host, token, 2**40 + sent)).socket.close()
        last = await play(http, host, token, 2**41)
        await last.say("stop")
        await last.until("state", state="finished")


def test_no_message_breaks_live_play(host: Host) -> None:
    before = len(host.log())
    run = host.run(graph_of("bothered").prompt, on_event=Events(host, bothered), timeout=SECONDS)
    assert run.status == "success", run.message
    said = host.log()[before:]
    assert "Traceback" not in said, said[-5000:]
    assert "take_" in run.outputs["play"]["text"][0]
