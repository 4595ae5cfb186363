"""Devices that are not there, fail or are full: a sentence each, and what was made stays."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from comfyui_matrixgame import compute
from comfyui_matrixgame.checkpoints.load import compute_dtype
from comfyui_matrixgame.compute import fused
from comfyui_matrixgame.compute.devices import find_device
from comfyui_matrixgame.compute.faults import device_fault
from comfyui_matrixgame.errors import BackendError
from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.terminal import render
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.terminal.rendering import span
from comfyui_matrixgame.world import PassProgress, load_world, rollout

from ...batch.jobs import CLIP, GENERATOR, VAE, write_files
from ..networks import begin, small_on, track_of

SAID = {
    "CUDA out of memory. Tried to allocate 2.00 GiB.": "ran out of memory: use --memory stream",
    "[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory": "not enough main memory",
    "CUBLAS error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": "ran out of memory",
    "The NVIDIA driver on your system is too old (found version 11040).": "driver is too old for this torch",
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU": "there is no NVIDIA driver",
    "No CUDA GPUs are available": "no CUDA GPU is visible",
    "CUDA error: no kernel image is available for execution on the device": "this torch has no kernels for that GPU",
    "CUDA error: device is lost": "it was lost",
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be": "a kernel failed on it",
    "CUDA error: all CUDA-capable devices are busy or unavailable": "another program has exclusive use of it",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED": "The device failed: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
}


@pytest.mark.parametrize("text", SAID)
def test_errors_of_devices_are_said_in_a_sentence(text: str) -> None:
    fault = device_fault(RuntimeError(text))
    assert isinstance(fault, BackendError)
    assert SAID[text] in str(fault)
    assert "\n" not in str(fault)


def test_other_errors_are_left_alone() -> None:
    for error in (RuntimeError("a bug"), ValueError("CUDA"), BackendError("said already"), KeyError("x")):
        assert device_fault(error) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cuda:7", "there is only cuda:0 to cuda:1"),
        ("cuda:-1", ""),
        ("cuda:x", ""),
        ("cuda:0:1", ""),
        ("cudaa", "torch does not know it"),
        ("mps", "it needs a Mac with Apple silicon"),
        ("mps:1", "it needs a Mac with Apple silicon"),
        ("xpu", "this torch was built without it"),
        ("xpu:0", "this torch was built without it"),
        ("hpu", "torch does not know it"),
        ("privateuseone", "torch does not know it"),
        ("toaster", "torch does not know it"),
        ("", "torch does not know it"),
        ("meta", "torch does not know it"),
    ],
)
def test_devices_that_do_not_exist(two_gpus: Any, capsys: pytest.CaptureFixture[str], name: str, why: str) -> None:
    assert main(["render", "--device", name]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"matrixgame: The device '{name}' is not available here: ")
    assert why in said
    assert "Use --device cpu." in said
    assert said.count("\n") == 1


def test_no_gpu_and_all_of_them_hidden(no_gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="'cuda' is not available here"):
        find_device("cuda")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BackendError, match="CUDA_VISIBLE_DEVICES is '' and hides all GPUs"):
        find_device("cuda:0")
    assert find_device(None).type == "cpu"


def test_a_device_that_was_found_is_the_current_one(two_gpus: Any) -> None:
    assert find_device("cuda:1") == torch.device("cuda:1")
    assert torch.cuda.current_device() == 1


@pytest.mark.card(capability=(7, 5))
def test_a_card_without_bfloat16_computes_in_float16(gpus: Any) -> None:
    cuda = torch.device("cuda", 0)
    assert compute_dtype(torch.bfloat16, cuda) == torch.float16
    assert compute_dtype(torch.float8_e4m3fn, cuda) == torch.float16
    assert compute_dtype(torch.float32, cuda) == torch.float32


def test_newer_cards_compute_in_bfloat16(gpus: Any) -> None:
    assert compute_dtype(torch.bfloat16, torch.device("cuda", 0)) == torch.bfloat16


def test_numbers_that_run_over_in_float16_are_said(gpus: Any) -> None:
    models = small_on("cuda:0")
    for network in (models.generator, models.vae):
        network.half()  # type: ignore[union-attr]
        network.compute_dtype = torch.float16  # type: ignore[union-attr]
    assert len(list(rollout(models, begin(models), track_of(models, 1), 1))) == 1
    models.generator.get_parameter("head.head.bias").data.fill_(65504.0).mul_(2)
    with pytest.raises(BackendError, match="too large for float16"):
        next(rollout(models, begin(models), track_of(models, 1), 1))


class CompilationError(Exception):
    """Like Triton's own."""

    __module__ = "triton.compiler.errors"


