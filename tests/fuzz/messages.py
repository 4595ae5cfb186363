"""What nobody's player sends: messages and requests, by a seeded `random.Random`."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

from aiohttp import ClientWebSocketResponse, WSMsgType

from comfyui_matrixgame.play.wire.protocol import MAX_MESSAGE, VERSION, ProtocolError, read_message

from .damage import damaged

KINDS = ("hello", "in", "ack", "play", "pause", "reset", "rewind", "mark", "record", "mode", "control", "take", "rows",
         "start")  # fmt: skip
WORDS = ("w", "a", "s", "d", "mark", "responsive", "faithful", "\0", "\ud800", "é" * 64, "x" * 65, "x" * 5000, "", " ",
         "‮", "__class__", "../../etc/passwd", "<script>", "%s%n", "NaN", "stop ")  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 3, 0.1, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 2**53, 2**53 + 1, 2**63,
    -(2**63), 10**400, -(10**400), 10**4000, True, False, None, 1.5, 10_000, 10_001,
)  # fmt: skip
RAW = ("1e400", "-1e400", "9" * 5000, "-" + "9" * 4300, "0x10", "01", "1_0", "[" * 3000, '{"a":' * 2500, "'w'", "nul",
       '"' + "\\ud83d" * 900 + '"', "[1,", "Infinity", "\x00")  # fmt: skip
METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "PATCH", "get", "G E T", "\0", "")
PATHS = (
    "/", "/matrixgame/play", "/web/player/index.html", "/web/player/", "/web/../pyproject.toml", "//", "*", "", "/%",
    "/web/player/%2e%2e/%2e%2e/nodes.py", "/web/player/..%2f..%2fnodes.py", "/web/player/\0", "/%00", "/%ff%fe", "/é",
    "/web/player/" + "a/" * 2000, "/" + "x" * 9000, "http://evil.example/", "/web/timeline/con",
    "/web/player/player.mjs?" + "a=b&" * 900,
)  # fmt: skip
HEADERS = (
    "Host: 127.0.0.1", "Host: evil.example", "Host:", "Host: [", "Content-Length: -1", "Content-Length: 9" + "9" * 30,
    "Content-Length: 5", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Upgrade: websocket",
    "Connection: Upgrade", "Connection: close", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: x", "Origin: null", "Origin: http://[",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99", "Origin: \xff", "Expect: 100-continue",
    "Range: bytes=5-1", "Range: bytes=-9999999999999999999999", "If-Modified-Since: yesterday", 'If-None-Match: "',
    "Cookie: " + "a=b;" * 500, "X: " + "y" * 9000, "no colon", ": empty", "A\0: b", "Content-Encoding: deflate",
    "Accept-Encoding: gzip;q=x",
)  # fmt: skip


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON, of a kind that may be wrong."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(WORDS)
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 2, 3, 17, 40)) if depth < 2 else 2)]
    if kind == 6:
        return {rng.choice(WORDS): value(rng, depth + 1) for _ in range(rng.randrange(3))}
    return rng.choice(([], {}, [[]], [None, None], ["w"] * 16, ["w"] * 17))


def proper(rng: random.Random, token: str) -> dict[str, Any]:
    """A message as a player sends it, of any kind but the one that ends the session."""
    kind = rng.choice(KINDS)
    contents: dict[str, dict[str, Any]] = {
        "hello": {"version": VERSION, "token": token},
        "in": {"keys": rng.sample("wasd", rng.randrange(3)), "taps": ["w"], "stick": [0, rng.uniform(-1, 1)],
               "look": [rng.uniform(-9, 9), 0.0], "seq": rng.randrange(2**53)},
        "ack": {"batch": rng.randrange(50)},
        "rewind": {"blocks": rng.randrange(4)},
        "mark": {"name": rng.choice(("here", "", "é"))},
        "record": {"on": rng.random() < 0.5},
        "mode": {"mode": rng.choice(("responsive", "faithful"))},
        "rows": {"ask": rng.randrange(9), "keys": [rng.sample("wasd", 1)] * rng.choice((8, 12)), "camera": None},
        "start": {"ask": rng.randrange(9), "seed": rng.choice((0, 2**63)), "picture": rng.choice((0, 3, 70_000))},
    }  # fmt: skip
    return {"type": kind, **contents.get(kind, {})}


def message(rng: random.Random, token: str) -> str | bytes:
    """What a socket is sent: text, or bytes for a binary message."""
    made = proper(rng, token)
    way = rng.randrange(10)
    if way < 3:
        return json.dumps(made)
    if way < 6:  # some values of other kinds
        for _ in range(rng.choice((1, 1, 2))):
            made[
                rng.choice([*made, "type", "keys", "look", "stick", "seq", "batch", "blocks", "on", "ask", "seed"])
            ] = value(rng)
        return _harmless(json.dumps(made))
    if way == 6:
        text = json.dumps(made)
        at = rng.randrange(len(text))
        return _harmless(text[:at] + rng.choice(RAW) + text[at + rng.randrange(6) :])
    if way == 7:
        data = damaged(rng, json.dumps(made).encode(), [json.dumps(proper(rng, token)).encode()])
        return _harmless(data.decode("utf-8", "replace"))
    if way == 8:
        return json.dumps(value(rng))
    size = rng.choice((0, 1, 125, 126, MAX_MESSAGE - 1, MAX_MESSAGE, MAX_MESSAGE + 1, 70_000))
    return rng.choice((rng.randbytes(size), "x" * size, '{"type":"mark","name":"' + "a" * size + '"}', "[" * size))


def _harmless(text: str) -> str:
    """A message that does not end the session, as a player's may."""
    return text.replace('"stop"', '"halt"')


def request(rng: random.Random) -> bytes:
    """What a port is sent: one or two requests, or something else."""
    return b"".join(_request(rng) for _ in range(rng.choice((1, 1, 2))))


def _request(rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return rng.choice(
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                rng.randbytes(300),
                b"\r\n" * 500,
                b"PRI * HTTP/2.0\r\n\r\n",
            )
        )
    version = rng.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "HTTP/x", ""))
    headers = ["Host: 127.0.0.1"] * (rng.random() < 0.7) + rng.sample(HEADERS, rng.randrange(5))
    lines = [f"{rng.choice(METHODS)} {rng.choice(PATHS)} {version}", *headers, "", ""]
    body = rng.choice((b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", rng.randbytes(50)))
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape") + body
    return damaged(rng, data, [data])[:70_000] if rng.random() < 0.3 else data


def _is_proper(said: str | bytes) -> bool:
    with contextlib.suppress(ProtocolError):
        return isinstance(said, str) and bool(read_message(said))
    return False


ENDS = (WSMsgType.PONG, WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


async def bother(socket: ClientWebSocketResponse, rng: random.Random, token: str, count: int) -> int:
    """Send messages up to one that closes the socket; returns how many, once the server has read them."""
    sent = 0
    try:
        for _ in range(count):
            said = message(rng, token)
            sent += 1
            if isinstance(said, bytes):
                await socket.send_bytes(said)
            else:
                await socket.send_str(said.encode("utf-8", "replace").decode())
            if not _is_proper(said) and rng.random() < 0.9:  # more would not be read
                break
        await socket.ping(b"read")
        while (await socket.receive()).type not in ENDS:
            pass
    except (ConnectionError, RuntimeError):  # closed for what was sent
        pass
    return sent
