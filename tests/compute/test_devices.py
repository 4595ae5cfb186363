"""Devices other than NVIDIA's are used where they have every operation; otherwise a sentence says what is missing."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from comfyui_matrixgame.compute import devices, ops
from comfyui_matrixgame.compute.devices import find_device, missing_operation, widest_float


def test_a_cpu_has_every_operation() -> None:
    assert missing_operation(torch.device("cpu")) == ""
    assert widest_float(torch.device("cpu")) == torch.float64


@pytest.fixture
def a_mac(monkeypatch: pytest.MonkeyPatch, no_gpus: Any) -> pytest.MonkeyPatch:
    """MPS is there, and computes as the CPU does."""
    monkeypatch.setattr(torch, "mps", SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(devices, "missing_operation", lambda _: missing_operation(torch.device("cpu")))
    return monkeypatch


def test_a_device_that_has_every_operation_is_taken(a_mac: pytest.MonkeyPatch) -> None:
    assert devices._serves("mps")
    assert not devices._serves("no_such_kind")


@pytest.mark.parametrize("name", list(devices._OPERATIONS))
def test_a_device_that_lacks_an_operation_is_left_with_a_sentence(
    a_mac: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(_: torch.device) -> torch.Tensor:
        raise NotImplementedError("not implemented for the MPS device")

    a_mac.setitem(devices._OPERATIONS, name, refuses)
    with caplog.at_level(logging.WARNING):
        assert find_device(None) == torch.device("cpu")
    assert f"it has no {name}" in caplog.text
    assert "the CPU is used" in caplog.text


def test_an_operation_that_gives_no_numbers_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices._OPERATIONS, "attention", lambda _: torch.tensor([float("nan")]))
    assert missing_operation(torch.device("cpu")) == "its attention gives infinities or NaN"


def test_a_device_without_float64_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any, dtype: torch.dtype, **__: Any) -> torch.Tensor:
        raise TypeError(f"Cannot convert a MPS Tensor to {dtype}")

    monkeypatch.setattr(devices.torch, "ones", refuses)
    widest_float.cache_clear()
    assert widest_float(torch.device("xpu")) == torch.float32
    widest_float.cache_clear()


def test_what_an_older_torch_cannot_tell_of_the_processor_counts_as_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    for feature in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{feature}_supported", raising=False)
    assert not ops.cpu_multiplies_bfloat16.__wrapped__()
    assert not ops.cpu_has_matrix_registers.__wrapped__()
