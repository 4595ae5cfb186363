"""Downloads: resumable, checked, and harmless when they fail; against an endpoint on loopback."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
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

from .hub import (
    CONTENT,
    HubServer,
    running_hub,
)

FILE = RemoteFile(
    "owner/name", "folder/a.safetensors", "vae/a.safetensors", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running_hub() as running:
        yield running


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
