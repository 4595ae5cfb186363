"""Pictures of stored blocks: list and timeline show none for invalid records, and the host logs no traceback; valid
ones are sent once."""

from __future__ import annotations

import io
import shutil
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import torch
from PIL import Image

from comfyui_matrixgame.cache.blocks import BlockCache
from comfyui_matrixgame.cache.projects import open_project
from comfyui_matrixgame.cache.records import Record, write_record

from ..server import Host

KEY = "0" * 40 + "-" + "1" * 16
GOOD = torch.full((1, 9, 32, 48, 3), 90, dtype=torch.uint8)
FORGED = {
    "no frames": Record({"latents": torch.zeros(2)}),
    "nothing": Record({}),
    "a number": Record({"frames": torch.zeros((), dtype=torch.uint8)}),
    "a row": Record({"frames": torch.zeros(7, dtype=torch.uint8)}),
    "no worlds": Record({"frames": GOOD[:0]}),
    "no frame": Record({"frames": GOOD[:, :0]}),
    "no height": Record({"frames": GOOD[:, :, :0]}),
    "two channels": Record({"frames": GOOD[..., :2]}),
    "floats": Record({"frames": GOOD.float()}),
    "truth values": Record({"frames": GOOD.bool()}),
    "endless": Record({"frames": torch.zeros((1, 1, 1, 70_000, 3), dtype=torch.uint8)}),
}
BROKEN = {"empty": b"", "cut": None, "a picture": b"\xff\xd8\xff\xe0JFIF" * 9, "zeros": bytes(4096)}


@pytest.fixture
def project(host: Host) -> str:
    """A project that holds nothing yet."""
    name = f"forged {uuid.uuid4().hex[:6]}"
    open_project(BlockCache(host.base / "output" / "matrixgame" / "cache", name).folder)
    return name


def answers(host: Host, project: str) -> list[tuple[int, bytes]]:
    """What the list's thumbnail and the timeline's pictures give."""
    found = []
    for route in ("thumbnail", f"frame/{KEY}", f"frames/{KEY}"):
        address = f"{host.url}/matrixgame/cache/{project.replace(' ', '%20')}/{route}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                found.append((answer.status, answer.read()))
        except urllib.error.HTTPError as error:
            found.append((error.code, error.read()))
    return found


def file_of(host: Host, project: str) -> Path:
    return host.base / "output" / "matrixgame" / "cache" / project / f"{KEY}.frames"


def check_refused(host: Host, project: str, log_before: int) -> None:
    for status, text in answers(host, project):
        assert status == 404, text
        assert text.decode().startswith("There is no")
    assert project in [each["name"] for each in host.get("/matrixgame/cache")["projects"]]
    assert "Traceback" not in host.log()[log_before:]


@pytest.mark.parametrize("what", FORGED)
def test_a_record_without_frames_is_no_picture(host: Host, project: str, what: str) -> None:
    before = len(host.log())
    write_record(file_of(host, project), FORGED[what])
    check_refused(host, project, before)


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_record_is_no_picture(host: Host, project: str, what: str) -> None:
    before = len(host.log())
    file = file_of(host, project)
    write_record(file, Record({"frames": GOOD}))
    forged = BROKEN[what]
    file.write_bytes(file.read_bytes()[:-40] if forged is None else forged)
    check_refused(host, project, before)


def test_a_folder_in_its_place_is_no_picture(host: Host, project: str) -> None:
    before = len(host.log())
    file_of(host, project).mkdir()
    check_refused(host, project, before)


def test_the_newest_block_that_has_a_picture_is_shown(host: Host, project: str) -> None:
    file = file_of(host, project)
    write_record(file, Record({"frames": GOOD}))
    assert all(status == 200 and picture.startswith(b"\xff\xd8") for status, picture in answers(host, project))
    newer = file.with_name(file.name.replace("0", "a", 1))
    shutil.copy(file, newer)  # under another block's name
    assert all(status == 200 for status, _ in answers(host, project))


def ask(host: Host, project: str, what: str, **headers: str) -> tuple[int, bytes, str]:
    """Status, body and ETag."""
    address = f"{host.url}/matrixgame/cache/{project.replace(' ', '%20')}/{what}"
    request = urllib.request.Request(
        address, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), answer.headers.get("ETag", "")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers.get("ETag", "")


def test_all_frames_of_a_block_come_as_one_picture_and_only_once(host: Host, project: str) -> None:
    shades = torch.arange(9, dtype=torch.uint8) * 28
    frames = shades[None, :, None, None, None].expand(1, 9, 352, 640, 3).contiguous()
    write_record(file_of(host, project), Record({"frames": frames}))
    status, body, tag = ask(host, project, f"frames/{KEY}?height=240")
    sheet = Image.open(io.BytesIO(body))
    assert (status, sheet.size) == (200, (436, 9 * 240))
    seen = torch.tensor([sheet.getpixel((200, 240 * k + at)) for k in range(9) for at in (1, 120, 238)])
    assert (seen.reshape(9, 3, 3) - shades[:, None, None].int()).abs().max() <= 2, "no frame bleeds into the next"
    assert Image.open(io.BytesIO(ask(host, project, f"frames/{KEY}?height=480")[1])).size == (640, 9 * 352)
    file_of(host, project).unlink()
    assert ask(host, project, f"frames/{KEY}?height=240", If_None_Match=tag) == (304, b"", tag)
    assert ask(host, project, f"frames/{KEY}?height=480", If_None_Match=tag)[0] == 404
    assert b"240, 480" in ask(host, project, f"frames/{KEY}?height=241")[1]
    assert ask(host, project, "frames/none")[0] == 404
