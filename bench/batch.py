"""What bulk rendering costs: `python bench/batch.py plan|throughput|report|ray|worlds [-o FILE]`.

plan: a job file of a million products. throughput: jobs in one process against the time of their models. report: a
page of 5,000 entries in Chromium. ray: jobs that do nothing, through the scheduler of the Ray backend. worlds: several
rollouts of the demo world as one batch, against one.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CHROMIUM = "/usr/bin/chromium"


def plan(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Time and memory of `batch plan` for a million products, against one product."""
    from PIL import Image

    for i in range(2):
        Image.new("RGB", (320, 176)).save(folder / f"picture_{i}.png")
    figures = {}
    for seeds in (1, 500):
        file = folder / f"jobs{seeds}.yaml"
        scripts = "bench:0..999" if seeds > 1 else "bench:0"
        file.write_text(f'images: ["picture_*.png"]\nscripts: {scripts}\nseeds: 0..{seeds - 1}\nsize: 112x64\n')
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "comfyui_matrixgame", "batch", "plan", str(file), "--device", "cpu"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures[said.split()[1]] = {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": after.ru_utime - before.ru_utime,
            "peak_bytes": after.ru_maxrss * 1024,
        }
    return figures


def throughput(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Jobs of the demo world in one process: the sum of their models' time over the time of the whole run."""
    import torch

    from comfyui_matrixgame.batch.backends.local import LocalBackend
    from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
    from comfyui_matrixgame.batch.results.folder_store import FolderStore
    from comfyui_matrixgame.batch.results.ledger import Ledger
    from comfyui_matrixgame.batch.runner import Runner

    file = folder / "jobs.yaml"
    seeds = args.count // 8
    file.write_text(f"scripts: bench:0..7:21\nseeds: 0..{seeds - 1}\njobs: [{{image: {_demo_picture()}}}]\n")
    jobs, store, ledger = read_job_file(file), FolderStore(folder / "out"), Ledger(folder / "out")
    began, cpu = time.perf_counter(), time.process_time()
    backend = LocalBackend(jobs, "universal", [torch.device(args.device)], store, ledger.note, ledger.put_note)
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    tally = Runner(jobs, store, ledger).run(lambda _: backend)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    alone, alone_cpu = _alone(backend, jobs, args.alone)
    inside = sum(entry.result.seconds["model"] for entry in ledger.entries() if entry.result)
    ledger.close()
    return {
        "jobs": tally.made,
        "start_up_s": loaded - began,
        "run_s": ended - loaded,
        "models_in_the_run_s": inside,
        "models_alone_s_per_job": alone,
        "models_in_the_run_of_all_time": inside / (ended - loaded),
        "start_up_cpu_s": loaded_cpu - cpu,
        "run_cpu_s": ended_cpu - loaded_cpu,
        "models_alone_cpu_s_per_job": alone_cpu,
        "models_alone_of_all_cpu": alone_cpu * tally.made / (ended_cpu - loaded_cpu),
    }


def report(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A page of many entries: writing, loading, sorting, finding, and scrolling it from top to bottom."""
    from playwright.sync_api import sync_playwright

    from comfyui_matrixgame.batch.results.report import write_page

    entries = made_up_entries(folder, args.count or 5000)
    began = time.perf_counter()
    page_file = write_page(folder, entries, len(entries), "")
    figures: dict[str, Any] = {"entries": len(entries), "write_s": time.perf_counter() - began}
    figures["page_bytes"] = page_file.stat().st_size
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(page_file.as_uri())
        timing = "(() => performance.getEntriesByType('navigation')[0].domComplete)()"
        figures["load_ms"] = page.evaluate(timing)
        figures["sort_ms"] = page.evaluate(
            "(() => { const t = performance.now(); document.querySelectorAll('#head button')[3].click();"
            " document.body.offsetHeight; return performance.now() - t })()"
        )
        figures["find_ms"] = page.evaluate(
            "(() => { const t = performance.now(), f = document.getElementById('find'); f.value = 'seed_7';"
            " f.oninput(); document.body.offsetHeight; const d = performance.now() - t; f.value = ''; f.oninput();"
            " return d })()"
        )
        frames = page.evaluate(SCROLL)
        figures["scroll_frames"] = len(frames)
        figures["scroll_frame_ms_median"] = sorted(frames)[len(frames) // 2]
        figures["scroll_frame_ms_95"] = sorted(frames)[len(frames) * 95 // 100]
        figures["nodes"] = page.evaluate("document.querySelectorAll('*').length")
        browser.close()
    return figures


SCROLL = """() => new Promise(done => {
  const box = document.getElementById("box"), end = box.scrollHeight, times = [];
  let last = performance.now(), at = 0;
  const step = now => {
    times.push(now - last);
    last = now;
    at += end / 300;
    box.scrollTop = at;
    at < end ? requestAnimationFrame(step) : done(times.slice(1));
  };
  requestAnimationFrame(step);
})"""


def ray(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Jobs that do nothing, on workers of this machine: through the pool alone, then with names and ledger."""
    import ray as cluster

    from comfyui_matrixgame.batch.backends.ray_backend import join_cluster

    count = args.count or 100_000
    join_cluster("local", args.workers)
    figures: dict[str, Any] = {"workers": args.workers}
    for most, many in ((64, count), (1, max(1, count // 10))):
        pool = _empty_pool(args.workers, most)
        pool.first()
        items = iter(range(many))
        began, cpu = time.perf_counter(), time.process_time()
        done = sum(1 for _ in pool.run(lambda items=items: next(items, None)))
        key = f"pool_{most}_in_a_call"
        figures[key] = {"jobs": done, "ms_a_job": (time.perf_counter() - began) / done * 1e3}
        figures[key]["driver_cpu_ms_a_job"] = (time.process_time() - cpu) / done * 1e3
        pool.close()
    figures["names_ledger_and_pool"] = _whole_path(folder, args.workers, count)
    cluster.shutdown()
    return figures


def _empty_pool(workers: int, most: int) -> Any:
    import ray as cluster

    from comfyui_matrixgame.batch.backends.pool import Pool

    class Empty:
        def ready(self) -> bool:
            return True

        def work(self, items: list) -> list:
            return items

    remote = cluster.remote(num_cpus=0)(Empty)
    return Pool(lambda _: remote.remote(), lambda actor, items: actor.work.remote(items), workers, most=most)


def _whole_path(folder: Path, workers: int, count: int) -> dict[str, float]:
    """A job file of many jobs through names, ledger and pool; only the work itself and its files are left out."""
    from comfyui_matrixgame.batch.backends.backend import Outcome
    from comfyui_matrixgame.batch.backends.local import make_task
    from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
    from comfyui_matrixgame.batch.jobs.task import ModelIds
    from comfyui_matrixgame.batch.results.ledger import Ledger
    from comfyui_matrixgame.batch.results.outputs import result_of_task
    from comfyui_matrixgame.batch.runner import Runner
    from comfyui_matrixgame.variants import get_variant

    class Nowhere:
        is_near = True

        def seen(self, key: str) -> bool:
            return False

        def link(self, *args: object) -> None:
            return None

        def clean(self) -> None:
            return None

    class Backend:
        name = "empty"

        def signature(self) -> str:
            return ""

        def task(self, job: Any) -> Any:
            return make_task(jobs, job, ModelIds("models", "decoder", "tower"), get_variant(job.variant))

        def run(self, feed: Any, on_pulse: Any) -> Any:
            pool = _empty_pool(workers, 64)
            pool.first()
            for task, _ in pool.run(feed.take):
                yield Outcome(task, result_of_task(task, {}, None, "", {}))
            pool.close()

    file = folder / "jobs.yaml"
    file.write_text(f"size: 112x64\nimages: {_demo_picture()}\nscripts: bench:0..99:33\nseeds: 0..{count // 100 - 1}\n")
    jobs, ledger = read_job_file(file), Ledger(folder / "ledger")
    began, cpu = time.perf_counter(), time.process_time()
    tally = Runner(jobs, Nowhere(), ledger, quiet=True).run(lambda _: Backend())  # type: ignore[arg-type]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    ledger.close()
    ms = {"ms_a_job": seconds / tally.made * 1e3, "driver_cpu_ms_a_job": cpu / tally.made * 1e3}
    return {"jobs": tally.made, **ms}


def worlds(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Frames a second and memory of 1, 2, 4 and 8 worlds at once on a device, each number in a process of its own."""
    figures: dict[str, Any] = {"device": args.device}
    for count in (1, 2, 4, 8):
        command = [sys.executable, __file__, "batch-of", "--count", str(count), "--device", args.device]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        figures[str(count)] = json.loads(said)["batch-of"]
    few, many = figures["1"], figures["8"]
    figures["memory_per_world_bytes"] = (many["peak_bytes"] - few["peak_bytes"]) / 7
    figures["throughput_of_8_against_1"] = many["frames_a_second"] / few["frames_a_second"]
    figures["throughput_of_8_against_1_by_cpu"] = many["frames_a_cpu_second"] / few["frames_a_cpu_second"]
    return figures


def batch_of(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """`--count` jobs of the demo world as one batch, twice: the first time is the warm-up."""
    import torch

    from comfyui_matrixgame.batch.backends.local import make_task
    from comfyui_matrixgame.batch.backends.renderer import Renderer
    from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
    from comfyui_matrixgame.batch.jobs.models import files_for, ids_of, load_all

    file = folder / "jobs.yaml"
    file.write_text(f"scripts: bench:0:93\nseeds: 0..{args.count - 1}\njobs: [{{image: {_demo_picture()}}}]\n")
    jobs, device = read_job_file(file), torch.device(args.device)
    models = load_all(files_for(jobs, "universal", device), "sdpa")
    tasks = [make_task(jobs, job, ids_of(models), models.variant) for job in jobs.jobs()]
    renderer, frames = Renderer(models, args.count), 0
    sources = [task.source for task in tasks]
    assert all(sources)
    for _ in renderer.render(tasks, sources, lambda _: None):  # type: ignore[arg-type]
        pass
    began, cpu = time.perf_counter(), time.process_time()
    for made in renderer.render(tasks, sources, lambda _: None):  # type: ignore[arg-type]
        frames += len(made.frames)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "frames": frames,
        "frames_a_second": frames / seconds,
        "frames_a_cpu_second": frames / cpu,
        "peak_bytes": _peak(device),
    }


def _peak(device: Any) -> int:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def made_up_entries(folder: Path, count: int) -> list[Any]:
    """Entries of a ledger with thumbnails on disk, as a run would have left them."""
    from PIL import Image

    from comfyui_matrixgame.actions.ready_made.bench import bench_track
    from comfyui_matrixgame.batch.results.ledger import LedgerRow
    from comfyui_matrixgame.batch.results.result import VERSION, Item, Result, result_path, short_lanes
    from comfyui_matrixgame.variants import UNIVERSAL

    rng = random.Random(0)
    lanes = [short_lanes(bench_track(UNIVERSAL, seed, 596)) for seed in range(76)]
    entries = []
    for i in range(count):
        key = f"{rng.getrandbits(160):040x}-00000000"
        place = folder / result_path(key)
        place.mkdir(parents=True)
        if i < 64:
            picture = Image.effect_noise((240, 132), 60).convert("RGB")
            picture.save(folder / f"thumbnail{i}.jpg", quality=80)
        (place / "thumbnail.jpg").hardlink_to(folder / f"thumbnail{i % 64}.jpg")
        labels = {"variant": "universal", "image": f"picture_{i % 32}", "script": f"bench{i % 76}", "seed": str(i)}
        labels["length"] = "50b"
        result = Result(
            key=key, block="", variant="universal", labels=labels, seed=i, blocks=50, first_block=0, frames=597,
            size=(352, 640), lanes=lanes[i % 76], version=VERSION, items={"mp4": Item("video.mp4", 9_000_000)},
            thumbnail="thumbnail.jpg", seconds={"model": 20 + rng.random(), "all": 22.0}, worker="cuda:0",
            program="0", engine_version=1, finished=1.7e9 + i,
        )  # fmt: skip
        failed = i % 50 == 49
        error = "There is not enough memory for this job." if failed else None
        state = "failed" if failed else "done"
        name = f"picture_{i % 32}_seed_{i}"
        entries.append(LedgerRow(name, key, state, error, 0, 1.7e9, None if failed else result, labels))
    return entries


def _alone(backend: Any, jobs: Any, count: int) -> tuple[float, float]:
    """Mean wall and CPU seconds of the models for one job by itself, with nothing written."""
    from comfyui_matrixgame.batch.backends.renderer import Renderer

    seconds, cpu = 0.0, 0.0
    for i in range(count):
        renderer = Renderer(backend._load(0))
        task = backend.task(jobs.products[0].job(i * (len(jobs) // count)))
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in renderer.render([task], [task.source], lambda _: None):
            pass
        seconds, cpu = seconds + time.perf_counter() - began, cpu + time.process_time() - cpu_began
    return seconds / count, cpu / count


def _demo_picture() -> Path:
    from comfyui_matrixgame.checkpoints.builtin import start_images

    return start_images()[0]


COMMANDS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "plan": plan, "throughput": throughput, "report": report, "ray": ray, "worlds": worlds,
    "batch-of": batch_of,
}  # fmt: skip


def main() -> None:
    from comfyui_matrixgame.measure.reports import report_argument, write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--alone", type=int, default=8, help="throughput: jobs that are measured by themselves")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=report_argument(), help="JSON file to write the figures into")
    args = parser.parse_args()
    if args.what == "throughput":
        args.count = args.count or 64
    args.count = args.count or (1 if args.what == "batch-of" else 0)
    with tempfile.TemporaryDirectory() as folder:
        figures = {args.what: COMMANDS[args.what](Path(folder), args)}
    print(json.dumps(figures, indent=1))
    if args.output:
        before = json.loads(args.output.read_text()) if args.output.exists() else {}
        machine = {"machine": platform.machine()}
        write_text(args.output, json.dumps(before | machine | figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
