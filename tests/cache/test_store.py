"""The block store: budgets, what goes first, damage, full disks, other versions, other processes, other folders."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.cache import projects, records
from comfyui_matrixgame.cache.blocks import SNAPSHOTS_ON_DISK, BlockCache
from comfyui_matrixgame.cache.projects import forget_project, list_projects
from comfyui_matrixgame.cache.records import DamagedRecord, OtherVersion, Record, read_record, sweep_parts, write_record
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.system.files import try_lock

KILOBYTE = 1024
ROOT = Path(__file__).resolve().parents[2]


def record(value: int, kilobytes: int = 10) -> Record:
    return Record({"x": torch.full((kilobytes * KILOBYTE,), value, dtype=torch.uint8)}, {"value": value})


def values(cache: BlockCache, count: int) -> list[int]:
    """Which of the records 0..count - 1 of kind latents are there."""
    return [i for i in range(count) if cache.has("latents", f"{i:02}")]


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(2, 3, 5),
        "half": torch.randn(7).bfloat16(),
        "bytes": torch.arange(256, dtype=torch.uint8).reshape(16, 16).t(),  # not contiguous
        "none": torch.empty(0, 4),
    }
    size = write_record(tmp_path / "r.latents", Record(tensors, {"block": 3}))
    assert size == (tmp_path / "r.latents").stat().st_size
    back = read_record(tmp_path / "r.latents")
    assert back.note == {"block": 3}
    assert all(torch.equal(back.tensors[k], v) and back.tensors[k].dtype == v.dtype for k, v in tensors.items())
    assert [path.name for path in tmp_path.iterdir()] == ["r.latents"]


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "r.latents"
    write_record(path, Record({"x": torch.arange(20, dtype=torch.uint8)}, {"n": 1}))
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in (0, 7):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with pytest.raises((DamagedRecord, OtherVersion)):
                read_record(path)
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedRecord):
            read_record(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(DamagedRecord):
        read_record(path)


def test_memory_stays_within_its_budget_and_the_disk_keeps_the_rest(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", memory_bytes=35 * KILOBYTE)
    for i in range(8):
        cache.put("latents", f"{i:02}", record(i))
        assert cache.memory_used <= 35 * KILOBYTE
    assert cache.memory_used == 30 * KILOBYTE
    for i in range(8):
        found = cache.get("latents", f"{i:02}")
        assert found is not None
        assert found.note == {"value": i}
        assert found.tensors["x"][0] == i
    cache.free_memory()
    assert cache.memory_used == 0
    assert values(cache, 8) == list(range(8))


def test_a_record_larger_than_the_budget_goes_to_disk_alone(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", memory_bytes=5 * KILOBYTE)
    cache.put("snapshot", "big", record(1))
    assert cache.memory_used == 0
    assert cache.get("snapshot", "big") is not None


def test_spares_live_in_memory_and_go_first(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", memory_bytes=35 * KILOBYTE)
    cache.put("snapshot", "spare", record(9), spare=True)
    for i in range(2):
        cache.put("latents", f"{i:02}", record(i))
    assert cache.has("snapshot", "spare")
    cache.put("latents", "02", record(2))
    assert not cache.has("snapshot", "spare")
    assert values(cache, 3) == [0, 1, 2]


def test_the_least_recently_used_go_over_all_projects(tmp_path: Path) -> None:
    limit = 55 * KILOBYTE
    first = BlockCache(tmp_path, "first", 0, limit)
    for i in range(3):
        first.put("latents", f"{i:02}", record(i))
        set_used(first, f"{i:02}", 100 + i)
    first.put("pinned", "kept", record(7))
    os.utime(first.folder / "kept.pinned", (1, 1))
    kept_world = tmp_path / "a world.safetensors"
    kept_world.write_bytes(bytes(5 * KILOBYTE))
    os.utime(kept_world, (50, 50))
    second = BlockCache(tmp_path, "second", 0, limit)
    first.get("latents", "00")  # used now
    second.put("latents", "00", record(0))
    assert values(first, 3) == [0, 2]  # 01 was unused for longest, but for the world kept under a name
    assert not kept_world.exists()
    assert first.has("pinned", "kept")
    assert values(second, 1) == [0]
    for i in range(1, 9):
        second.put("latents", f"{i:02}", record(i))
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert on_disk <= limit + KILOBYTE
    assert first.has("pinned", "kept")
    assert values(first, 3) == []


def test_for_a_record_beyond_the_limit_nothing_goes(tmp_path: Path) -> None:
    limit = 55 * KILOBYTE
    for name in ("other", "p"):
        BlockCache(tmp_path, name, 0, limit).put("latents", "00", record(0))
    cache = BlockCache(tmp_path, "p", disk_bytes=limit)
    cache.put("pinned", "kept", record(1))
    cache.put("snapshot", "big", record(2, kilobytes=600))
    assert cache.has("snapshot", "big")
    assert not cache.on_disk("snapshot", "big")
    assert {path.name for path in cache.folder.iterdir()} == {"00.latents", "kept.pinned", "store.json"}
    assert BlockCache(tmp_path, "other").has("latents", "00")
    assert cache.notices == [
        "A record takes 0.6 MB and the cache's limit is 0.1 MB, so it is kept in memory only; raise the limit."
    ]


def set_used(cache: BlockCache, key: str, seconds: float) -> None:
    os.utime(cache.folder / f"{key}.latents", (seconds, seconds))


def test_only_the_newest_snapshots_stay_on_disk(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", 0)
    for i in range(SNAPSHOTS_ON_DISK + 3):
        cache.put("snapshot", str(i), record(i))
        os.utime(cache.folder / f"{i}.snapshot", (i, i))
    cache.put("snapshot", "last", record(99))
    left = {file.path.stem for file in cache.files()}
    assert left == {"last", "4", "5", "6"}


def test_found_again_after_a_restart_and_by_another_process(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p")
    cache.put("latents", "00", record(5))
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from comfyui_matrixgame.cache.blocks import BlockCache\n"
        "from comfyui_matrixgame.cache.records import Record\n"
        "cache = BlockCache(Path(sys.argv[1]), 'p')\n"
        "assert cache.get('latents', '00').tensors['x'][0] == 5\n"
        "cache.put('latents', '01', Record({'x': torch.tensor([6])}))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    other = cache.get("latents", "01")
    assert other is not None
    assert other.tensors["x"].item() == 6


def test_damage_is_said_and_the_file_goes(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p", memory_bytes=0)
    cache.put("latents", "00", record(5))
    path = cache.folder / "00.latents"
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)
    assert cache.get("latents", "00") is None
    assert not path.exists()
    assert "damaged" in cache.notices[0]
    cache.put("latents", "00", record(5))
    assert cache.get("latents", "00") is not None


def test_a_record_of_another_version_is_said_and_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = BlockCache(tmp_path, "p", memory_bytes=0)
    with monkeypatch.context() as patch:
        patch.setattr(records, "VERSION", 9)
        cache.put("latents", "00", record(5))
    assert cache.get("latents", "00") is None
    assert "another version" in cache.notices[0]
    assert "format 9" in cache.notices[0]


@pytest.mark.parametrize("about", ['{"format": "matrixgame.cache", "version": 9}', '{"other": 1}', "", "[]"])
def test_a_project_of_another_version_is_refused(about: str, tmp_path: Path) -> None:
    BlockCache(tmp_path, "p").put("latents", "00", record(5))
    (tmp_path / "p" / "store.json").write_text(about)
    with pytest.raises(WorldError, match=r"another version.*choose another project name"):
        BlockCache(tmp_path, "p")
    assert (tmp_path / "p" / "00.latents").exists()


def test_a_full_disk_is_said_and_memory_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = BlockCache(tmp_path, "p")
    cache.put("latents", "00", record(0))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    for i in range(1, 3):
        cache.put("latents", f"{i:02}", record(i))
    assert len(cache.notices) == 1
    assert "full" in cache.notices[0]
    assert values(cache, 3) == [0, 1, 2]
    assert sorted(path.name for path in cache.folder.iterdir()) == ["00.latents", "store.json"]
    monkeypatch.undo()
    cache.put("latents", "03", record(3))
    assert (cache.folder / "03.latents").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    cache = BlockCache(tmp_path / "locked", "p")
    cache.put("latents", "00", record(0))
    assert cache.get("latents", "00") is not None
    assert "cannot be written (Permission denied)" in cache.notices[0]


def test_a_read_only_project_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    BlockCache(tmp_path, "p").put("latents", "00", record(4))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("utime", "replace", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(records.os, "replace", refuse)
    monkeypatch.setattr(Path, "open", opens_only_for_reading(Path.open))
    cache = BlockCache(tmp_path, "p")
    found = cache.get("latents", "00")
    assert found is not None
    assert found.note == {"value": 4}
    cache.put("latents", "01", record(1))
    assert "Read-only" in cache.notices[0]
    assert cache.has("latents", "01")


def opens_only_for_reading(real: object):
    def open_(self: Path, mode: str = "r", *args: object, **options: object) -> object:
        if set(mode) & set("wxa+"):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(self, mode, *args, **options)  # type: ignore[operator]

    return open_


def test_what_dead_processes_left_is_swept_and_what_living_ones_write_is_not(tmp_path: Path) -> None:
    BlockCache(tmp_path, "p").put("latents", "00", record(0))
    (tmp_path / "p" / "dead.part").write_bytes(b"half")
    with (tmp_path / "p" / "living.part").open("xb") as living:
        try_lock(living)
        code = "import sys; from pathlib import Path; from comfyui_matrixgame.cache.records import sweep_parts as s; "
        subprocess.run([sys.executable, "-c", code + "s(Path(sys.argv[1]))", str(tmp_path / "p")], cwd=ROOT, check=True)
        assert {path.name for path in (tmp_path / "p").glob("*.part")} == {"living.part"}
    assert sweep_parts(tmp_path / "p") == 1


def test_without_locks_what_dead_processes_left_is_swept_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: there are no locks, and no file that is open can be deleted."""
    (tmp_path / "killed.part").write_bytes(b"half")
    opened, open_, unlink = [], Path.open, Path.unlink

    def remember(path: Path, *how: str) -> object:
        opened.append((path, open_(path, *how)))
        return opened[-1][1]

    def unlink_closed(path: Path, missing_ok: bool = False) -> None:
        if any(path == other and not file.closed for other, file in opened):
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        unlink(path, missing_ok)

    monkeypatch.setattr(records, "fcntl", None)
    monkeypatch.setattr(Path, "open", remember)
    monkeypatch.setattr(Path, "unlink", unlink_closed)
    claimed = records.claim_file(tmp_path / "film.part")
    assert claimed is not None
    assert records.claim_file(tmp_path / "film.part") is None  # it is open
    assert {path.name for path in tmp_path.iterdir()} == {"killed.part", "film.part"}
    claimed.close()  # as a kill does
    assert sweep_parts(tmp_path, "killed.part") == 1
    again = records.claim_file(tmp_path / "film.part")
    assert again is not None
    again.close()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../p", "a/b", "a\\b", "/etc", "p\0", ".hidden", "x" * 101, "end ", "con", "NUL", "com1"],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    for use in (lambda: BlockCache(tmp_path, name), lambda: forget_project(tmp_path, name)):
        with pytest.raises(WorldError, match="cannot be a project's name"):
            use()


