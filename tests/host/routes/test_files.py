"""Files of inputs, read and written by the routes of the timeline; and the result as a picture, where there is none."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.read import read_text

from ..server import Host

SCRIPT = "w 20; w+left(0.1) 25"


def post(host: Host, route: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{host.url}/matrixgame/{route}", body, named, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def opened(host: Host, name: str, body: bytes, variant: str = "universal", **headers: str) -> tuple[int, bytes]:
    headers = {"Content_Type": "application/octet-stream", **headers}
    return post(host, f"inputs/read?name={name}&variant={variant}", body, **headers)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("timeline", "t.json"), ("script", "s.mgs"), ("csv", "t.csv"), ("vpt", "v.jsonl"), ("npz", "a.npz")],
)
def test_what_is_saved_opens_again(host: Host, kind: str, name: str) -> None:
    asked = json.dumps({"script": SCRIPT, "variant": "universal", "kind": kind}).encode()
    status, body = post(host, "inputs/write", asked, Content_Type="application/json")
    assert status == 200, body
    status, answer = opened(host, name, body)
    assert status == 200, answer
    read = json.loads(answer)
    assert read["kind"] == {"npz": "npy"}.get(kind, kind)
    track, wanted = Timeline.from_text(read["timeline"]).track(), read_text(SCRIPT, "universal").track
    rows = min(len(track), len(wanted))
    assert rows >= 36  # a VPT recording is at 20 frames a second
    if kind != "vpt":
        np.testing.assert_array_equal(track.keyboard[:rows], wanted.keyboard[:rows])
        np.testing.assert_allclose(track.mouse[:rows], wanted.mouse[:rows], atol=1e-6)  # type: ignore[index]


def test_what_cannot_be_opened_is_said_in_words(host: Host) -> None:
    before = len(host.log())
    for name, body in (
        ("walk.mgs", b"w 12\nfwd 3"),
        ("broken.npz", b"PK\x03\x04"),
        ("x.json", b"{"),
        ("", b"\xff\xfe\0"),
    ):
        status, text = opened(host, name, body)
        assert status == 400, (name, text)
        assert len(text) > 20
    assert b"did you mean 'forward'" in opened(host, "walk.mgs", b"w 12\nfwd 3")[1]
    assert opened(host, "../../walk.mgs", b"w 12")[0] == 200, "the name says only what it may be"
    for name in ("..", ".", "a%00b.mgs", "CON:x.mgs", "w" * 300 + ".mgs", "%2F", "%E2%80%AEx.mgs"):
        assert opened(host, name, b"w 12")[0] == 200, name  # no name of a user's is one on this disk
    assert opened(host, "w.mgs", b"w 12", variant="none")[0] == 400
    assert opened(host, "w.mgs", b"w 12", Content_Type="text/plain")[0] == 415
    assert opened(host, "w.mgs", b"w 12", Origin="http://evil.example")[0] == 403
    assert b"32 MiB" in opened(host, "w.csv", bytes((32 << 20) + 1))[1]
    assert "Traceback" not in host.log()[before:]


def test_a_result_that_is_not_stored_is_said_to_be_missing(host: Host) -> None:
    asked = {"node": "none", "script": SCRIPT, "variant": "universal", "kind": "gif"}
    status, text = post(host, "result", json.dumps(asked).encode(), Content_Type="application/json")
    assert (status, text.startswith(b"Nothing of this timeline is stored yet")) == (404, True)
    asked["kind"] = "mov"
    assert post(host, "result", json.dumps(asked).encode(), Content_Type="application/json")[0] == 400
