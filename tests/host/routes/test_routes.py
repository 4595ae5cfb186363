"""The pack's routes in a real ComfyUI: a malformed request gets 4xx in words, other sites' pages get nothing."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from ...conftest import skip_or_fail
from ..server import PACK, Host, run_in_core, why_no_host

CHANGING = ("strip", "take", "cache/none/free", "cache/none/forget", "inputs/write", "result")


def ask(host: Host, route: str, body: bytes, **headers: str) -> tuple[int, str]:
    """Status and text of a POST."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{host.url}/matrixgame/{route}", body, named, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("route", CHANGING)
def test_what_is_no_proper_request_gets_a_sentence(host: Host, route: str) -> None:
    before = len(host.log())
    bodies = [b"", b"[]", b'"x"', b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5_000]
    for body in bodies:
        status, text = ask(host, route, body, Content_Type="application/json")
        assert status == 400, (body[:20], text)
        assert "JSON" in text
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert ask(host, route, b"{}", Content_Type=kind)[0] == 415
    status, _ = ask(host, route, b"{}", Content_Type="application/json; charset=none-such")
    assert status == 400
    assert "Traceback" not in host.log()[before:]


@pytest.mark.parametrize("route", CHANGING)
def test_pages_of_other_sites_change_nothing(host: Host, route: str) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://nas.local", "Host": "nas.local:8188"},
        {"Origin": "http://evil.example", "Host": "nas.local:8188"},
    ):
        status, _ = ask(host, route, b"{}", Content_Type="application/json", **headers)
        assert status == 403, headers
    status, _ = ask(host, route, b"{}", Content_Type="application/json", Origin=host.url)
    assert status in (200, 400, 404)


def test_a_pack_that_is_there_twice_is_named_at_the_start(tmp_path: Path) -> None:
    """And an output folder that cannot be written ends in a sentence, or in a run without a cache."""
    (tmp_path / "custom_nodes").mkdir()
    for name in ("ComfyUI-MatrixGame", "matrixgame"):
        (tmp_path / "custom_nodes" / name).symlink_to(PACK, target_is_directory=True)
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "matrixgame").write_text("a file where a folder belongs")
    (tmp_path / "input").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "input" / "example.png")
    host = Host(tmp_path)
    try:
        said = host.log()
        twice = next(line for line in said.splitlines() if "Matrix-Game is installed twice" in line)
        assert "comfyui_matrixgame" not in twice  # the packs' own folders, not ones inside them
        demo = "demo world (built in)"
        prompt = {
            "m": {
                "class_type": "MatrixGameLoadGenerator",
                "inputs": {"file": demo, "dtype": "auto", "attention": "auto"},
            },
            "v": {"class_type": "MatrixGameLoadVAE", "inputs": {"file": demo, "decoder": "full", "dtype": "auto"}},
            "w": {
                "class_type": "MatrixGameStartWorld",
                "inputs": {"model": ["m", 0], "vae": ["v", 0], "seed": 0, "width": 0, "height": 0},
            },
            "s": {
                "class_type": "MatrixGameSaveWorld",
                "inputs": {"world": ["w", 0], "filename_prefix": "matrixgame/w"},
            },
        }
        run = host.run(prompt)
        assert run.status == "error"
        assert "The world is not saved" in run.message
        assert "Errno" not in run.message
        prompt["c"] = {
            "class_type": "MatrixGameWorldCache",
            "inputs": {
                "name": "p", "mode": "automatic", "limit_gb": 1.0, "memory_gb": 0.5,
                "world": ["w", 0], "model": ["m", 0], "vae": ["v", 0],
            },
        }  # fmt: skip
        prompt["a"] = {"class_type": "MatrixGameActionTimeline", "inputs": {"variant": "universal", "script": "w 9f"}}
        prompt["r"] = {
            "class_type": "MatrixGameRollOut",
            "inputs": {"world": ["c", 0], "actions": ["a", 0], "images": "always", "cache": ["c", 1]},
        }
        prompt["s"] = {"class_type": "PreviewImage", "inputs": {"images": ["r", 0]}}
        run = host.run(prompt)
        assert run.status == "success", run.message
        assert "could not keep the world" in host.log()
    finally:
        host.stop()


STRIPS = """
from comfyui_matrixgame.host.routes import strip

class Run:
    blocks = 2
    class block_keys:
        first, last, world_keys = 0, 2, "keys"
        class world:
            models_id, size = "models", (48, 96)
            class variant:
                settings = "3 steps"
        frames_key = staticmethod(str)

class Cache:
    project = "p"

for number in (*range(strip.MOST_STRIPS), 0, *range(1000, 1010)):
    strip.StripOfRun().begin(f"{number}", Run(), Cache())
left = list(strip._strips)
assert len(left) == strip.MOST_STRIPS, len(left)
assert left[0] == "11" and "0" in left and left[-1] == "1009", left
"""


def test_runs_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    """Not the timeline whose turn it was a moment ago, even where it is the oldest."""
    skip_or_fail(why_no_host())
    run_in_core(STRIPS, tmp_path)
