"""Results in an object store: S3's own protocol on this machine, which has no renames and no folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from comfyui_matrixgame.batch.results import url_store
from comfyui_matrixgame.batch.results.result import Item, Result
from comfyui_matrixgame.batch.results.store import open_store
from comfyui_matrixgame.batch.results.url_store import UrlStore
from comfyui_matrixgame.errors import BatchError
from comfyui_matrixgame.terminal.main import main

from .jobs import example_result, one_thread, run, write_files, write_jobs

s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")
BUCKET = "renders"
SCRIPTS = [{"name": "walk", "text": "w 20f"}, {"name": "back", "text": "s 8f"}]
KEPT = ("**/*.safetensors", "**/*.png", "**/*.mp4")


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A server that speaks S3, with one bucket; this process and its children speak to it."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        patch.setenv(name, value)
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    files.mkdir(BUCKET)
    yield files
    patch.undo()
    server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one_thread()
    return write_files(tmp_path_factory.mktemp("s3"))


def objects(files: Any, place: str) -> list[str]:
    files.invalidate_cache()
    return sorted(files.find(f"{BUCKET}/{place}"))


def about_of(files: Any, place: str) -> list[dict[str, Any]]:
    return [json.loads(files.cat_file(name)) for name in objects(files, place) if name.endswith("result.json")]


def contents(folder: Path, pattern: str) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.glob(pattern))


def test_a_run_into_a_bucket(s3: Any, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The same bytes as in a folder; recognised also without the ledger; a page, a dataset and videos come of it."""
    settings: dict[str, Any] = {"scripts": SCRIPTS, "keep": ["mp4", "png", "latents"]}
    assert run(write_jobs(folder, "near.json", **settings)) == 0
    path = write_jobs(folder, "far.json", **settings, output=f"s3://{BUCKET}/a")
    assert main(["batch", "plan", str(path), "--device", "cpu"]) == 0
    assert objects(s3, "a") == []  # what the plan tried to write is gone
    assert run(path) == 0
    assert len(about_of(s3, "a")) == 2
    s3.get(f"{BUCKET}/a", str(tmp_path / "a"), recursive=True)
    for pattern in KEPT:
        assert contents(tmp_path / "a", f"results/{pattern}") == contents(folder / "near", f"results/{pattern}")
    before = objects(s3, "a")
    beside = folder / "far.batch"
    (beside / "batch.sqlite").unlink()
    assert run(path) == 0
    assert "2 finished before" in capsys.readouterr().err
    assert objects(s3, "a") == before
    for row in pq.read_table(beside / "results.parquet").to_pylist():
        assert f"{BUCKET}/a/{row['video']}" in before
    with Image.open(next((beside / "thumbnails").glob("*.jpg"))) as picture:
        assert picture.size == (16, 16)
    assert '"thumbnail":"thumbnails/' in (beside / "report.html").read_text()
    assert (beside / "contact_sheet_001.jpg").exists()
    assert main(["batch", "export", str(beside), str(tmp_path / "data")]) == 0
    assert len(list((tmp_path / "data").glob("data/*/*.parquet"))) == 2
    assert main(["batch", "export", str(beside), str(tmp_path / "set"), "--as", "videos"]) == 0
    assert contents(tmp_path / "set", "*.mp4") == contents(folder / "near", "results/**/*.mp4")


def part_of(store: UrlStore, key: str, **files: bytes) -> Path:
    """A result in the making with these items."""
    part = store.part(key)
    part.mkdir(parents=True)
    items = {}
    for name, data in files.items():
        (part / f"{name}.bin").write_bytes(data)
        items[name] = Item(f"{name}.bin", len(data))
    example_result(key, items).write(part)
    return part


def item(files: Any, store: UrlStore, result: Result | None, name: str) -> bytes:
    assert result is not None
    return files.cat_file(f"{store._root}/{result.place}/{result.items[name].file}")


def killed(*args: Any) -> None:
    raise KeyboardInterrupt


