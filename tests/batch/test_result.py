"""The record of a result: the bytes that earlier versions wrote, and texts that are not a record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.batch.results.folder_store import FolderStore
from comfyui_matrixgame.batch.results.result import Item, result_of_text, short_lanes, track_of_short_lanes
from comfyui_matrixgame.variants import UNIVERSAL

from .jobs import example_result

TEXT = (
    '{"key": "ab1", "block": "b0", "variant": "universal", "labels": {"image": "a", "script": "walk"}, "seed": 7, '
    '"blocks": 2, "first_block": 0, "frames": 21, "size": [16, 32], "lanes": {"w": [[0, 1.0], [4, 0.0]]}, '
    '"version": 1, "items": {"mp4": {"file": "video.mp4", "bytes": 5}, "png": {"file": "png", "bytes": 12}}, '
    '"thumbnail": "thumbnail.jpg", "seconds": {"model": 0.25, "all": 1.5}, "worker": "cuda:0", "program": "0.1.0", '
    '"engine_version": 3, "finished": 1764000000.125}'
)


def test_a_result_is_read_and_written_to_the_byte() -> None:
    result = result_of_text(TEXT)
    assert result.text() == TEXT
    assert result.size == (16, 32)
    assert (result.bytes, result.rows, result.video) == (17, 20, "video.mp4")
    assert result.has(("mp4", "png"))
    assert not result.has(("mp4", "latents"))


@pytest.mark.parametrize("text", [TEXT[:-1], "[]", "{}", "null", TEXT.replace("[16, 32]", "[16]"), "\xff"])
def test_what_is_no_result_is_not_whole(tmp_path: Path, text: str) -> None:
    """The result is made again; no job fails, and the run goes on."""
    store = FolderStore(tmp_path)
    folder = store.folder("ab1")
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(text, encoding="latin-1")
    assert store.read("ab1") is None
    part = store.part("ab1")
    part.mkdir()
    (part / "latents.bin").write_bytes(b"12")
    example_result("ab1", {"latents": Item("latents.bin", 2)}).write(part)
    assert store.commit(part, "ab1").items == {"latents": Item("latents.bin", 2)}
    assert json.loads((folder / "result.json").read_text())["key"] == "ab1"


def test_another_seed_is_one_of_its_lanes() -> None:
    track = ActionTrack.idle(UNIVERSAL, 20)
    assert "seed" not in short_lanes(track)
    again = track.with_seeds([(12, 2**53 - 1)])
    assert track_of_short_lanes("universal", short_lanes(again), 20) == again
