"""Bulk rendering on two devices: every job once, and the results of one device."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_matrixgame.terminal.main import main

from ..batch.jobs import write_files, write_jobs
from ..pretend_gpu import Machine


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_files(tmp_path_factory.mktemp("jobs"))
    return write_jobs(folder, scripts=["w 20f"], seeds=[1, 2, 3, 4], keep=["png", "latents"])


def results(jobs: Path, output: Path, *words: str) -> dict[str, bytes]:
    """The files of all results."""
    assert main(["batch", "run", str(jobs), "-o", str(output), *words]) == 0
    found = [path for path in output.glob("results/*/*/**/*") if path.is_file() and path.name != "result.json"]
    return {str(path.relative_to(output)): path.read_bytes() for path in found}


def test_two_devices_make_what_one_makes(two_gpus: Machine, jobs: Path, tmp_path: Path) -> None:
    one = results(jobs, tmp_path / "one", "--device", "cuda:0")
    waits = {wait.device for wait in two_gpus.waits}
    assert waits == {0}
    both = results(jobs, tmp_path / "both")  # all there are
    assert {wait.device for wait in two_gpus.waits} == {0, 1}
    assert one
    assert both == one
