"""Winograd convolutions are convolutions, to the rounding of float32."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_matrixgame.compute import ops, winograd


def parts(channels: tuple[int, int], frames: int, depth: int, height: int, width: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, channels[0], frames, height, width, generator=generator)
    weight = torch.randn(channels[1], channels[0], depth, 3, 3, generator=generator)
    weight /= (9 * depth * channels[0]) ** 0.5
    bias = torch.randn(channels[1], generator=generator)
    return x.contiguous(memory_format=torch.channels_last_3d), weight, bias


@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    depth=st.integers(1, 3),
    more=st.integers(0, 2),
    height=st.integers(4, 101),
    width=st.integers(4, 95),
    seed=st.integers(0, 99),
)
@torch.no_grad()
def test_it_is_the_convolution(channels, depth: int, more: int, height: int, width: int, seed: int) -> None:
    x, weight, bias = parts(channels, depth + more, depth, height, width, seed)
    made = winograd.convolve(x, weight, bias)
    true = F.conv3d(x.double(), weight.double(), bias.double(), padding=(0, 1, 1))
    assert made.shape == true.shape
    assert made.is_contiguous(memory_format=torch.channels_last_3d)
    assert float((made - true).abs().max()) < 5e-5


@torch.no_grad()
def test_rounding_is_a_few_times_that_of_a_direct_convolution() -> None:
    x, weight, bias = parts((96, 96), 3, 3, 48, 80)
    true = F.conv3d(x.double(), weight.double(), bias.double(), padding=(0, 1, 1))
    direct, made = (
        y - true for y in (F.conv3d(x, weight, bias, padding=(0, 1, 1)), winograd.convolve(x, weight, bias))
    )
    assert float(made.square().mean().sqrt()) < 8 * float(direct.square().mean().sqrt())
    assert float(made.abs().max()) < 1e-4


@torch.no_grad()
def test_a_frame_is_the_same_whatever_comes_with_it() -> None:
    x, weight, _ = parts((8, 8), 5, 3, 48, 96)
    whole = winograd.convolve(x, weight, None)
    for t in range(3):
        assert torch.equal(winograd.convolve(x[:, :, t : t + 3], weight, None)[:, :, 0], whole[:, :, t])


@pytest.mark.parametrize(("bias", "stored"), [(True, torch.float32), (False, torch.float32), (True, torch.bfloat16)])
def test_layers_of_a_cpu_take_it_where_it_pays(monkeypatch, bias: bool, stored: torch.dtype) -> None:
    taken: list[torch.Size] = []
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda x, *rest: taken.append(x.shape) or convolve(x, *rest))
    monkeypatch.setattr(ops, "winograd_is_quicker", lambda: True)
    threed = ops.Conv3d(96, 96, 3, padding=(0, 1, 1), bias=bias)
    flat = ops.Conv2d(96, 96, 3, padding=1, bias=bias)
    for layer in (threed, flat):
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        layer.to(stored)
    x = torch.randn(1, 96, 3, 48, 80)
    with torch.no_grad():
        made = threed(x), flat(x[:, :, 0])
    assert [tuple(size) for size in taken] == [(1, 96, 3, 48, 80), (1, 96, 1, 48, 80)]
    with torch.enable_grad():
        true = threed(x), flat(x[:, :, 0])  # with a gradient: torch's own
    assert len(taken) == 2
    for a, b in zip(made, true, strict=True):
        assert a.shape == b.shape
        assert float((a - b.detach()).abs().max()) < 1e-4


@pytest.mark.parametrize(
    "case",
    [
        {"dtype": torch.bfloat16},
        {"channels": 64},
        {"size": (16, 24)},
        {"layer": {"stride": 2, "padding": 1}},
        {"layer": {"padding": 0}},
        {"layer": {"padding": 1, "groups": 2}},
        {"layer": {"padding": 1, "dilation": 2}},
    ],
    ids=str,
)
def test_and_not_where_it_does_not(monkeypatch, case: dict) -> None:
    monkeypatch.setattr(ops, "winograd_is_quicker", lambda: True)
    monkeypatch.setattr(winograd, "convolve", lambda *_: pytest.fail("Winograd was taken"))
    channels, dtype = case.get("channels", 96), case.get("dtype", torch.float32)
    layer = ops.Conv2d(channels, channels, 3, **case.get("layer", {"padding": 1}))
    x = torch.zeros(1, channels, *case.get("size", (48, 80)), dtype=dtype)
    with torch.no_grad():
        layer(x)
        layer(x.contiguous(memory_format=torch.channels_last))
