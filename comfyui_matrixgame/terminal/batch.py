"""`matrixgame batch`: plan, run, report, export."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BatchError
from ..system.files import path_argument
from ..system.words import counted
from .shared.options import add_loras

if TYPE_CHECKING:
    from ..batch.backends.backend import Backend
    from ..batch.jobs.settings import JobFile
    from ..batch.plan import Plan
    from ..batch.results.ledger import Ledger
    from ..batch.results.store import Store

EXTRA = "pip install matrixgame[batch]"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `batch` to a program's commands; imports nothing that a job would need."""
    text = "Render many jobs from a job file: on this machine, on a Ray cluster, or on ComfyUI servers."
    batch = commands.add_parser("batch", help=text, description=text)
    inner = batch.add_subparsers(dest="batch_command", required=True, metavar="COMMAND")
    plan = inner.add_parser("plan", help="say what a job file will take, and what is wrong with it")
    run_ = inner.add_parser("run", help="make what is missing; stopped or killed, it goes on where it was")
    for command in (plan, run_):
        command.add_argument("file", type=path_argument, metavar="FILE", help="job file: .yaml, .json or .csv")
        command.add_argument("-o", "--output", metavar="FOLDER|URL", help="instead of the job file's output")
        command.add_argument(
            "--cache", metavar="FOLDER", help="make what several jobs begin with once, and keep it there"
        )
        add_loras(command)
        command.add_argument("--device", help="such as cuda:0,cuda:1 or cpu; default: every CUDA device, else the best")
        command.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: its address, auto, or local")
        command.add_argument("--workers", type=int, metavar="N", help="with --ray: actors; default: one for each GPU")
        command.add_argument("--comfyui", nargs="+", metavar="URL", help="ComfyUI servers that have this pack")
        command.add_argument(
            "--workflow", type=path_argument, metavar="FILE", help="with --comfyui: a workflow in API format to fill in"
        )
    run_.add_argument("--retry-failed", action="store_true", help="try the jobs again that failed before")
    run_.add_argument("--yes", action="store_true", help="start also where there is very much to do, or little space")
    run_.add_argument("--retries", type=int, default=5, metavar="N", help="times a job may lose its worker (default 5)")
    report = inner.add_parser("report", help="write the page, the contact sheet and the tables, also during a run")
    report.add_argument("folder", type=path_argument, metavar="FOLDER", help="output folder of a run")
    export = inner.add_parser("export", help="write the results as a dataset or as a benchmark's videos")
    export.add_argument("folder", type=path_argument, metavar="FOLDER", help="output folder of a run")
    export.add_argument("target", type=path_argument, metavar="TARGET", help="folder to write")
    export.add_argument("--as", dest="kind", choices=["dataset", "videos"], default="dataset")
    export.add_argument("--variant", help="only the jobs of this variant")
    export.add_argument("--names", default="{image}_{script}", help="with --as videos (default {image}_{script})")
    return batch


def run(args: argparse.Namespace) -> int:
    """Do what was asked; the exit status is 1 where jobs failed. Raises MatrixGameError."""
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise BatchError(f"Bulk rendering needs PyYAML and pyarrow; install them with `{EXTRA}`.") from None
    commands = {"plan": _plan, "run": _run, "report": _report, "export": _export}
    return commands[args.batch_command](args)


def _jobs(args: argparse.Namespace) -> JobFile:
    """The job file, with the LoRAs of the arguments after its own; theirs count from the current folder."""
    from ..batch.jobs.jobfile import read_job_file

    jobs = read_job_file(args.file, args.output, args.cache)
    here = Path.cwd()
    loras = args.loras if args.comfyui else [str(here / lora) for lora in args.loras]
    return replace(jobs, models=replace(jobs.models, loras=(*jobs.models.loras, *loras)))


def _plan(args: argparse.Namespace) -> int:
    jobs = _jobs(args)
    plan = _worked_out(args, jobs, _ledger_to_read(jobs))
    print("\n".join(plan.lines()))
    if plan.refusal:
        print(plan.refusal)
    return 0


def _run(args: argparse.Namespace) -> int:
    from ..batch.results.ledger import Ledger
    from ..batch.results.report import write_report
    from ..batch.results.store import open_store
    from ..batch.runner import Runner, ledger_folder

    jobs = _jobs(args)
    folder = ledger_folder(jobs)
    plan = _worked_out(args, jobs, _ledger_to_read(jobs))
    print("\n".join(plan.lines()), file=sys.stderr)
    if plan.refusal and not args.yes:
        raise BatchError(plan.refusal)
    store = open_store(jobs.output)
    ledger = Ledger(folder)
    try:
        runner = Runner(jobs, store, ledger, args.retry_failed, lambda: write_report(folder, jobs.output, quick=True))
        tally = runner.run(lambda variant: _backend(args, jobs, variant, store, ledger))
    finally:
        ledger.close()
    write_report(folder, jobs.output)
    print(f"{tally}; look at {folder / 'report.html'}", file=sys.stderr)
    return int(bool(tally.failed or tally.left))


