"""Worlds that programs play over the protocol: what they ask for is made, all of it, and nothing else."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from comfyui_matrixgame.actions.read import load_actions
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.errors import ActionError, CheckpointError, ImageError, MatrixGameError
from comfyui_matrixgame.play.pattern import CELL, TestPattern
from comfyui_matrixgame.play.programs import socket as program_socket
from comfyui_matrixgame.play.programs.client import Client
from comfyui_matrixgame.play.wire import server as server_module
from comfyui_matrixgame.play.wire.protocol import _CHECKS, MAX_MESSAGE, MINOR, VERSION
from comfyui_matrixgame.terminal.main import parser as cli_parser
from comfyui_matrixgame.terminal.play import world_starter
from comfyui_matrixgame.terminal.play_server import KeptTakes

from .served import SIZE, Served, numbers


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    made.server.hub.start_world = made.start_world
    yield made
    made.close()


def test_rows_make_exactly_their_blocks_and_every_frame_comes(served: Served) -> None:
    with served.client() as client:
        frames = client.play("w 8; d 12")
        assert frames.shape == (21, *SIZE, 3)
        assert numbers(frames[:9]) == list(range(9))
        lamps = frames[:, -CELL // 2, CELL // 2 :: CELL, 0] > 128
        assert lamps[:, 0].tolist() == [False] + [True] * 8 + [False] * 12  # frame f is made from row f - 1
        assert (client.blocks, served.session.take.blocks) == (2, 2)
        assert served.session.state == "ready"
        assert np.array_equal(client.picture, frames[-1])
        track = parse_script("w 8; d 12").track
        alone, made = TestPattern(size=SIZE), []
        for rows in (track.slice(0, 8), track.slice(8, 20)):
            alone.make(rows, lambda part, _: made.append(part))
        assert np.array_equal(frames, np.concatenate(made))  # raw: bit for bit
        assert len(client.play([{"w": 1, "yaw": 0.05}] * 4)) == 12  # the last row is held
        assert served.session.take.track() == track.concat(
            parse_script("w+yaw(0.05) 12").track  # of float32 that went over the wire as text
        )


def test_frames_as_jpeg_files_and_those_of_other_clients(served: Served) -> None:
    with served.client(raw=False) as client, served.client(control=False) as watcher:
        frames = client.play("w 8")
        assert frames.shape == (9, *SIZE, 3)
        assert numbers(frames) == list(range(9))
        with pytest.raises(MatrixGameError, match="Only who has the controls"):
            watcher.play("w 8")
        watcher.take()


def test_going_back_makes_a_branch_and_the_take_is_saved(served: Served, tmp_path: Path) -> None:
    with served.client() as client:
        first = client.play("w 20")
        back = client.back()
        assert client.blocks == 1
        assert np.array_equal(back, first[8])
        again = client.play("a 12")
        assert numbers(again[:1]) == [numbers(first)[9]]
        assert not np.array_equal(again, first[9:])
        client.mark("here")
        for _ in range(2):  # at once: no take is left out
            timeline = client.take()
        assert [(branch["fork"], len(timeline.branches)) for branch in timeline.branches] == [(8, 1)]
        assert (20, "here") in [(mark.t, mark.name) for mark in timeline.markers]
        client.save(tmp_path / "take.json")
        assert load_actions(tmp_path / "take.json").track.slice(0, 20) == served.session.take.track()
        assert np.array_equal(client.reset(), TestPattern(size=SIZE).still())
        assert np.array_equal(client.play("w 20"), first)


def test_a_world_is_made_from_a_picture(served: Served, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)).save(file, "PNG")
    path = tmp_path / "picture.png"
    path.write_bytes(file.getvalue())
    assert len(file.getvalue()) > 2 * MAX_MESSAGE  # in several parts
    with served.client() as client:
        client.play("w 8")
        before = served.session.take
        client.start(path, seed=7)
        assert served.pictures == [file.getvalue()]
        assert (client.seed, client.blocks, served.session.take.seed) == (7, 0, 7)
        assert served.takes == [served.session.take]
        assert served.session.take is not before
        assert numbers(client.play("w 8")) == list(range(9))
        client.start(seed=2**60)
        assert client.seed == 2**60
        with pytest.raises(MatrixGameError, match="This is no picture"):
            client.start(b"broken")
        assert client.seed == served.session.take.seed == 2**60  # and all is as it was
        with pytest.raises(ImageError, match="cannot be read"):
            client.start(tmp_path / "none.png")


def test_what_cannot_be_done_is_said(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REFUSE_SECONDS", 0.05)
    with served.client() as client:
        with pytest.raises(MatrixGameError, match="Block 0 reads 8 rows, and 3 were sent"):
            client._socket.ask("rows", {"keys": [["w"]] * 3})
        with pytest.raises(MatrixGameError, match="has no key 'fly'"):
            client._socket.ask("rows", {"keys": [["fly"]] * 8})
        with pytest.raises(MatrixGameError, match="outside"):
            client._socket.ask("rows", {"keys": [["w"]] * 8, "camera": [[0, 99]] * 8})
        client._socket.ask("play", {})
        with pytest.raises(MatrixGameError, match="pause it"):
            client._socket.ask("rows", {"keys": [[]] * 8})
        assert len(client.play("idle 12")) == 12  # which pauses it first
        with pytest.raises(ActionError, match="keeps the seed"):
            client.play("w 12; seed 5; w 12")
        client.stop()
        with pytest.raises(MatrixGameError, match="has ended"):
            client.play("idle 12")
    with pytest.raises(MatrixGameError, match="not the token"):
        Client(served.server.url[:-3] + "xyz")
    with pytest.raises(MatrixGameError, match="looks like http"):
        Client("127.0.0.1:8123")
    monkeypatch.setattr(program_socket, "VERSION", 2)
    with pytest.raises(MatrixGameError, match="speaks version 1 of the player's protocol, you 2"):
        served.client()


def test_a_session_of_comfyui_keeps_its_world() -> None:
    served = Served()
    with served.client() as client:
        for picture in (None, b"x" * 3 * MAX_MESSAGE):
            with pytest.raises(MatrixGameError, match="start another one there"):
                client.start(picture)
        assert len(client.play("w 8")) == 9  # what was left of the picture closed nothing
    served.close()


def test_a_program_that_leaves_has_nothing_made_for_it(served: Served) -> None:
    client = served.client()
    client.play("w 8")
    client.close()
    with served.client() as another:
        assert another.blocks == 1
        assert len(another.play("w 12")) == 12


def tower_at(frame: np.ndarray) -> float:
    """Where the demo world's orange tower stands: -1 at the left edge, 0 in the middle, 1 at the right."""
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    columns = np.nonzero((red - blue > 70) & (red - green > 35))[1]
    assert len(columns) > frame.shape[0] * frame.shape[1] / 20
    return float(np.median(columns)) / (frame.shape[1] - 1) * 2 - 1


