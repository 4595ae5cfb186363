"""Records of the cache that are forged, swapped or not files: made again and replaced, and reported once."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_matrixgame.cache import records
from comfyui_matrixgame.cache.blocks import BlockCache
from comfyui_matrixgame.cache.contents import fits_condition, fits_frames, fits_latents, fits_state
from comfyui_matrixgame.cache.kept_worlds import WorldStore
from comfyui_matrixgame.cache.projects import CONDITION, FRAMES, LATENTS, SNAPSHOT
from comfyui_matrixgame.cache.records import DamagedRecord, Record, claim_file, read_record, sweep_parts, write_record
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.host.routes.pictures import frames_of_file
from comfyui_matrixgame.variants import VARIANTS
from comfyui_matrixgame.world import start_world

from ..support.networks import random_track, small_image, small_models
from .blocks import cached, plain, same
from .forged import FORGED, forge, tensors

UNIVERSAL = VARIANTS["universal"]


@pytest.mark.parametrize("header", FORGED, ids=lambda header: str(header)[:50])
def test_forged_headers(header: Any, tmp_path: Path) -> None:
    path = tmp_path / "r.latents"
    forge(path, header, b"abcd")
    with pytest.raises(DamagedRecord):
        read_record(path)
    forge(path, header, b"abcd", length=(1 << 32) - 1)
    with pytest.raises(DamagedRecord):
        read_record(path)


def test_a_record_without_a_key_is_still_good(tmp_path: Path) -> None:
    forge(tmp_path / "r.latents", {"note": {"a": 1}, "tensors": [["x", "uint8", [4]]]}, b"abcd")
    assert read_record(tmp_path / "r.latents").tensors["x"].tolist() == list(b"abcd")


def test_swapped_records_are_refused(tmp_path: Path) -> None:
    for name in ("a.latents", "b.latents"):
        write_record(tmp_path / name, Record({"x": torch.zeros(4)}, {}))
    (tmp_path / "a.latents").rename(tmp_path / "c.latents")
    (tmp_path / "b.latents").rename(tmp_path / "a.latents")
    (tmp_path / "c.latents").rename(tmp_path / "b.latents")
    for name in ("a.latents", "b.latents"):
        with pytest.raises(DamagedRecord):
            read_record(tmp_path / name)


@pytest.fixture
def odd() -> Iterator[Any]:
    """Makes a pipe or a socket in a file's place."""
    sockets = []

    def make(path: Path, kind: str) -> None:
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        else:
            sockets.append(socket.socket(socket.AF_UNIX))
            os.chdir(path.parent)  # a socket's path may have 107 bytes only
            sockets[-1].bind(path.name)

    before = Path.cwd()
    yield make
    os.chdir(before)
    for each in sockets:
        each.close()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_pipes_and_sockets_are_not_waited_for(kind: str, odd: Any, tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", 0)
    cache.put(LATENTS, "a", Record({"x": torch.ones(4)}, {}))
    path = cache.folder / "a.latents"
    odd(path, kind)
    assert not cache.has(LATENTS, "a")
    assert cache.get(LATENTS, "a") is None
    assert any("named pipe" in note or "socket" in note for note in cache.take_notices())
    cache.put(LATENTS, "a", Record({"x": torch.ones(4)}, {}))
    found = cache.get(LATENTS, "a")
    assert found is not None
    assert found.tensors["x"].tolist() == [1, 1, 1, 1]
    assert cache.take_notices() == []
    odd(cache.folder / "x.part", kind)
    sweep_parts(cache.folder)
    assert not (cache.folder / "x.part").exists()
    odd(cache.folder / "film.part", kind)
    claimed = claim_file(cache.folder / "film.part")
    assert claimed is not None
    claimed.close()
    odd(cache.folder / "store.json", kind)
    with pytest.raises(WorldError, match=r"store\.json cannot be read"):
        BlockCache(tmp_path, "p", 0)


def test_notes_of_kept_worlds(odd: Any, tmp_path: Path) -> None:
    store = WorldStore(tmp_path)
    store.keep("w", "s", lambda path: path.write_text("x"), 1e9)
    assert store.signature("w") == "s"
    for text in ("[" * 100_000, "[]", "{}"):
        (tmp_path / "w.json").write_text(text)
        assert store.signature("w") is None
    odd(tmp_path / "w.json", "pipe")
    assert store.signature("w") is None
    (tmp_path / "w.json").unlink()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "w.json").symlink_to(tmp_path / "mine")
    store.keep("w", "s", lambda path: path.write_text("x"), 1e9)
    assert (tmp_path / "mine").read_text() == "mine"
    assert store.signature("w") == "s"