def _report(args: argparse.Namespace) -> int:
    from ..batch.results.report import write_report

    for path in write_report(Path(args.folder)):
        print(path)
    return 0


def _export(args: argparse.Namespace) -> int:
    from ..batch.results.export import export_dataset, export_videos

    target = Path(args.target)
    if args.kind == "dataset":
        count, left_out = export_dataset(Path(args.folder), target, args.variant)
        print(f"{target}: {counted(count, 'episode', form=',')}")
    else:
        count, left_out = export_videos(Path(args.folder), target, args.names, args.variant)
        print(f"{target}: {counted(count, 'video', form=',')}")
    if left_out:
        print(f"left out, as they have no video or frames: {counted(left_out, 'job', form=',')}", file=sys.stderr)
    return 0


def _devices(args: argparse.Namespace) -> list[Any]:
    import torch

    from ..compute.devices import find_device

    if args.device:
        return [find_device(name.strip()) for name in args.device.split(",")]
    if torch.cuda.device_count() > 1:
        return [find_device(f"cuda:{index}") for index in range(torch.cuda.device_count())]
    return [find_device(None)]


def _backend(args: argparse.Namespace, jobs: JobFile, variant: str, store: Store, ledger: Ledger) -> Backend:
    if args.comfyui:
        from ..batch.backends.comfyui.backend import ComfyBackend

        return ComfyBackend(jobs, variant, args.comfyui, store, args.workflow, args.retries)
    if args.ray:
        from ..batch.backends.ray_backend import RayBackend

        devices = args.device.split(",")[:1] if args.device else None
        return RayBackend(jobs, variant, args.ray, args.workers, store, ledger, devices, args.retries)
    from ..batch.backends.local import LocalBackend

    return LocalBackend(jobs, variant, _devices(args), store, ledger.note, ledger.put_note)


def _ledger_to_read(jobs: JobFile) -> Ledger | None:
    from ..batch.results.ledger import Ledger
    from ..batch.runner import ledger_folder

    try:
        return Ledger(ledger_folder(jobs), write=False)
    except BatchError:
        return None  # nothing ran yet


def _finished(jobs: JobFile, finished: dict[str, dict[str, str] | None]) -> int | None:
    """How many jobs of the file were made before under their name; None where there are too many to look."""
    from ..batch.plan import MANY

    if len(jobs) > MANY:
        return None
    return sum(job.name in finished and finished[job.name] in (None, job.labels) for job in jobs.jobs())


def _worked_out(args: argparse.Namespace, jobs: JobFile, ledger: Ledger | None) -> Plan:
    """The plan, with what earlier runs measured."""
    from ..batch.jobs.task import wanted_items
    from ..batch.plan import Measured, make_plan
    from ..batch.results.report_files import check_report_files
    from ..batch.results.store import check_writable
    from ..batch.runner import ledger_folder

    check_writable(jobs.output)
    check_report_files(ledger_folder(jobs), len(jobs))
    memory, signature, devices = None, None, 1
    if args.comfyui:
        from ..batch.backends.comfyui.hosts import check_hosts

        if jobs.cache is not None:
            raise BatchError(
                "ComfyUI servers have caches of their own: put World Cache into a --workflow, not `cache`."
            )
        from ..batch.backends.comfyui.workflow import load_workflow

        check_hosts(args.comfyui, jobs, load_workflow(args.workflow))
        devices = len(args.comfyui)
    else:
        if args.ray:
            from ..batch.backends.ray_backend import check_address

            check_address(args.ray)
        from ..batch.jobs.models import estimate_worlds, files_for, timing_signature

        found = _devices(args)
        for variant in jobs.variants:
            files = files_for(jobs, variant, found[0])
            memory = estimate_worlds(files, jobs.size, jobs.worlds)
            signature = signature or timing_signature(files, jobs)
        devices = args.workers or len(found)
    measured = Measured(None, {})
    done = None
    if ledger is not None:
        if signature is not None:
            items = wanted_items(jobs.keep, jobs.overlay)
            measured = Measured(ledger.seconds_per_block(signature), ledger.bytes_per_frame(signature, items))
        done = _finished(jobs, ledger.finished())
        ledger.close()
    return make_plan(jobs, memory, measured, devices, done)
