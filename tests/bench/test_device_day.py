"""The command for a borrowed GPU: every step runs, results are written at once, and a second call goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ..pretend_gpu import pretend_gpus
from .loaded import BENCH, bench


def command(output: Path, *options: str) -> list[str]:
    return [
        sys.executable, str(BENCH / "device_day.py"), "--dry-run", "--device", "cpu", "-o", str(output), *options
    ]  # fmt: skip


# what devices do that CPUs do not: graphs, streams, the allocator; DEVICE_DAY=all tries every step (minutes)
TRIED = [s.name for s in bench("day_steps").STEPS if not s.needs and s.name != "tests"]
if os.environ.get("DEVICE_DAY") != "all":
    TRIED = ["exact-wan", "one-layer", "trials", "five-rollouts"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "exact-wan" else []) for name in TRIED]
)
def test_every_step_runs_on_a_pretended_gpu(name: str) -> None:
    steps = bench("day_steps")
    step = next(step for step in steps.STEPS if step.name == name)
    found: dict[str, Any] = {}
    with pretend_gpus(2, total=24e9) as gpus:
        step.run(steps.Context(torch.device("cuda"), True, found.update))
        assert gpus.races == []
    assert json.loads(json.dumps(found))  # all of it can be written
    assert "failed" not in json.dumps(found)


def test_a_killed_day_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "day"
    first = subprocess.Popen(
        command(output, "--only", "batches", "one-layer"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("bench: one-layer"):  # the second
            os.killpg(first.pid, signal.SIGKILL)
            break
    first.communicate()
    before = json.loads(output.with_suffix(".json").read_text())["steps"]
    assert before["batches"]["state"] == "done"
    assert before.get("one-layer", {}).get("state") in (None, "stopped")
    again = subprocess.run(command(output, "--only", "batches", "one-layer"), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "bench: batches" not in again.stderr
    after = json.loads(output.with_suffix(".json").read_text())["steps"]
    assert after["batches"] == before["batches"]
    assert after["one-layer"]["state"] == "done"
    page = output.with_suffix(".md").read_text()
    assert "A dry run with small networks: its figures mean nothing." in page
    assert "Worlds at once: universal" in page


def test_a_step_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "day"
    missing = ("--comfyui", str(tmp_path / "none"))
    done = subprocess.run(command(output, "--only", "comfyui", "one-layer", *missing), capture_output=True, text=True)
    report = json.loads(output.with_suffix(".json").read_text())
    assert report["steps"]["one-layer"]["state"] == "done"
    assert report["steps"]["comfyui"]["state"] == "failed"
    assert "No such file or directory" in report["steps"]["comfyui"]["why"]
    assert done.returncode == 1  # something is left
    assert "Traceback" not in output.with_suffix(".md").read_text()


def test_a_report_of_another_machine_is_not_continued(tmp_path: Path) -> None:
    day = bench("device_day")
    args = day.options(["--dry-run", "--device", "cpu", "-o", str(tmp_path / "day")])
    report = day.read(args)
    report["machine"]["torch"] = "0.1"
    day.write(args.output, report)
    with pytest.raises(SystemExit, match=r"measured with torch 0\.1"):
        day.read(args)
