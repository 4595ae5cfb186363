"""What leaves a machine in a report holds no home, no user name and no folder of the user's own."""

from __future__ import annotations

import getpass
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from comfyui_matrixgame.measure.doctor import privacy
from comfyui_matrixgame.measure.doctor.privacy import without_paths


@pytest.fixture(autouse=True)
def jane(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of another machine: home, name and machine are those of a person."""
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: cls("/home/jane.doe")))
    monkeypatch.setattr(getpass, "getuser", lambda: "jane.doe")
    monkeypatch.setattr(socket, "gethostname", lambda: "janes-pc")
    for known in (privacy._known_places, privacy._names):
        known.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def _forget() -> object:
    yield
    for known in (privacy._known_places, privacy._names):
        known.cache_clear()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/jane.doe/ComfyUI/models/vae/a.safetensors is damaged", "~/.../a.safetensors is damaged"),
        ("/mnt/Client Acme/shots/a b.png cannot be read", "<path>/a b.png cannot be read"),
        (r"C:\Users\Jane Doe\Documents\walk.mgs cannot be read", "<path>/walk.mgs cannot be read"),
        (r"D:\Client Acme\a.png", "<path>/a.png"),
        ("d:/Client Acme/a.png", "<path>/a.png"),
        (r"\\nas\jane.doe\a.png", "<path>/a.png"),
        (r"\\?\C:\very\long\a.png", "<path>/a.png"),
        (r"'C:\\Users\\Jane Doe\\a.png' is none", "'<path>/a.png' is none"),
        ("file:///home/x/a.png", "<path>/a.png"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("cannot connect to janes-pc as Jane.Doe", "cannot connect to <machine> as <user>"),
        ('File "/srv/apps/x/y.py", line 3, in run', 'File "<path>/y.py", line 3, in run'),
    ],
)
def test_a_path_is_cut_to_its_name(text: str, shown: str) -> None:
    assert without_paths(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "68 frames/s at 640x352; --size 640x352 and/or a tiny decoder",
        "models/vae/wan_2.1_vae.safetensors: complete",
        "https://github.com/SkyworkAI/Matrix-Game",
        "w+right(0.1) 1s  # 3/4",
        "torch 2.13.0+cpu, CUDA 13.0: yes",
        "fp8: no: needs a GPU (RTX 40 series, L4, H100)",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert without_paths(text) == text


def test_python_and_the_temporary_folder_have_names() -> None:
    assert without_paths(f"{sys.prefix}/lib/torch/x.py") == "<python>/lib/torch/x.py"
    assert without_paths(str(Path(tempfile.gettempdir()) / "run" / "a.png")) == "<temp>/.../a.png"
