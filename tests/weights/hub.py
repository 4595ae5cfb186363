"""A model hub of one file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * (1 << 17)  # 32 MiB: the library keeps what it has in pieces of 10

REVISION = "f" * 40


class Hub(BaseHTTPRequestHandler):
    """Answers as a model hub does, for one file; can break off in the middle."""

    break_after: int | None = None
    content = CONTENT
    log: list[str]

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, send: bool) -> None:
        server: HubServer = self.server  # type: ignore[assignment]
        if not self.path.endswith(".safetensors") or "/resolve/" not in self.path:
            self.send_error(404)
            return
        first = 0
        if byte_range := self.headers.get("Range"):
            first = int(byte_range.removeprefix("bytes=").split("-")[0])
            if send:
                server.ranges.append(first)
        body = server.content[first:]
        self.send_response(206 if first else 200)
        self.send_header("ETag", f'"{hashlib.sha256(server.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        if not send:
            return
        server.served += 1
        if server.break_after is not None:
            body, server.break_after = body[: server.break_after], None
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class HubServer(ThreadingHTTPServer):
    daemon_threads = True
    content = CONTENT
    break_after: int | None = None
    served = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.ranges: list[int] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[HubServer]:
    """A hub that answers until the end."""
    server = HubServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