def test_a_store_that_is_nested_json(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", 0)
    cache.put(LATENTS, "a", Record({"x": torch.ones(4)}, {}))
    (cache.folder / "store.json").write_text("[" * 60_000)
    with pytest.raises(WorldError, match="another version"):
        BlockCache(tmp_path, "p", 0)


def wrong(record: Record, how: str) -> Record:
    """The record with other tensors, as nothing would write it."""
    changes: Mapping[str, Any] = {
        "names": {f"other.{name}": tensor for name, tensor in record.tensors.items()},
        "rank": {name: tensor.flatten() for name, tensor in record.tensors.items()},
        "size": {name: torch.cat([tensor, tensor], -1) for name, tensor in record.tensors.items()},
        "dtype": {name: tensor.to(torch.int64) for name, tensor in record.tensors.items()},
        "none": {},
    }
    return Record(changes[how], record.note)


ALL = (LATENTS, FRAMES, SNAPSHOT, CONDITION)


@pytest.mark.parametrize(
    ("kinds", "how"),
    [*((ALL, how) for how in ("names", "rank", "size", "dtype", "none")), *(((kind,), "size") for kind in ALL)],
)
def test_records_that_hold_other_things_are_made_again_once(kinds: tuple[str, ...], how: str, tmp_path: Path) -> None:
    models, track = small_models(), random_track(UNIVERSAL, 12)
    world = start_world(models, small_image(), 3)
    expected = plain(models, world, track)
    cached(models, world, track, BlockCache(tmp_path, "p", 0))
    changed = [file.path for file in BlockCache(tmp_path, "p", 0).files() if file.kind in kinds]
    assert changed
    for path in changed:
        broken = wrong(read_record(path), how)
        path.unlink()
        write_record(path, broken)
    longer = track.padded(24)
    blocks, _ = cached(models, world, track, BlockCache(tmp_path, "p", 0))
    assert same(blocks, expected)
    more, _ = cached(models, world, longer, BlockCache(tmp_path, "p", 0))
    assert same(more, plain(models, world, longer))
    again = BlockCache(tmp_path, "p", 0)
    blocks, run = cached(models, world, longer, again)
    assert run.counts.made == 0
    assert again.take_notices() == []


def test_a_forged_record_of_many_gigabytes_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tensor behind the header is read: too many frames, another dtype or shape, or an extra tensor."""
    world = start_world(small_models(), small_image(), seed=1)
    chosen: list[tuple[str, Any, list[list[Any]]]] = [
        (FRAMES, fits_frames(world, 1), [["frames", "uint8", [1, 2**22, *world.size, 3]]]),
        (
            LATENTS,
            fits_latents(world),
            [["latents", "float32", [1, 16, 3, *world.latent_size]], ["x", "uint8", [2**33]]],
        ),
        (CONDITION, fits_condition(world), [["condition", "float32", [1, 16, 2**24, *world.latent_size]]]),
        (
            SNAPSHOT,
            fits_state(world, small_models()),
            [["cache.0.video.k", "float64", [2**31]], ["x", "uint8", [2**33]]],
        ),
    ]
    monkeypatch.setattr(records, "_read_tensor", lambda *_: pytest.fail("it was read"))
    cache = BlockCache(tmp_path, "p")
    cache.folder.mkdir(parents=True)
    for kind, fits, entries in chosen:
        path = cache.folder / f"{'0' * 40}.{kind}"
        forge_large(path, entries)
        if kind == FRAMES:
            assert frames_of_file(path) is None
        assert cache.get(kind, "0" * 40, fits) is None
        assert not path.exists()
        assert "was damaged; it is made again" in cache.take_notices()[0]


def forge_large(path: Path, entries: list[list[Any]]) -> None:
    """A record as long as it says, of which the disk has only the beginning."""
    forge(path, tensors(*entries))
    sizes = {"uint8": 1, "float32": 4, "float64": 8}
    os.truncate(path, path.stat().st_size + sum(sizes[kind] * math.prod(shape) for _, kind, shape in entries))
