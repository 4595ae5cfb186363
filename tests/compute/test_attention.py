"""Attention backends agree, or say that they are not there."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from comfyui_matrixgame.compute import attention, ops
from comfyui_matrixgame.compute.attention import BACKENDS, available_backends, get_attention, sdpa
from comfyui_matrixgame.compute.ops import Conv3d, Linear, linear
from comfyui_matrixgame.errors import BackendError
from comfyui_matrixgame.networks.generator.action_module import attend_along_time
from comfyui_matrixgame.networks.generator.kv_cache import Ring
from comfyui_matrixgame.networks.generator.norms import RMSNorm, norm_rotate

from ..support.networks import largest_difference, stream


def exact(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k, v = (x.double().transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2)


def test_sdpa_is_attention() -> None:
    q, k, v = stream("q", (2, 7, 3, 128)), stream("k", (2, 11, 3, 128)), stream("v", (2, 11, 3, 128))
    assert largest_difference(sdpa(q, k, v).double(), exact(q, k, v)) < 1e-5


def test_tiles_in_bfloat16_are_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the processor would not choose them."""
    monkeypatch.setattr(attention, "cpu_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(attention, "cpu_has_matrix_registers", lambda: False)
    rows, keys = attention.TILE_ROWS + 7, attention.MANY_KEYS + 5  # a tile that is not full
    q, k, v = (stream(name, (2, n, 3, 64)).bfloat16() for name, n in (("q", rows), ("k", keys), ("v", keys)))
    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", None)
    with torch.inference_mode():
        answer = sdpa(q, k, v)
    assert largest_difference(answer, exact(q, k, v)) < 4e-3


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "sdpa"])
def test_installed_backends_agree(name: str) -> None:
    if not torch.cuda.is_available() or name not in available_backends():
        pytest.skip(f"attention '{name}' needs a CUDA device and its package")
    q, k, v = (stream(n, (1, 256, 12, 128)).cuda().bfloat16() for n in "qkv")
    assert largest_difference(get_attention(name)(q, k, v).cpu(), exact(q, k, v).cpu()) < 0.05


def test_a_backend_that_is_absent_is_named() -> None:
    absent = [name for name in BACKENDS if name not in available_backends()]
    for name in absent:
        with pytest.raises(BackendError, match=rf"'{name}' was asked for.*install it or choose sdpa"):
            get_attention(name)
    assert absent or torch.cuda.is_available()
    with pytest.raises(BackendError, match="no attention backend 'other'"):
        get_attention("other")


@pytest.mark.parametrize(("name", "package"), [("flash2", "flash_attn"), ("sage", "sageattention")])
def test_gpu_backends_refuse_a_cpu(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    fake = types.ModuleType(package)
    fake.flash_attn_func = fake.sageattn = lambda *a, **k: a[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, fake)
    q = stream("q", (1, 4, 2, 64))
    with pytest.raises(BackendError, match="needs a CUDA device"):
        get_attention(name)(q, q, q)


def test_available_backends_looks_without_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "sageattention" else None)
    assert attention.available_backends() == ["sdpa", "sage"]


@pytest.mark.parametrize("window", [4, 6])
def test_ring_holds_the_newest_frames(window: int) -> None:
    ring = Ring.empty(1, window, 2, 1, 4, torch.float32, torch.device("cpu"))
    where = ring.k.data_ptr()
    for first in range(0, 30, 3):
        frames = torch.arange(first, first + 3).repeat_interleave(2).float().reshape(1, 6, 1, 1).expand(1, 6, 1, 4)
        ring.write(first, frames, -frames)
        k, v = ring.read(first + 3, torch.float32)
        held = sorted(k[0, ::2, 0, 0].tolist())
        assert held == list(range(max(0, first + 3 - window), first + 3))
        assert torch.equal(k, -v)
    assert ring.k.data_ptr() == where


def test_attention_along_time() -> None:
    ring = Ring.empty(5, 6, 1, 2, 64, torch.float32, torch.device("cpu"))
    ring.write(0, stream("k", (5, 3, 2, 64)), stream("v", (5, 3, 2, 64)))
    q = stream("q", (5, 3, 2, 64))
    assert largest_difference(attend_along_time(q, ring, 3, sdpa), sdpa(q, *ring.read(3, torch.float32))) < 1e-5


