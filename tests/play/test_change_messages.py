"""Programs change the picture over the protocol: `change`, `picture` and `wait`."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame.errors import ImageError, MatrixGameError
from comfyui_matrixgame.media.images import read_pixels
from comfyui_matrixgame.play.changes.taken import changes_of, encode_png
from comfyui_matrixgame.play.session import Limits, Session, StateChanged
from comfyui_matrixgame.play.wire.protocol import MAX_MESSAGE, ProtocolError, read_message

from .paintable import Paintable
from .served import Served

NOISE = np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8)


@pytest.fixture
def played() -> Paintable:
    return Paintable(size=(96, 160))


@pytest.fixture
def served(played: Paintable) -> Iterator[Served]:
    made = Served(played)
    yield made
    made.close()


def test_a_program_changes_the_picture_and_takes_it_back(served: Served, played: Paintable, tmp_path: Path) -> None:
    with served.client() as client, served.client(control=False) as watcher:
        last = client.play("w 20")[-1]
        assert np.array_equal(client.change(last), last)  # as it is
        assert served.session.take.changes == ()
        assert len(encode_png(NOISE)) > 2 * MAX_MESSAGE  # in several parts
        assert np.array_equal(client.change(NOISE, strength=0.5, seen="start"), NOISE)
        file = io.BytesIO()
        Image.fromarray(last // 2).save(file, "BMP")
        (tmp_path / "picture.bmp").write_bytes(file.getvalue())
        assert np.array_equal(client.change(tmp_path / "picture.bmp"), last // 2)
        assert played.asked == [(0.5, "start"), (1.0, "changed")]
        assert np.array_equal(client.take_back_change(), NOISE)
        assert served.session.take.changes_here == 1
        answer = watcher._socket.ask("picture", {})
        assert np.array_equal(read_pixels(base64.b64decode(answer["png"])), NOISE)
        assert client.play("w 12").shape == (12, 96, 160, 3)
        (change,) = changes_of(client.take())
        assert (change.row, change.strength, change.seen) == (20, 0.5, "start")
        assert np.array_equal(change.pixels, NOISE)
        client.back(1)
        assert np.array_equal(client.picture, NOISE)  # where it was made
        assert np.array_equal(client.reset(), Paintable(size=(96, 160)).still())
        assert changes_of(client.take()) == ()
        mask = np.zeros(last.shape[:2], bool)
        mask[:40] = True
        client.play("w 8")
        last = client.picture
        (tmp_path / "noise.png").write_bytes(encode_png(NOISE))
        for picture in (NOISE, encode_png(NOISE), tmp_path / "noise.png"):
            assert np.array_equal(client.change(picture, mask=mask), np.where(mask[..., None], NOISE, last))
            assert np.array_equal(client.take_back_change(), last)
        with pytest.raises(ImageError, match="mask has the shape"):
            client.change(NOISE, mask=mask[1:])
        with pytest.raises(MatrixGameError, match="Only who has the controls"):
            watcher.change(NOISE)


def test_what_cannot_be_changed_is_said(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with served.client() as client:
        last = client.play("w 8")[-1]
        with pytest.raises(MatrixGameError, match="nothing to take back"):
            client.take_back_change()
        with pytest.raises(MatrixGameError, match="picture is 64x96 and the world's frames are 160x96; scale it"):
            client.change(NOISE[:, :64])
        with pytest.raises(MatrixGameError, match="the image"):
            client.change(b"no picture")
        with pytest.raises(ImageError, match="cannot be read"):
            client.change(tmp_path / "none.png")
        client._socket.ask("play", {})
        with pytest.raises(MatrixGameError, match="pause it before you change the picture"):
            client.change(NOISE)
        client._socket.ask("pause", {})
        assert served.session.take.changes == ()
        assert not np.array_equal(client.picture, NOISE)
        assert client.change(NOISE).shape == last.shape
        monkeypatch.setattr(client, "_version", (1, 2))
        with pytest.raises(MatrixGameError, match="older than masks"):
            client.change(NOISE, mask=NOISE[..., 0] > 0)
        monkeypatch.setattr(client, "_version", (1, 1))
        for call in (lambda: client.change(NOISE), client.take_back_change):
            with pytest.raises(MatrixGameError, match="older than changes of the picture"):
                call()
    for wrong in ('"strength": true', '"strength": 10.5', '"strength": NaN', '"seen": "both"', '"picture": -1'):
        with pytest.raises(ProtocolError):
            read_message(f'{{"type": "change", "ask": 1, {wrong}}}')
    with pytest.raises(ProtocolError, match="`ask`"):
        read_message('{"type": "change", "picture": 5}')


def test_a_world_that_cannot_be_changed_says_so() -> None:
    served = Served()
    with served.client() as client:
        client.play("w 8")
        with pytest.raises(MatrixGameError, match="A test picture cannot be changed"):
            client.change(client.picture // 2)
    served.close()


def test_who_works_on_the_picture_is_not_idle() -> None:
    now = [0.0]
    heard: list[StateChanged] = []
    session = Session(
        Paintable(),
        lambda event: heard.append(event) if isinstance(event, StateChanged) else None,
        limits=Limits(idle=60, lost=1e9, finish=True),
        clock=lambda: now[0],
    )
    looks: list[float] = []

    def look() -> None:
        looks.append(now[0])
        if len(looks) == 1:
            session.wait(True)
        elif len(looks) < 5:
            now[0] += 50
        elif len(looks) == 5:
            session.wait(False)
        else:
            now[0] += 50

    session._on_wait = look
    session.run()
    assert (session.state, session.reason) == ("finished", "idle")
    assert len(looks) == 7  # 150 seconds at work, and then 60 of none
    assert now[0] == 250
