"""Everything still to be measured on a GPU, in one command for a borrowed one, the most valuable first.

    python bench/device_day.py --minutes 12 [--reference PATH/Matrix-Game-2] [--fastvideo PATH] \
        [-o bench/results/NAME]

Each step is a process of its own, so that what one breaks hurts no other, and writes what it found into NAME.json as
soon as it is there. After a stop, a kill or the last minute, the same command resumes with what is not done, then tries
failed steps again. NAME.md is written anew each time. --dry-run: the same with small networks, to see
that it works before the GPU is there (on a CPU too; its figures mean nothing, and the report says so).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import torch  # noqa: E402
from day_steps import RESULT, STEPS, Step, steps_for  # noqa: E402
from report import day_markdown  # noqa: E402

from comfyui_matrixgame.measure.bench import note  # noqa: E402
from comfyui_matrixgame.measure.machine import machine  # noqa: E402
from comfyui_matrixgame.measure.reports import report_argument  # noqa: E402
from comfyui_matrixgame.system.files import write_whole  # noqa: E402

SHORTEST = 15.0  # seconds that must be left to begin another step


def main(arguments: list[str] | None = None) -> int:
    """Run what is not done yet; 0 where all is done."""
    args = options(arguments)
    end = time.monotonic() + 60 * args.minutes
    report = read(args)
    for step in list(left(report, steps_for(args))):
        seconds = end - time.monotonic()
        if seconds < SHORTEST:
            note(f"no time for {step.name}; the same command goes on with it")
            break
        note(f"{step.name}: {step.what} (about {step.seconds} s)")
        run_step(step, args, report, seconds)
    note(f"{args.output.with_suffix('.md')} has the results")
    return int(any(left(report, steps_for(args))))


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=12, help="stop after this long")
    parser.add_argument("--reference", type=Path, help="the Matrix-Game-2 folder of the published code")
    parser.add_argument("--fastvideo", type=Path, help="a checkout of FastVideo")
    parser.add_argument("--comfyui", type=Path, help="a checkout of ComfyUI whose requirements are installed")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS], help="these steps and no others")
    parser.add_argument("--dry-run", action="store_true", help="small networks: to see that every step works")
    parser.add_argument(
        "-o",
        "--output",
        type=report_argument(".json", ".md"),
        default=HERE / "results" / f"device-{time.strftime('%Y-%m-%d')}",
    )
    args = parser.parse_args(arguments)
    args.output = args.output.absolute()
    return args


def read(args: argparse.Namespace) -> dict[str, Any]:
    """The report so far, or a new one. Exits where it was measured on another machine."""
    path = args.output.with_suffix(".json")
    about = machine(torch.device(args.device))
    if not path.exists():
        return {"date": time.strftime("%Y-%m-%d"), "machine": about, "dry_run": args.dry_run, "steps": {}}
    report = json.loads(path.read_text())
    for name in ("device", "torch", "driver", "matrixgame"):
        if report["machine"].get(name) != about.get(name):
            there, here = report["machine"].get(name), about.get(name)
            sys.exit(f"{path.name} was measured with {name} {there}, here it is {here}; name another file with -o.")
    if report["dry_run"] != args.dry_run:
        sys.exit(f"{path.name} is from a {'dry run' if report['dry_run'] else 'real run'}; name another file with -o.")
    return report


def left(report: dict[str, Any], steps: list[Step]) -> Iterator[Step]:
    """What is not done: first what was never finished, then what failed before."""
    done = report["steps"]
    yield from [step for step in steps if done.get(step.name, {}).get("state", "stopped") == "stopped"]
    yield from [step for step in steps if done.get(step.name, {}).get("state") == "failed"]


def run_step(step: Step, args: argparse.Namespace, report: dict[str, Any], seconds: float) -> None:
    """Run one step in a process, and write each result as it is reported."""
    entry: dict[str, Any] = {"what": step.what, "state": "stopped", "found": {}}
    report["steps"][step.name] = entry
    write(args.output, report)
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "day_steps.py"), step.name, *passed_on(args)],
        cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(_echo(process.stderr)), daemon=True)
    reader.start()
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(RESULT):
                entry["found"] |= json.loads(line.removeprefix(RESULT))
                write(args.output, report)
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        reader.join(5)
    out_of_time = time.monotonic() - began >= seconds
    entry["state"] = "done" if status == 0 else "stopped" if out_of_time else "failed"
    entry["took_s"] = round(time.monotonic() - began, 1)
    if entry["state"] == "failed":
        entry["why"] = said[-1][:400] if said else f"the process ended with {status}"
        note(f"{step.name} failed: {entry['why']}")
    write(args.output, report)


def _echo(stream: Any) -> list[str]:
    """The lines of a stream, passed on to ours."""
    lines = []
    for line in stream:
        print(line, end="", file=sys.stderr, flush=True)
        if line.strip() and not line[0].isspace():
            lines.append(line.strip())
    return lines


def passed_on(args: argparse.Namespace) -> list[str]:
    """The options of a step's process."""
    paths = {"--reference": args.reference, "--fastvideo": args.fastvideo, "--comfyui": args.comfyui}
    named = [text for name, path in paths.items() if path is not None for text in (name, str(path.absolute()))]
    return ["--device", args.device, *(["--dry-run"] if args.dry_run else []), *named]


def write(output: Path, report: dict[str, Any]) -> None:
    """Results as JSON and as a page; each appears whole."""
    output.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(report, indent=1) + "\n"), (".md", day_markdown(report))):
        write_whole(output.with_suffix(suffix), text.encode())


if __name__ == "__main__":
    sys.exit(main())