def test_a_program_turns_until_a_landmark_is_in_the_middle() -> None:
    try:
        start_world = world_starter(cli_parser().parse_args(["play"]))
        served = Served(played=start_world(None, 2), start_world=start_world)
    except CheckpointError as error:
        pytest.skip(str(error))
    with served.client() as client:
        assert tower_at(client.picture) < -0.5
        frames, at = [], tower_at(client.picture)
        while abs(at) > 0.1:
            assert client.blocks < 10
            turn = 0.1 * float(np.clip(at / 0.4, -1, 1))
            frames.append(client.play([{"yaw": turn}]))
            at = tower_at(client.picture)
        track = served.session.take.track()
        assert track is not None
        client.reset()
        assert np.array_equal(client.play(track), np.concatenate(frames))  # the same, whenever it is asked for
    served.close()


def test_each_world_of_a_session_has_a_take_on_disk(tmp_path: Path) -> None:
    served = Served()
    kept = KeptTakes(served.session.take, tmp_path / "take.json")
    served.session._on_take = kept.begin
    served.server.hub.start_world = served.start_world
    with served.client() as client:
        client.play("w 8")
        client.start(seed=5)
        assert load_actions(tmp_path / "take.json").track.slice(0, 8) == parse_script("w 8").track
        client.play("s 8")
    served.close()
    kept.close()
    loaded = load_actions(tmp_path / "take-2.json")
    assert loaded.track.slice(0, 8) == parse_script("s 8").track
    assert loaded.timeline is not None
    assert loaded.timeline.extra["take"]["seed"] == 5


def test_the_page_about_the_protocol_names_every_message() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = page.partition("| from the player |")[2].partition("| to the player |")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(_CHECKS)
    assert f"now {VERSION}. " in page
    assert f"`[{VERSION}, {MINOR}]`" in page


def test_addresses() -> None:
    at = program_socket.address_of
    assert at("http://127.0.0.1:81/#abc") == ("http://127.0.0.1:81/matrixgame/play", "abc")
    assert at("https://host/below/extensions/x/player/index.html#t") == ("https://host/below/matrixgame/play", "t")
    assert at("http://[::1]:8/web/player/index.html#t")[0] == "http://[::1]:8/matrixgame/play"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("nonsense", [b"", b"\xff\xff\xff\xff{}", "no JSON", "[]"])
def test_a_server_that_talks_nonsense_is_said_and_never_waited_for(nonsense: bytes | str) -> None:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()  # the hello
        await (socket.send_str(nonsense) if isinstance(nonsense, str) else socket.send_bytes(nonsense))
        await socket.receive()
        return socket

    with serving(answer) as port, pytest.raises(program_socket.Gone, match="what no player understands"):
        Client(f"http://127.0.0.1:{port}/#token")


@contextmanager
def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Iterator[int]:
    """A server of one answer in a thread; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    runner, port = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
