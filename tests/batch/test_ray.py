"""The Ray backend on one machine: the same bytes as in one process, killed workers, clusters that are not there.

BATCH_KILLS=50 BATCH_JOBS=200 kills workers of the whole backend that often, in a run of so many jobs.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
from comfyui_matrixgame.batch.jobs.models import files_for
from comfyui_matrixgame.batch.results.ledger import Ledger
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import VARIANTS, like

from ..weights.files import save
from ..weights.loras import lora
from .jobs import GENERATOR, MODELS, contents, one_thread, run, write_files, write_jobs

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    from comfyui_matrixgame.batch.backends.ray_backend import join_cluster

    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.update({"RAY_worker_niceness": "0"})  # otherwise they starve where other tests run beside them
    join_cluster("local", 2)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one_thread()
    return write_files(tmp_path_factory.mktemp("ray"))


def kill_a_worker(rng: random.Random, title: str) -> bool:
    """SIGKILL one of this process's own workers."""
    mine = []
    for process in psutil.Process().children(recursive=True):
        try:
            if title in " ".join(process.cmdline()):
                mine.append(process)
        except psutil.Error:
            continue
    if mine:
        rng.choice(mine).kill()
    return bool(mine)


@pytest.fixture
def forgetful() -> Iterator[Callable[[], None]]:
    """Forgets the variant `mine`, now and after the test."""

    def forget() -> None:
        VARIANTS.pop("mine", None)
        like._learned.discard("mine")

    yield forget
    forget()


MINE = {"format": "matrixgame.variant", "version": 1, "like": "universal", "name": "mine", "title": "Mine", "sink": 1}


@pytest.mark.parametrize(
    ("described", "text", "variant"),
    [(GENERATOR, MINE, "mine"), ("fast.safetensors", {"steps": [1000, 500]}, "universal")],
)
def test_what_describes_weights_travels_to_machines_where_it_does_not_lie(
    folder: Path, described: str, text: dict[str, Any], variant: str, forgetful: Callable[[], None]
) -> None:
    from comfyui_matrixgame.batch.backends.ray_backend import Worker

    weights = {name.removeprefix("model."): tensor for name, tensor in load_file(folder / GENERATOR).items()}
    save(folder / "fast.safetensors", lora(weights))
    path = write_jobs(folder, "travels.json", models=MODELS | {"lora": "fast.safetensors"})
    beside = (folder / described).with_suffix(".matrixgame.json")
    beside.write_text(json.dumps(text))
    jobs = read_job_file(path)
    found = files_for(jobs, variant, torch.device("cpu")).variant
    assert (found.steps, found.sink) != (VARIANTS["universal"].steps, 0)
    beside.unlink()
    forgetful()
    there = Worker(jobs, pickle.loads(pickle.dumps(found)), "cpu", "there")._models.variant
    assert (there.name, there.steps, there.sink) == (found.name, found.steps, found.sink)
    assert variant in VARIANTS


