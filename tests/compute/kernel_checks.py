"""The Triton kernels, run by Triton's interpreter, against torch's own operations; test_fused.py runs this file."""

from __future__ import annotations

import os

import pytest
import torch

from comfyui_matrixgame.compute import fused, kernels
from comfyui_matrixgame.compute.attention import sdpa
from comfyui_matrixgame.compute.ops import Operations
from comfyui_matrixgame.compute.trials import with_trials
from comfyui_matrixgame.networks.generator import norms, rope
from comfyui_matrixgame.networks.generator.kv_cache import Ring
from comfyui_matrixgame.networks.vae import wan_layers
from comfyui_matrixgame.networks.vae.history import History

DTYPES = [torch.float32, torch.float16]
DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")
LAST = torch.channels_last_3d


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernels serve tensors of the CPU."""
    for module in (fused, norms):
        monkeypatch.setattr(module, "triton_for", lambda _: kernels)


def close(ours: torch.Tensor, torchs: torch.Tensor) -> None:
    tolerance = 2e-6 if ours.dtype == torch.float32 else 4e-3
    torch.testing.assert_close(ours, torchs, atol=tolerance, rtol=tolerance)


def both(work):
    """What torch gives, then what the kernels give."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (fused, norms):
            patch.setattr(module, "triton_for", lambda _: None)
        plain = work()
    return plain, work()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gated", [False, True])
