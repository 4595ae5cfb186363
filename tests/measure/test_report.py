"""`matrixgame doctor`: what it says, that a section that fails spoils no other, and that torch is not needed for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from comfyui_matrixgame.checkpoints.builtin import demo_world
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.measure.doctor import files as files_module
from comfyui_matrixgame.measure.doctor import report as report_module
from comfyui_matrixgame.measure.doctor.device import about_device
from comfyui_matrixgame.measure.doctor.files import about_files, models_folders
from comfyui_matrixgame.measure.doctor.memory import published_plan
from comfyui_matrixgame.measure.doctor.report import report
from comfyui_matrixgame.memory import free_memory
from comfyui_matrixgame.system.machine import main_memory
from comfyui_matrixgame.terminal.main import main

SECTIONS = ("versions", "device", "memory", "files", "last error")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATRIXGAME_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def sections(text: str) -> dict[str, str]:
    parts = text.split("== ")[1:]
    return {part.partition(" ==")[0]: part.partition("\n")[2] for part in parts}


def test_the_command_says_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models"
    demo = demo_world()
    for folder, file in (("diffusion_models", demo.generator), ("vae", demo.vae)):
        (models / folder).mkdir(parents=True)
        (models / folder / file.name).write_bytes(file.read_bytes())
    (models / "diffusion_models" / "cut short.safetensors").write_bytes(demo.generator.read_bytes()[:5000])
    save_file({"other": torch.zeros(4)}, models / "vae" / "sd.safetensors")
    (models / "diffusion_models" / "put_models_here").write_text("")
    assert main(["doctor", "--folder", str(models), "--device", "cpu"]) == 0
    said = sections(capsys.readouterr().out)
    assert tuple(said) == SECTIONS
    assert f"torch {metadata.version('torch')}" in said["versions"]
    assert "device           cpu" in said["device"]
    assert "all weights on the device" in said["memory"]
    assert f"{demo.generator.name}: " in said["files"]
    assert "variant universal, complete" in said["files"]
    assert "cut short.safetensors: " in said["files"]
    assert "1 of other models" in said["files"]
    assert "put_models_here" not in said["files"]
    assert said["last error"].strip() == "none is known"
    assert str(tmp_path) not in json.dumps(said)


@pytest.mark.parametrize(
    ("size", "content", "verdict"),
    [(5, b"right", "the published file"), (5, b"wrong", "NOT the published file (checksum)"), (6, b"right", "NOT")],
)
def test_a_published_name_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, content: bytes, verdict: str
) -> None:
    from hashlib import sha256

    from comfyui_matrixgame.checkpoints.download import RemoteFile

    path = tmp_path / "vae" / "demo.safetensors"
    path.parent.mkdir()
    path.write_bytes(content)
    published = RemoteFile("r", "p", "vae/demo.safetensors", sha256(b"right").hexdigest(), size)
    said = files_module._compared(path, published, checksums=True)
    assert said.startswith(verdict)
    without = files_module._compared(path, published, checksums=False)
    assert without.startswith("as long as" if size == 5 else "NOT")


def test_files_that_take_too_long_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "SECONDS", -1.0)
    (tmp_path / "vae").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "vae" / "a.safetensors")
    said = dict(about_files(models_folders(tmp_path), checksums=False))
    assert said["vae"] == "1 not looked at: it took too long"


def test_a_section_that_fails_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        yield "one", "found"
        raise RuntimeError(f"no driver below {Path.home() / 'secret'}")

    said = sections(report(more=[("host", broken)], device="cpu"))
    assert said["host"].splitlines()[0].split() == ["one", "found"]
    assert "RuntimeError: no driver below ~/" in said["host"]
    assert "secret" in said["host"]  # a last name stays: it is what the error is about
    assert set(SECTIONS) < set(said)


def test_a_device_that_is_not_there_is_a_sentence() -> None:
    said = sections(report(device="cuda:7"))
    assert "is not available here" in said["device"]
    assert "main memory" in said["memory"]


NO_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("DLL load failed while importing _C")
sys.meta_path.insert(0, Refuse())
from comfyui_matrixgame.terminal.main import main
sys.exit(main(["doctor"]))
"""


def test_a_torch_that_cannot_be_imported_is_told() -> None:
    """That is when people need the report most."""
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = sections(done.stdout)
    assert "DLL load failed while importing _C" in said["device"]
    assert "torch" in said["versions"]
    assert "available" in said["memory"]


def test_the_last_error_is_kept_without_paths(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = Path.home() / "pictures of jane" / "weights.safetensors"
    assert main(["inspect", str(missing)]) == 1
    assert "last_error.txt" in os.listdir(state)
    assert main(["doctor", "--device", "cpu"]) == 0
    said = sections(capsys.readouterr().out)["last error"]
    assert "inspect" in said
    assert "CheckpointError" in said
    assert "weights.safetensors" in said
    assert "jane" not in said


def test_an_unexpected_error_is_kept_with_its_traceback(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(report_module, "report", fail)
    assert main(["doctor"]) == 1
    assert "matrixgame doctor" in capsys.readouterr().err
    kept = (state / "last_error.txt").read_text(encoding="utf-8")
    assert "Traceback" in kept
    assert "ZeroDivisionError" in kept
    assert str(Path(report_module.__file__).parent) not in kept


def test_where_nothing_can_be_written_an_error_is_said_all_the_same(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.write_text("a file where a folder belongs")
    assert main(["inspect", "none.safetensors"]) == 1
    assert "none.safetensors" in capsys.readouterr().err


def test_what_a_gpu_can_do_is_asked(gpus: Any) -> None:
    said = dict(about_device("cuda"))
    assert "compute capability 9.0" in said["device"]
    assert said["graphs"] == "yes"
    assert "bfloat16" in said["dtypes"]


@pytest.mark.card(total=8 << 30)
def test_the_plan_is_that_of_the_card(gpus: Any) -> None:
    device = torch.device("cuda")
    plan = published_plan(device, tiny=False, free=free_memory(device))
    assert plan.mode == "stream"
    assert str(plan) in report(device="cuda")


def test_main_memory_is_known() -> None:
    total, available = main_memory()
    assert 1 << 28 < available <= total


def test_errors_in_a_sentence_have_no_traceback(state: Path) -> None:
    from comfyui_matrixgame.measure.doctor.last_error import keep_error, read_last_error

    keep_error(WorldError("The world is damaged."), "render")
    assert read_last_error().splitlines()[1:] == ["WorldError: The world is damaged."]
