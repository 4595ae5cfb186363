"""The doctor's report in a real ComfyUI: its own facts, the last error of a node of ours, and no personal paths."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ..server import PACK, Host

DEMO = "demo world (built in)"


def the_report(host: Host) -> str:
    return host.get("/matrixgame/doctor").decode()


def test_the_report_is_that_of_this_comfyui(host: Host) -> None:
    said = the_report(host)
    for part in ("== ComfyUI ==", "== device ==", "device           cpu", "vram state", "dynamic vram", "cpu"):
        assert part in said
    assert "could not be found out" not in said
    assert "demo world       as it was shipped" in said
    assert "variant universal" in said  # of the small models in the host's folders


def test_the_last_error_of_our_nodes_is_in_it(host: Host) -> None:
    secret = "no such folder of mine/photo.png"
    prompt = {
        "1": {"class_type": "MatrixGameActionTimeline", "inputs": {"variant": "universal", "script": "w 1b"}},
        "2": {"class_type": "MatrixGameLoadVAE", "inputs": {"file": DEMO, "decoder": "full", "dtype": "auto"}},
        "3": {"class_type": "MatrixGameLoadGenerator", "inputs": {"file": DEMO, "dtype": "auto", "attention": "sage"}},
        "4": {
            "class_type": "MatrixGameStartWorld",
            "inputs": {"model": ["3", 0], "vae": ["2", 0], "seed": 0, "width": 0, "height": 0},
        },
        "5": {"class_type": "MatrixGameSaveWorld", "inputs": {"world": ["4", 0], "filename_prefix": "matrixgame/w"}},
    }
    assert secret not in the_report(host)
    assert host.run(prompt).status == "error"
    said = the_report(host).partition("== last error ==")[2]
    assert "MatrixGameLoadGenerator" in said
    assert "sageattention cannot be imported" in said
    assert "Traceback" not in said  # the sentence says it all


def test_no_path_of_this_machine_is_in_it(host: Host) -> None:
    said = the_report(host)
    for place in (Path.home(), PACK, host.base):
        assert str(place) not in said


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_do_not_get_it(host: Host, headers: dict[str, str]) -> None:
    request = urllib.request.Request(f"{host.url}/matrixgame/doctor", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 403