@torch.inference_mode()
def test_residual_norm(interpreted: None, dtype: torch.dtype, gated: bool) -> None:
    x, y = torch.randn(2, 2, 5, 96, dtype=dtype, device=DEVICE).unbind(0)
    gate, weight, bias = torch.randn(3, 96, dtype=dtype, device=DEVICE).unbind(0)
    plain, ours = both(lambda: fused.residual_norm(x, gate if gated else None, y, weight, bias, 1e-6))
    for a, b in zip(ours, plain, strict=True):
        close(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@torch.inference_mode()
def test_queries_of_video_and_of_inputs(interpreted: None, dtype: torch.dtype) -> None:
    video = rope.video_table(5, 3, 2, 3, 64, DEVICE)
    action = rope.action_table(5, 3, DEVICE)
    # rows lie apart, as after a joined product
    x = torch.randn(2, 18, 3 * 256, dtype=dtype, device=DEVICE).chunk(3, dim=-1)[1]
    weight = torch.randn(256, dtype=dtype, device=DEVICE)
    close(*reversed(both(lambda: norms.norm_rotate(x, weight, video, 128, 1e-6))))
    close(*reversed(both(lambda: norms.norm_rotate(x, None, action, 64, 1e-6))))  # a row for all places of a frame
    for_each = action.repeat_interleave(6, dim=0)
    assert torch.equal(norms.norm_rotate(x, None, action, 64, 1e-6), norms.norm_rotate(x, None, for_each, 64, 1e-6))


@pytest.mark.parametrize("first_frame", [0, 3, 6, 9, 12, 15])
@pytest.mark.parametrize(("window", "sink"), [(4, 0), (6, 0), (4, 1), (6, 1), (9, 4)])
@torch.inference_mode()
def test_keys_go_into_their_slots(interpreted: None, window: int, sink: int, first_frame: int) -> None:
    weight = torch.randn(256, device=DEVICE)
    table = rope.video_table(first_frame, 3, 2, 2, 64, DEVICE)
    k, v = torch.randn(2, 12, 512, device=DEVICE).chunk(2, dim=-1)

    def video() -> torch.Tensor:
        ring = Ring.empty(2, window, 4, 2, 128, torch.float32, DEVICE, sink)
        norms.norm_rotate_into(ring, first_frame, k, v, weight, table, 128, 1e-6)
        return torch.stack([ring.k, ring.v])

    close(*reversed(both(video)))
    qkv = torch.randn(2, 3 * 5, 3 * 128, device=DEVICE).chunk(3, dim=-1)  # as the camera's

    def mouse() -> torch.Tensor:
        ring = Ring.empty(2 * 5, window, 1, 2, 64, torch.float32, DEVICE, sink)  # each place has a time of its own
        turns = rope.action_table(first_frame, 3, DEVICE)
        norms.norm_rotate_into(ring, first_frame, qkv[1], qkv[2], None, turns, 64, 1e-6, apart=5)
        return torch.stack([ring.k, ring.v])

    close(*reversed(both(mouse)))


@pytest.mark.parametrize("dtype", DTYPES)
@torch.inference_mode()
def test_norm_and_silu_go_behind_the_frames_before(interpreted: None, dtype: torch.dtype) -> None:
    x = torch.randn(2, 12, 2, 3, 5, dtype=dtype, device=DEVICE).contiguous(memory_format=torch.channels_last_3d)
    gamma = torch.randn(12, 1, 1, 1, dtype=dtype, device=DEVICE)

    def joined() -> torch.Tensor:
        out = torch.zeros(2, 12, 4, 3, 5, dtype=dtype, device=DEVICE).contiguous(memory_format=torch.channels_last_3d)
        fused.channel_norm_silu_into(out[:, :, 2:], x, gamma)
        return out

    close(*reversed(both(joined)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "queries", "keys"), [(6, 3, 6), (5, 3, 3), (2, 21, 4)])
@torch.inference_mode()
def test_attention_over_few_keys(interpreted: None, dtype: torch.dtype, batch: int, queries: int, keys: int) -> None:
    q = torch.randn(batch, queries, 2, 64, dtype=dtype, device=DEVICE)
    # of a ring that is not yet full
    k, v = (torch.randn(batch, 6, 2, 64, dtype=dtype, device=DEVICE)[:, :keys] for _ in range(2))
    ours = fused.few_keys(q, k, v)
    assert ours is not None
    close(ours, sdpa(q.float(), k.float(), v.float()).to(dtype))


@torch.inference_mode()
def test_few_keys_keep_the_layout_of_their_queries(interpreted: None) -> None:
    tokens = torch.randn(1, 3, 5, 2, 64, device=DEVICE)  # frame, place
    k, v = torch.randn(2, 5, 6, 2, 64, device=DEVICE).unbind(0)
    q = tokens.transpose(1, 2).flatten(0, 1)
    ours = fused.few_keys(q, k, v)
    assert ours is not None
    close(ours, sdpa(q, k, v))
    assert ours.transpose(0, 1).is_contiguous()


@torch.inference_mode()
def test_many_keys_are_left_to_others(interpreted: None) -> None:
    q, k = torch.randn(1, 3, 2, 64, device=DEVICE), torch.randn(1, 17, 2, 64, device=DEVICE)
    assert fused.few_keys(q, k, k) is None


@pytest.mark.parametrize("gelu", [False, True])
@torch.inference_mode()
def test_rows_of_8_bits(interpreted: None, gelu: bool) -> None:
    x = torch.randn(7, 2, 96, device=DEVICE)[:, 0] * 3  # rows lie apart
    x[2] = 0
    plain, ours = both(lambda: fused.quantise_rows(x, torch.int8, 127.0, 1e-12, gelu))
    close(ours[1], plain[1])
    assert (ours[0].int() - plain[0].int()).abs().max() <= 1  # the last digit of a division, or of the GELU
    assert ours[0].abs().max() == 127


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gated", [False, True])
@torch.inference_mode()
def test_a_norm_in_8_bits_is_the_norm_and_then_the_8_bits(interpreted: None, dtype: torch.dtype, gated: bool) -> None:
    x, y = torch.randn(2, 2, 5, 96, dtype=dtype, device=DEVICE).unbind(0)
    gate, weight, bias = torch.randn(3, 96, dtype=dtype, device=DEVICE).unbind(0)
    values = (x, gate if gated else None, y, weight, bias, 1e-6)
    total, rows, scales = fused.residual_norm_rows(*values, torch.int8, 127.0, 1e-12)
    wanted_total, normed = fused.residual_norm(*values)
    assert torch.equal(total, wanted_total)
    wanted_rows, wanted_scales = fused.quantise_rows(normed.flatten(0, -2), torch.int8, 127.0, 1e-12)
    assert torch.equal(scales, wanted_scales)
    assert torch.equal(rows, wanted_rows)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("kind", [torch.int32, torch.float32, torch.float16])
@torch.inference_mode()
def test_what_comes_after_a_product_of_8_bits(interpreted: None, kind: torch.dtype, biased: bool) -> None:
    sums = (torch.randn(7, 1100, device=DEVICE) * 1000).to(kind)  # more columns than a tile has
    rows, columns = torch.rand(7, 1, device=DEVICE) * 1e-3, torch.rand(1100, device=DEVICE)
    bias = torch.randn(1100, device=DEVICE).half() if biased else None
    for dtype in DTYPES:
        close(*reversed(both(lambda dtype=dtype: fused.scale_product(sums, rows, columns, bias, dtype))))


@pytest.mark.parametrize("added", [False, True])
@torch.inference_mode()
def test_bias_and_sum_in_one_pass(interpreted: None, added: bool) -> None:
    x, y = (torch.randn(2, 12, 2, 3, 5, device=DEVICE).contiguous(memory_format=LAST) for _ in range(2))
    bias = torch.randn(12, device=DEVICE)
    wanted = x + bias.view(-1, 1, 1, 1) + (y if added else 0)
    assert fused.add_into(x, bias, y if added else None)
    close(x, wanted)
    assert not fused.add_into(x.contiguous(), bias, None)


@pytest.mark.parametrize("added", [False, True])
@torch.inference_mode()
def test_narrow_convolution(interpreted: None, monkeypatch: pytest.MonkeyPatch, added: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (fused.HOPPER, 0))
    x = torch.randn(1, 64, 4, 5, 7, device=DEVICE).half().contiguous(memory_format=LAST)
    weight, bias = torch.randn(96, 64, 3, 3, 3, device=DEVICE).half() * 0.05, torch.randn(96, device=DEVICE).half()
    y = torch.randn(1, 96, 2, 5, 7, device=DEVICE).half().contiguous(memory_format=LAST) if added else None
    ours = fused.narrow_convolution(x, weight, bias, y)
    assert ours is not None
    wanted = torch.nn.functional.conv3d(x.float(), weight.float(), bias.float(), padding=(0, 1, 1))
    close(ours, (wanted if y is None else wanted + y.float()).half())
    assert fused.narrow_convolution(x.float(), weight.float(), bias.float(), None) is None
    assert fused.narrow_convolution(x, weight[:3], bias[:3], None) is None


@pytest.mark.parametrize("added", [False, True])
@torch.inference_mode()
def test_96_channels_in_two(interpreted: None, monkeypatch: pytest.MonkeyPatch, added: bool) -> None:
    """The same sums in the same order, so the same bits; but the interpreter's products are numpy's, and the order of
    their sums may follow the width."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (fused.HOPPER, 0))
    plain, how = kernels.convolve, []
    monkeypatch.setattr(kernels, "convolve", lambda *args: how.append(args[-1]) or plain(*args))
    x = torch.randn(1, 96, 4, 5, 7, device=DEVICE).half().contiguous(memory_format=LAST)
    weight, bias = torch.randn(96, 96, 3, 3, 3, device=DEVICE).half() * 0.05, torch.randn(96, device=DEVICE).half()
    y = torch.randn(1, 96, 2, 5, 7, device=DEVICE).half().contiguous(memory_format=LAST) if added else None
    whole = fused.narrow_convolution(x, weight, bias, y)
    with with_trials("96-in-two"):
        parts = fused.narrow_convolution(x, weight, bias, y)
    assert how == [False, True]
    assert whole is not None
    assert parts is not None
    close(parts, whole)
    assert torch.equal(parts, whole) or DEVICE.type == "cpu"


@torch.inference_mode()
def test_a_watched_convolution_is_called_and_not_read(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wan_layers, "triton_for", lambda _: kernels)
    conv = wan_layers.causal_conv3d(Operations, 4, 6, (3, 3, 3)).to(DEVICE)
    norm = wan_layers.RMSNorm(4, 3).to(DEVICE)
    torch.nn.init.normal_(conv.weight)
    torch.nn.init.normal_(conv.bias)
    x, added = (torch.randn(1, n, 2, 4, 5, device=DEVICE).contiguous(memory_format=LAST) for n in (4, 6))

    def once() -> torch.Tensor:
        return wan_layers.convolve(conv, x, History(None, torch.float32), norm, added)

    plain = once()
    forward = conv.forward
    conv.forward = lambda x: 2 * forward(x)
    torch.testing.assert_close(once() - added, 2 * (plain - added), rtol=1e-4, atol=1e-4)
    del conv.forward
    torch.testing.assert_close(once(), plain)