def test_a_project_whose_name_is_refused_today_is_not_listed(tmp_path: Path) -> None:
    for name in ("con", "p"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "store.json").write_text(json.dumps({"format": "matrixgame.cache", "version": 1}))
    assert list_projects(tmp_path) == ["p"]


def test_nothing_outside_the_folder_is_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("store.json", "x.latents", "y.part", "photo.png"):
        (outside / name).write_text(json.dumps({"format": "matrixgame.cache", "version": 1}))
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside, target_is_directory=True)
    for use in (lambda: BlockCache(root, "link"), lambda: forget_project(root, "link")):
        with pytest.raises(WorldError, match="link"):
            use()
    cache = BlockCache(root, "p", 0, 15 * KILOBYTE)
    cache.put("latents", "00", record(0))
    (cache.folder / "mine.txt").write_text("notes")
    (cache.folder / "away.latents").symlink_to(outside / "x.latents")
    assert list_projects(root) == ["p"]
    cache.put("latents", "01", record(1))  # over the limit, so files go
    cache.forget()
    assert {path.name for path in outside.iterdir()} == {"store.json", "x.latents", "y.part", "photo.png"}
    assert {path.name for path in cache.folder.iterdir()} == {"mine.txt", "away.latents"}
    assert list_projects(root) == []


def test_forgotten_projects_leave_nothing(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, "p")
    for kind in projects.KINDS:
        cache.put(kind, "key", record(1))
    cache.forget()
    assert list(tmp_path.iterdir()) == []
    assert cache.memory_used == 0
    cache.put("latents", "00", record(1))  # and it can be used again
    assert (tmp_path / "p" / "00.latents").exists()