def test_a_result_is_there_as_a_whole_or_not_at_all(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is renamed: whatever ends before the list of files is sent leaves nothing that counts."""
    store = UrlStore(f"s3://{BUCKET}/b")
    send = store._files.pipe_file
    monkeypatch.setattr(store._files, "pipe_file", killed)
    with pytest.raises(KeyboardInterrupt):
        store.commit(part_of(store, "ab1", mp4=b"half"), "ab1")
    assert len(objects(s3, "b/results/ab/ab1")) == 1
    assert store.read("ab1") is None
    monkeypatch.setattr(store._files, "pipe_file", send)
    result = store.commit(part_of(store, "ab1", mp4=b"whole"), "ab1")
    assert store.read("ab1") == result
    assert item(s3, store, result, "mp4") == b"whole"


def test_two_attempts_at_one_result_never_mix(s3: Any) -> None:
    """A worker that was taken for lost and the one in its place: each list of files is of one of them alone."""
    one, two = UrlStore(f"s3://{BUCKET}/c"), UrlStore(f"s3://{BUCKET}/c")
    parts = part_of(one, "ab2", mp4=b"one", png=b"one"), part_of(two, "ab2", mp4=b"two", png=b"two")
    send = one._files.put

    def overtaken(*args: Any) -> None:
        send(*args)
        two._files.put = send
        two.commit(parts[1], "ab2")

    one._files = s3fs.S3FileSystem(skip_instance_cache=True)
    two._files = s3fs.S3FileSystem(skip_instance_cache=True)
    send = one._files.put
    one._files.put = overtaken
    first = one.commit(parts[0], "ab2")
    stands = two.read("ab2")
    assert stands == first
    assert {item(s3, one, stands, name) for name in ("mp4", "png")} == {b"one"}
    later = two.commit(part_of(two, "ab2", mp4=b"three", latents=b"three"), "ab2")
    assert [item(s3, two, later, name) for name in ("mp4", "png", "latents")] == [b"one", b"one", b"three"]
    assert two.commit(part_of(two, "ab2", mp4=b"four"), "ab2") == later
    assert not [path for path in two._local.glob("ab2.*")]


def test_what_cannot_be_written_is_found_in_planning(
    s3: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = write_jobs(folder, "gone.json", output="s3://mistyped/x")
    assert main(["batch", "plan", str(path), "--device", "cpu"]) == 1
    assert (
        "Results cannot be written to s3://mistyped/x: The specified bucket does not exist" in capsys.readouterr().err
    )
    assert not s3.exists("mistyped")  # and no bucket was made of a wrong name
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    assert main(["batch", "plan", str(write_jobs(folder, output="s3://renders/x")), "--device", "cpu"]) == 1
    assert "Could not connect to the endpoint" in capsys.readouterr().err
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_network_that_fails_for_a_while_fails_no_job(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_store, "PAUSES", (0.0, 0.0))
    store = UrlStore("memory://d")
    send, tries = store._files.put, []

    def fails(*args: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise TimeoutError("no answer")
        send(*args)

    monkeypatch.setattr(type(store._files), "put", lambda self, *args: fails(*args))
    store.commit(part_of(store, "ab3", mp4=b"x"), "ab3")
    tries.clear()
    monkeypatch.setattr(type(store._files), "put", lambda self, *args: fails(*args) or 1 / 0)
    with pytest.raises(BatchError, match=r"cannot be written to memory://d: division by zero"):
        store.commit(part_of(store, "ab4", mp4=b"x"), "ab4")
    assert store.read("ab4") is None


def test_neighbours_are_listed_once(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"s3://{BUCKET}/e")
    assert isinstance(store, UrlStore)
    store.commit(part_of(store, "ab5", mp4=b"x"), "ab5")
    asked = []
    look = store._files.ls
    monkeypatch.setattr(store._files, "ls", lambda *args, **more: asked.append(args) or look(*args, **more))
    assert [store.seen(key) for key in ("ab5", "ab6", "ab7", "cd1", "cd2")] == [True, False, False, False, False]
    assert len(asked) == 2