@pytest.mark.parametrize("matrix_registers", [False, True])
def test_fast_routes_equal_the_plain_ones(matrix_registers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "cpu_has_matrix_registers", lambda: matrix_registers)
    x, w, b = stream("x", (2, 100, 64)), stream("w", (96, 64)), stream("b", (96,))
    with torch.inference_mode():
        assert largest_difference(linear(x, w, b), torch.nn.functional.linear(x, w, b)) < 1e-4
    layer = Linear(64, 96)
    layer.weight.data, layer.bias.data = w.bfloat16(), b.bfloat16()
    wanted = torch.nn.functional.linear(x, w.bfloat16().float(), b.bfloat16().float())
    assert largest_difference(layer(x), wanted) < 1e-4
    conv = Conv3d(4, 6, (3, 3, 3), padding=(0, 1, 1), stride=(1, 2, 2))
    conv.weight.data, conv.bias.data = stream("cw", (6, 4, 3, 3, 3)), stream("cb", (6,))
    y = stream("y", (1, 4, 5, 8, 8))
    plain = torch.nn.functional.conv3d(y, conv.weight, conv.bias, (1, 2, 2), (0, 1, 1))
    assert largest_difference(conv(y), plain) < 1e-4


@pytest.mark.parametrize("matrix_registers", [False, True])
def test_feed_forward_in_pieces_is_the_whole(matrix_registers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "cpu_has_matrix_registers", lambda: matrix_registers)
    monkeypatch.setattr(ops, "FEED_FORWARD_ROWS", 33)
    into, out_of = Linear(16, 48), Linear(48, 24)
    for name, layer in (("into", into), ("out_of", out_of)):
        layer.weight.data, layer.bias.data = stream(name, layer.weight.shape), stream(f"{name}.bias", layer.bias.shape)
    x = stream("x", (2, 50, 16))
    with torch.no_grad():
        pieces = ops.feed_forward(into, out_of, x)
    assert largest_difference(pieces, ops.feed_forward(into, out_of, x)) < 1e-4  # with gradients: whole


class Patched(Linear):
    """As a host's layers: what it computes with is not what lies in `weight`."""

    def forward(self, input: torch.Tensor, gelu: bool = False) -> torch.Tensor:
        return linear(input, 2 * self.weight, self.bias, gelu)


@pytest.mark.parametrize("matrix_registers", [False, True])
def test_feed_forward_leaves_weights_to_the_layers(matrix_registers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "cpu_has_matrix_registers", lambda: matrix_registers)
    monkeypatch.setattr(ops, "FEED_FORWARD_ROWS", 33)
    plain, patched = (Linear(16, 48), Linear(48, 24)), (Patched(16, 48), Patched(48, 24))
    for layer, double in zip(plain, patched, strict=True):
        double.weight.data = stream("weight", layer.weight.shape)
        layer.weight.data = 2 * double.weight.data
        layer.bias.data = double.bias.data = stream("bias", layer.bias.shape)
    x = stream("x", (2, 50, 16))
    with torch.no_grad():
        assert largest_difference(ops.feed_forward(*patched, x), ops.feed_forward(*plain, x)) < 1e-4


@pytest.mark.parametrize(("batch", "length"), [(2, 500), (300, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_norm_in_pieces_is_the_whole(batch: int, length: int, weighted: bool) -> None:
    x, weight = stream("x", (batch, length, 256)), stream("weight", (256,)) if weighted else None
    table = torch.polar(torch.ones(()), stream("angles", (length, 1, 20)))
    with torch.no_grad():
        pieces = norm_rotate(x, weight, table, 64, 1e-6)
    assert largest_difference(pieces, norm_rotate(x, weight, table, 64, 1e-6)) < 1e-4  # with gradients: whole
    norm = RMSNorm(256)
    norm.weight.data = stream("weight", (256,))
    with torch.no_grad():
        pieces = norm(x)
    assert largest_difference(pieces, norm(x).detach()) < 1e-4
