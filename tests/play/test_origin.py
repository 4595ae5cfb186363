"""Who may reach the player: pages of this server by any name that a proxy gives it, and no others."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from comfyui_matrixgame.actions.read import read_actions
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.play.take import Take
from comfyui_matrixgame.play.wire.origin import addresses, is_loopback, name_of, same_origin
from comfyui_matrixgame.play.wire.server import STRANGERS
from comfyui_matrixgame.terminal import play_server
from comfyui_matrixgame.variants import UNIVERSAL

from .client import playing


def asked(**headers: str) -> bool:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return same_origin(make_mocked_request("POST", "/", headers=names))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("play.example", "https://play.example"),
        ("play.example:443", "https://play.example"),  # proxies that name the default port
        ("play.example:80", "http://play.example"),
        ("play.example", "https://play.example:443"),
        ("Play.Example:8000", "http://play.example:8000"),
        ("[::1]:8188", "http://[::1]:8188"),
    ],
)
def test_a_page_of_this_server_is_let_in(host: str, origin: str) -> None:
    assert asked(Host=host, Origin=origin)
    assert asked(Host="127.0.0.1:9", X_Forwarded_Host=host, Origin=origin)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://[", "http://play.example:x", "https://play.example:8443", "play.example",
     "https://play.example.evil.example", "file://", ""],
)  # fmt: skip
def test_a_page_of_another_site_is_not(origin: str) -> None:
    assert not asked(Host="play.example", Origin=origin)


def test_what_a_browser_says_of_the_site_counts() -> None:
    assert asked(Host="play.example")
    assert asked(Host="play.example", Sec_Fetch_Site="same-origin")
    for site in ("cross-site", "same-site"):
        assert not asked(Host="play.example", Sec_Fetch_Site=site)


def test_names_of_this_machine() -> None:
    for host in ("localhost", "LOCALHOST.", "play.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"):
        assert is_loopback(host)
    for host in ("", "0.0.0.0", "::", "localhost.evil.example", "10.0.0.1", "example"):
        assert not is_loopback(host)
    assert name_of("[::1]:80") == "::1"
    assert name_of("[") == ""


def test_an_address_can_be_opened() -> None:
    assert addresses("::1", 8) == ["http://[::1]:8"]
    assert addresses("play.example", 8) == ["http://play.example:8"]
    for wildcard in ("0.0.0.0", "::"):
        first, *others = addresses(wildcard, 8)
        assert first == "http://localhost:8"
        assert all("0.0.0.0" not in address for address in others)


def test_sockets_without_a_token_keep_no_player_out() -> None:
    """Twice as many as have room, all silent; the player says hello."""

    async def test() -> None:
        async with playing() as here:
            silent = []
            for _ in range(2 * STRANGERS):
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    silent.append(await here.socket())
            for _ in range(3):
                player = await here.join()
                await player.socket.close()
            for socket in silent[:STRANGERS]:  # made room for those after them
                assert (await socket.receive()).type != aiohttp.WSMsgType.TEXT

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_host_that_is_no_name_is_refused_in_words() -> None:
    async def test() -> None:
        async with playing() as here:
            reader, writer = await asyncio.open_connection(here.server.host, here.server.port)
            for line in ("GET /web/player/index.html HTTP/1.1", "Host: [", "Connection: close", "", ""):
                writer.write(line.encode() + b"\r\n")
            answer = await reader.read()
            writer.close()
            assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))

    asyncio.run(asyncio.wait_for(test(), 30))


def test_the_page_is_found_below_a_path() -> None:
    async def test() -> None:
        async with playing() as here, here.http.get(here.server.make_url("/"), allow_redirects=False) as answer:
            assert answer.headers["Location"] == "web/player/index.html"

    asyncio.run(asyncio.wait_for(test(), 30))


def played() -> Take:
    """A take of one block."""
    take = Take(UNIVERSAL)
    take.add(ActionTrack.idle(UNIVERSAL, rows_of_blocks(1)))
    return take


def test_a_take_is_kept_in_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "takes" / "one.json"
    assert play_server.keep_take(played(), path) == path
    assert read_actions(path) is not None


def test_a_take_that_cannot_be_written_is_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "one.json"
    for name in ("one.json", "one-2.json"):
        kept = play_server.keep_take(played(), path)
        assert kept == tmp_path / "home" / name
        said = capsys.readouterr().err
        assert str(path) in said
        assert str(kept) in said
    (tmp_path / "other").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "other"))
    monkeypatch.setattr(play_server.tempfile, "gettempdir", lambda: str(tmp_path / "other"))
    with pytest.raises(MatrixGameError, match="could not be written anywhere"):
        play_server.keep_take(played(), path)