def test_the_same_files_as_in_one_process_whatever_is_killed(
    cluster: None, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    kills, count = int(os.environ.get("BATCH_KILLS", "1")), int(os.environ.get("BATCH_JOBS", "6"))
    settings: dict[str, Any] = {"scripts": "w 20f", "seeds": f"0..{count - 1}", "keep": ["mp4", "png", "latents"]}
    calm, ray_ = write_jobs(folder, "calm.json", **settings), write_jobs(folder, "ray.json", **settings)
    assert run(calm) == 0
    rng, over, killed = random.Random(1), threading.Event(), []

    def kill() -> None:
        while len(killed) < kills and not over.wait(rng.uniform(2, 5) if killed else 0.02):
            at_work = killed or list((folder / "ray").glob("parts/*/*"))  # the first in the middle of a job
            if at_work and kill_a_worker(rng, "ray::Worker"):
                killed.append(1)

    thread = threading.Thread(target=kill)
    thread.start()
    assert run(ray_, "--ray", "local", "--workers", "2", "--retries", "50") == 0
    over.set()
    thread.join()
    assert len(killed) == kills
    assert contents(folder / "ray") == contents(folder / "calm")
    assert f"{count} made" in capsys.readouterr().err
    ledger = Ledger(folder / "ray", write=False)
    assert Counter(entry.state for entry in ledger.entries()) == {"done": count}
    ledger.close()


def tiny_pool(size: int, retries: int = 5) -> Any:
    """A pool of actors that give back what they got; they die of -1."""
    from comfyui_matrixgame.batch.backends.pool import Pool

    class Tiny:
        def ready(self) -> bool:
            return True

        def work(self, items: list[int]) -> list[int]:
            time.sleep(0.003 * len(items))
            if -1 in items:
                os._exit(1)
            if -2 in items:
                raise ValueError("minus two")
            return [2 * item for item in items]

    remote = ray.remote(num_cpus=0)(Tiny)
    return Pool(lambda _: remote.remote(), lambda actor, items: actor.work.remote(items), size, retries)


def test_a_pool_gives_every_result_once_whatever_is_killed(cluster: None) -> None:
    pool, rng = tiny_pool(2), random.Random(3)
    items, found, killed = iter(range(400)), [], 0
    for item, result in pool.run(lambda: next(items, None)):
        found.append(item)
        assert result == 2 * item
        if killed < 3 and len(found) >= 80 * (killed + 1):
            killed += kill_a_worker(rng, "ray::Tiny")
    pool.close()
    assert killed == 3
    assert pool.lost >= 1
    assert sorted(found) == list(range(400))


def test_what_kills_its_workers_is_given_up_and_the_rest_goes_on(cluster: None) -> None:
    pool = tiny_pool(2, retries=1)
    items = iter([1, 2, -1, 3, -2, 4, 5])
    results = dict(pool.run(lambda: next(items, None)))
    pool.close()
    assert {item: result for item, result in results.items() if item > 0} == {i: 2 * i for i in (1, 2, 3, 4, 5)}
    assert "lost its worker 2 times" in results[-1].reason
    assert "minus two" in results[-2].reason


@pytest.mark.parametrize("broken", [2, 99])
def test_a_worker_that_loses_its_device_is_replaced(cluster: None, broken: int) -> None:
    """It fails at whatever it is given, and quickly: it must not take the jobs of those that work."""
    from comfyui_matrixgame.batch.backends.pool import Pool
    from comfyui_matrixgame.errors import BackendError

    class Tiny:
        def __init__(self, number: int) -> None:
            self.breaks, self.lost = number < broken, False

        def ready(self) -> bool:
            return True

        def work(self, items: list[int]) -> list[int]:
            self.lost = self.lost or (self.breaks and 5 in items)
            if self.lost:
                raise BackendError("The device failed: it was lost.")
            return [2 * item for item in items]

    remote = ray.remote(num_cpus=0)(Tiny)
    pool = Pool(lambda number: remote.remote(number), lambda actor, items: actor.work.remote(items), 1, 2)
    items = iter(range(12))
    results = dict(pool.run(lambda: next(items, None)))
    pool.close()
    lost = {item: result.reason for item, result in results.items() if not isinstance(result, int)}
    assert {item: result for item, result in results.items() if item not in lost} == {
        item: 2 * item for item in range(12) if item not in lost
    }
    if broken == 2:
        assert lost == {}
    else:  # wherever this job runs, the device breaks
        assert 5 in lost
        assert all("3 times; " in why and "it was lost" in why for why in lost.values())
        assert len(lost) < 6


def test_workers_that_do_not_start(cluster: None, folder: Path, capsys: pytest.CaptureFixture) -> None:
    from comfyui_matrixgame.batch.backends.pool import Pool
    from comfyui_matrixgame.errors import BatchError

    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no models here")

        def ready(self) -> bool:
            return True

    remote = ray.remote(num_cpus=0)(Broken)
    pool = Pool(lambda _: remote.remote(), lambda actor, items: actor.work.remote(items), 1)
    with pytest.raises(BatchError, match=r"do not start: .*no models here"):
        pool.first()


@pytest.mark.parametrize(
    ("address", "message"),
    [("127.0.0.1:1", "No Ray cluster answers at 127.0.0.1"), ("nowhere", "should be HOST:PORT")],
)
def test_a_cluster_that_is_not_there(folder: Path, address: str, message: str, capsys: pytest.CaptureFixture) -> None:
    for command in ("plan", "run"):
        assert main(["batch", command, str(write_jobs(folder)), "--device", "cpu", "--ray", address]) == 1
        assert message in capsys.readouterr().err
