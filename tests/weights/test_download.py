"""Downloads: resumable, checked, and harmless when they fail; against an endpoint on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from comfyui_matrixgame.checkpoints.download import (
    SHARED,
    STAGING,
    RemoteFile,
    download,
    files_for,
    generator_file,
    sha256_of,
)
from comfyui_matrixgame.errors import CheckpointError, MatrixGameError
from comfyui_matrixgame.variants import VARIANTS

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
        """Quiet."""


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


@pytest.fixture
def hub() -> Iterator[HubServer]:
    server = HubServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


FILE = RemoteFile(
    "owner/name", "folder/a.safetensors", "vae/a.safetensors", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
)


@pytest.fixture(autouse=True)
def hub_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_fetched_checked_and_not_fetched_again(hub: HubServer, tmp_path: Path) -> None:
    path = download(FILE, tmp_path, hub.address)
    assert path == tmp_path / "vae" / "a.safetensors"
    assert sha256_of(path) == FILE.sha256
    served = hub.served
    assert download(FILE, tmp_path, hub.address) == path
    assert hub.served == served
    assert [p.name for p in tmp_path.iterdir()] == ["vae"]


def test_goes_on_after_a_break(hub: HubServer, tmp_path: Path) -> None:
    hub.break_after = len(CONTENT) * 3 // 4
    with contextlib.suppress(CheckpointError):  # the library may try again by itself
        download(FILE, tmp_path, hub.address)
    download(FILE, tmp_path, hub.address)
    assert sha256_of(tmp_path / FILE.target) == FILE.sha256
    assert any(first > 0 for first in hub.ranges), "it began again from the start"


def test_another_file_that_broke_off_is_left_alone(hub: HubServer, tmp_path: Path) -> None:
    begun = tmp_path / STAGING / "b.safetensors" / "begun.incomplete"
    begun.parent.mkdir(parents=True)
    begun.write_text("half")
    download(FILE, tmp_path, hub.address)
    assert [path for path in (tmp_path / STAGING).rglob("*") if path.is_file()] == [begun]


def test_a_wrong_file_is_set_aside(hub: HubServer, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"x"
    with pytest.raises(CheckpointError, match=r"checksum .* instead of"):
        download(FILE, tmp_path, hub.address)
    assert not (tmp_path / FILE.target).exists()
    assert (tmp_path / "vae" / "a.safetensors.wrong").exists()


def test_no_network_and_no_file(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # between the library's tries
    with pytest.raises(CheckpointError, match="could not be fetched"):
        download(FILE, tmp_path, "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="could not be fetched"):
        download(replace(FILE, path="folder/none.bin"), tmp_path, hub.address)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(CheckpointError, match="cannot be written"):
        download(FILE, blocked, hub.address)


def test_what_a_variant_needs() -> None:
    assert [file.target.split("/")[0] for file in files_for("templerun")] == ["diffusion_models", "vae", "clip_vision"]
    generators = [generator_file(variant) for variant in VARIANTS.values()]
    for file in (*filter(None, generators), *SHARED):
        assert len(file.sha256) == 64
        assert file.name.endswith(".safetensors")
    assert [file.size for file in generators if file] == [6_480_000_000, 6_480_000_000, 6_030_000_000]
    with pytest.raises(MatrixGameError, match="no variant"):
        files_for("other")
