"""Ray over several nodes, each with a raylet, an object store and workers of its own, here on one machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from comfyui_matrixgame.batch.results.ledger import Ledger
from comfyui_matrixgame.errors import BatchError
from comfyui_matrixgame.terminal.main import main

from .jobs import contents, one_thread, write_files, write_jobs

ray = pytest.importorskip("ray")
STORE = 80 << 20  # bytes of a node's object store
QUICK = {"health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_timeout_ms": 1000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node that runs no jobs."""
    from ray.cluster_utils import Cluster

    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": STORE,
            "_system_config": QUICK,
            "include_dashboard": False,
        },
    )
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one_thread()
    return write_files(tmp_path)


def begun(parts: Path) -> list[Path]:
    """Results that are being written; a store also tries whether it can write there."""
    return [part for part in parts.glob("*") if not part.name.startswith("probe-")]


def stopped_at_work(nodes: Iterable[Any], parts: Path) -> list[psutil.Process]:
    """All processes below the raylets of these nodes, halted in the middle of a job: they must not finish it before
    they learn that their node is gone."""
    raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in nodes]
    while True:
        while not begun(parts):
            time.sleep(0.005)
        workers = [worker for raylet in raylets for worker in raylet.children(recursive=True)]
        for worker in workers:
            worker.suspend()
        if begun(parts):
            return workers
        for worker in workers:
            worker.resume()


def test_nodes_that_are_lost_lose_nothing(cluster: Any, folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Two nodes with a worker each are killed in the middle of their jobs; one that joins then makes what is left."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    settings: dict[str, Any] = {"scripts": "w 68f", "seeds": "0..4", "keep": ["png", "latents"]}
    calm, far = write_jobs(folder, "calm.json", **settings), write_jobs(folder, "far.json", **settings)
    assert main(["batch", "run", str(calm), "--device", "cpu"]) == 0
    parts, status = folder / "far" / "parts", []
    command = ["batch", "run", str(far), "--device", "cpu", "--ray", cluster.address, "--workers", "2"]
    thread = threading.Thread(target=lambda: status.append(main(command)))
    thread.start()
    workers = stopped_at_work(cluster.worker_nodes, parts)
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node, allow_graceful=False)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    cluster.add_node(num_cpus=1, object_store_memory=STORE)
    thread.join()
    assert status == [0]
    assert "5 made" in capsys.readouterr().err
    assert contents(folder / "far") == contents(folder / "calm")
    assert len(begun(parts)) >= 1  # of a job that was cut off
    ledger = Ledger(folder / "far", write=False)
    states = {(entry.state, entry.result is not None) for entry in ledger.entries()}
    ledger.close()
    assert states == {("done", True)}
    alive = [node["Alive"] for node in ray.nodes()]
    assert (alive.count(True), alive.count(False) >= 2) == (2, True)


def test_a_cluster_that_is_gone_is_said(cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver finds out by itself: Ray would end its process a while later without a word."""
    from comfyui_matrixgame.batch.backends import pool, ray_backend

    monkeypatch.setattr(pool, "CALL_EVERY", 0.1)

    class Slow:
        def ready(self) -> bool:
            return True

        def work(self, items: list) -> list:
            time.sleep(20)
            return items

    remote = ray.remote(num_cpus=0)(Slow)
    heads = iter([cluster.address, "127.0.0.1:1", cluster.address, *["127.0.0.1:1"] * 3])
    busy = pool.Pool(
        lambda _: remote.remote(),
        lambda actor, items: actor.work.remote(items),
        1,
        answers=lambda: ray_backend.is_listening(next(heads)),
    )
    actor = busy._actors[0]
    items = iter([1])
    with pytest.raises(BatchError, match="does not answer any more"):
        list(busy.run(lambda: next(items, None)))
    assert next(heads, None) is None  # one call without an answer was not enough
    ray.kill(actor.handle)


def test_a_cluster_without_room_is_said(cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from comfyui_matrixgame.batch.backends import pool

    monkeypatch.setattr(pool, "NOBODY", 1.0)

    class Tiny:
        def ready(self) -> bool:
            return True

    remote = ray.remote(num_cpus=64)(Tiny)
    waiting = pool.Pool(lambda _: remote.remote(), lambda actor, items: items, 1)
    with pytest.raises(BatchError, match="No worker has started on the Ray cluster for 1 s"):
        waiting.first()
    waiting.close()