@pytest.mark.parametrize("fault", ["missing", "without a compiler", "does not compile"])
def test_a_broken_triton_is_done_without(
    gpus: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """If it cannot be imported or fails at its first launch, torch's operations make the frames, which is said once."""
    cuda = torch.device("cuda", 0)
    small = small_on("cuda:0")
    plain = [block.frames.clone() for block in rollout(small, begin(small), track_of(small, 1), 1)]
    error = CompilationError("at 5:3: ptxas fatal") if fault == "does not compile" else RuntimeError("no C compiler")
    launched = Mock(side_effect=error)
    monkeypatch.delattr(compute, "kernels", raising=False)
    if fault == "missing":
        monkeypatch.delitem(sys.modules, "comfyui_matrixgame.compute.kernels", raising=False)
        monkeypatch.setitem(sys.modules, "triton", None)
    else:
        broken = ModuleType("comfyui_matrixgame.compute.kernels")
        broken.residual_norm = launched  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, broken.__name__, broken)
        monkeypatch.setattr(compute, "kernels", broken, raising=False)
    monkeypatch.delenv("MATRIXGAME_TRITON")
    fused.kernels.cache_clear()
    try:
        with caplog.at_level("INFO", "comfyui_matrixgame.compute.fused"):
            made = [block.frames.clone() for block in rollout(small, begin(small), track_of(small, 1), 1)]
    finally:
        fused.kernels.cache_clear()
    assert fused.triton_for(torch.ones(1, device=cuda)) is None
    assert all(torch.equal(a, b) for a, b in zip(made, plain, strict=True))
    (said,) = [record.getMessage() for record in caplog.records if "Triton" in record.getMessage()]
    assert "torch's own operations are" in said
    assert launched.call_count == (0 if fault == "missing" else 1)


def test_a_kernel_that_fails_later_is_said_in_a_sentence() -> None:
    fault = device_fault(CompilationError("at 5:3:\n  x = tl.load(y)\nptxas fatal"))
    assert isinstance(fault, BackendError)
    assert "set MATRIXGAME_TRITON=0 to do without them" in str(fault)
    assert "\n" not in str(fault)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("models"))


def rendered(folder: Path, out: Path, *more: str) -> int:
    words = ["render", str(folder / "picture0.png"), "--generator", str(folder / GENERATOR), "--vae", str(folder / VAE)]
    words += ["--clip", str(folder / CLIP), "--dtype", "float32", "--size", "32x32", "--keys", "w", "--device", "cuda"]
    return main([*words, "--blocks", "3", "-o", str(out / "out.mp4"), "--world", str(out / "w.safetensors"), *more])


def frames_of(path: Path) -> np.ndarray:
    return np.stack(list(read_video(path)))


@pytest.mark.parametrize("fault", ["full", "lost"])
def test_a_device_that_fails_in_the_middle(
    gpus: Any,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    (tmp_path / "whole").mkdir()
    assert rendered(folder, tmp_path / "whole") == 0
    show = span._show

    def fails(bar: Any, first: int, part: Any, at: PassProgress) -> None:
        show(bar, first, part, at)
        if (at.done, at.step) == (1, 2):
            if fault == "lost":
                gpus.lose(0)
            else:
                gpus.taken[0] = gpus.total  # by another program
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(span, "_show", fails)
    capsys.readouterr()
    assert rendered(folder, tmp_path) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith(
        "matrixgame: The device " + ("ran out of memory" if fault == "full" else "failed: it was lost")
    )
    assert len(frames_of(tmp_path / "out.mp4")) == 9
    monkeypatch.setattr(span, "_show", show)
    gpus.taken.clear()
    gpus.lost.clear()
    if fault == "full":
        assert load_world(tmp_path / "w.safetensors").block == 1
    assert rendered(folder, tmp_path) == 0
    assert np.array_equal(frames_of(tmp_path / "out.mp4"), frames_of(tmp_path / "whole" / "out.mp4"))


def test_memory_that_another_program_takes_after_the_plan_was_made(
    gpus: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = render.plan_for

    def then_taken(*args: Any, **more: Any) -> Any:
        plan = planned(*args, **more)
        gpus.taken[0] = gpus.total - gpus.bytes_of(0, "reserved")
        return plan

    with monkeypatch.context() as patch:
        patch.setattr(render, "plan_for", then_taken)
        assert rendered(folder, tmp_path) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("matrixgame: The device ran out of memory")
    assert not any("Traceback" in line for line in said)
    assert not (tmp_path / "w.safetensors").exists()
    gpus.taken.clear()
    assert rendered(folder, tmp_path) == 0
    assert len(frames_of(tmp_path / "out.mp4")) == 33
